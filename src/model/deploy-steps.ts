import { type DeployStatus, duration, isFinal } from "./deploy.ts";

/** When each step of a deploy began; null where it has not, or never will. */
export type DeployTimes = {
  status: DeployStatus;
  createdAt: Date;
  buildStartedAt: Date | null;
  releaseStartedAt: Date | null;
  rolloutStartedAt: Date | null;
  finishedAt: Date | null;
};

export type DeployStep = {
  name: "wait" | "build" | "release" | "roll-out";
  /** The last one that was begun ends as the deploy does. */
  state: "done" | "running" | "failed" | "cancelled" | "superseded";
  startedAt: Date;
  tookMs: number;
};

/** The steps that a deploy has begun, in order, each with its time. */
export function deploySteps(deploy: DeployTimes, now: Date): DeployStep[] {
  const starts = [
    { name: "wait", startedAt: deploy.createdAt },
    { name: "build", startedAt: deploy.buildStartedAt },
    { name: "release", startedAt: deploy.releaseStartedAt },
    { name: "roll-out", startedAt: deploy.rolloutStartedAt },
  ] as const;
  const begun = starts.flatMap(({ name, startedAt }) => (startedAt === null ? [] : [{ name, startedAt }]));
  return begun.map(({ name, startedAt }, index) => {
    const next = begun[index + 1];
    const endedAt = next?.startedAt ?? deploy.finishedAt ?? now;
    const tookMs = Math.max(0, endedAt.getTime() - startedAt.getTime());
    return { name, startedAt, tookMs, state: next ? "done" : lastState(deploy.status) };
  });
}

function lastState(status: DeployStatus): DeployStep["state"] {
  if (!isFinal(status)) return "running";
  return status === "live" ? "done" : status;
}

/** `21 s`, `running for 21 s`, `failed after 21 s` */
export function stepInWords({ state, tookMs }: DeployStep): string {
  if (state === "done") return duration(tookMs);
  return `${state} ${state === "running" ? "for" : "after"} ${duration(tookMs)}`;
}
