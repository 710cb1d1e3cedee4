import { findRunningDeploy, getDeploy } from "../db/deploys.ts";
import type { DeployRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import type { Cause } from "../model/cause.ts";
import { duration, type FinalStatus, isFinal, statusWords } from "../model/deploy.ts";
import { deployTopic } from "../model/event.ts";
import type { LogLine } from "../model/log-line.ts";

/** What a follower of a deploy sees. `seq` is where to go on after a break; lines of one event share theirs. */
export type FollowStep =
  | { type: "line"; seq: number; at: Date; line: LogLine }
  | { type: "end"; seq: number; at: Date; status: FinalStatus; headline: string; cause?: Cause; version?: number };

/**
 * One deploy as everyone sees it: its log so far, then live, with a line on what it waits for while it is queued. Ends
 * with one `end` step, or without where the signal aborts. A lost database only delays it.
 */
export async function* followDeploy(
  deps: Pick<Deps, "db" | "events">,
  deployId: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<FollowStep, void> {
  let toldOfWaiting = after > 0;
  for await (const { seq, at, data } of deps.events.follow(deployTopic(deployId), after, signal)) {
    if (data.type === "log") {
      for (const line of data.lines) yield { type: "line", seq, at, line };
    }
    if (data.type === "deploy" && isFinal(data.status)) {
      const { status, headline, cause, version } = data;
      yield { type: "end", seq, at, status, headline, ...(cause && { cause }), ...(version && { version }) };
      return;
    }
    if (!toldOfWaiting) {
      toldOfWaiting = true;
      const line = await waitingLine(deps, deployId, signal).catch(() => undefined);
      if (line) yield { type: "line", seq, at, line };
    }
  }
}

/** `waiting for deploy #41 (ben, 2 min, building)`, while another deploy of the app runs. */
async function waitingLine(
  deps: Pick<Deps, "db">,
  deployId: string,
  signal: AbortSignal,
): Promise<LogLine | undefined> {
  return deps.db.persist(async ({ db }) => {
    const deploy = await getDeploy(db, deployId).catch(() => undefined);
    if (deploy?.status !== "queued") return undefined;
    const running = await findRunningDeploy(db, deploy.appId);
    if (!running) return undefined;
    const facts = [running.actorName, duration(running.ageMs), stepOf(running)].join(", ");
    return { kind: "intro", text: `waiting for deploy #${running.number} (${facts})` };
  }, signal);
}

function stepOf({ status }: DeployRow): string {
  return status === "live" ? "live, its hook runs" : statusWords(status);
}
