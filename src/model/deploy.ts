import type { Cause } from "./cause.ts";

/** queued, building, releasing, rolling_out → live, failed, cancelled, superseded. */
export const unfinishedStatuses = ["queued", "building", "releasing", "rolling_out"] as const;
export const runningStatuses = ["building", "releasing", "rolling_out"] as const;
export const finalStatuses = ["live", "failed", "cancelled", "superseded"] as const;
export type FinalStatus = (typeof finalStatuses)[number];
export type DeployStatus = (typeof unfinishedStatuses)[number] | FinalStatus;

/** What asked for it. A push moves main; `deploy` brings any commit; `config` takes the live image with the vars as they are now. */
export type DeployKind = "push" | "deploy" | "rollback" | "config";

export function isFinal(status: DeployStatus): status is FinalStatus {
  return (finalStatuses as readonly string[]).includes(status);
}

/** Everything that brings a commit or an older release to life; a config deploy does neither. */
export function isSourceWork(kind: DeployKind): boolean {
  return kind !== "config";
}

/** The first seven letters of a commit id, as people say it. */
export function shortId(commit: string): string {
  return commit.slice(0, 7);
}

/** What a deploy's headline is made of. */
export type DeployFacts = {
  appName: string;
  number: number;
  status: DeployStatus;
  version?: number | undefined;
  /** From the request until the end, or until now. */
  tookMs: number;
  url?: string | undefined;
  cause?: Cause | undefined;
};

/** The one sentence that tells how a deploy stands, in every face. */
export function headline(facts: DeployFacts): string {
  const deploy = `${facts.appName}, deploy #${facts.number}`;
  switch (facts.status) {
    case "live":
      return `${facts.appName} v${facts.version} is live${facts.url ? ` at ${facts.url}` : ""} (${duration(facts.tookMs)})`;
    case "failed":
    case "superseded":
    case "cancelled":
      return `${deploy} ${facts.status}${facts.cause ? `: ${facts.cause.headline}` : ""}`;
    case "rolling_out":
      return `${deploy}: rolling out (${duration(facts.tookMs)})`;
    default:
      return `${deploy}: ${facts.status} (${duration(facts.tookMs)})`;
  }
}

/** `rolling out` */
export function statusWords(status: string): string {
  return status.replace("_", " ");
}

/** `0.4 s`, `38 s`, `2 min`, `3 h`, `2 d`: as people say it, never more than two figures of precision. */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 119.5) return `${Math.round(seconds)} s`;
  if (seconds < 7_170) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_000) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
