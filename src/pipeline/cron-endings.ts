import type { Db } from "../db/client.ts";
import { type CronRunEnding, endCronRun, expireCronRuns, loseCronRuns, type OwnedCronRun } from "../db/cron-runs.ts";
import { publish } from "../db/events.ts";
import type { Deps } from "../deps.ts";
import { cronProcess, startWithinMs } from "../model/cron.ts";
import { duration } from "../model/deploy.ts";
import { appTopic } from "../model/event.ts";

/** Zyndra stood still when it was due, or all places were taken. */
export const tooLate = `it could not begin within ${duration(startWithinMs)} of its time`;

/** Writes how a run ended; what did not go as it should is told as an event too. False where it had ended before. */
export async function writeEnding(tx: Db, run: OwnedCronRun, ending: CronRunEnding): Promise<boolean> {
  if (!(await endCronRun(tx, run, ending))) return false;
  if (ending.status !== "done") await tell(tx, run, ending);
  return true;
}

/** Ends the runs whose workers have died. How far they came is not known, so they are not run again. */
export async function endLost(deps: Deps): Promise<void> {
  const reason = "Zyndra was killed while it ran";
  const lost = await deps.db.transaction(async (tx) => {
    const rows = await loseCronRuns(tx, reason);
    for (const run of rows) await tell(tx, run, { status: "lost", reason });
    return rows;
  });
  for (const run of lost) await note(deps, run, `lost: ${reason}`);
}

/** Ends what has waited too long to begin still, also where its app has no place left. */
export async function endLate(deps: Deps, now: Date): Promise<void> {
  const before = new Date(now.getTime() - startWithinMs);
  const late = await deps.db.transaction(async (tx) => {
    const rows = await expireCronRuns(tx, before, tooLate);
    for (const run of rows) await tell(tx, run, { status: "skipped", reason: tooLate });
    return rows;
  });
  for (const run of late) await note(deps, run, `left out: ${tooLate}`);
}

/** A line of Zyndra's own about an entry. Whether it can be written decides nothing. */
export async function note(deps: Pick<Deps, "runtime" | "log">, run: OwnedCronRun, text: string): Promise<void> {
  await deps.runtime.processes
    .note(run.appId, cronProcess(run.name), text)
    .catch((error) => deps.log.warn({ err: error, entry: run.name }, "a line on a cron entry was lost"));
}

async function tell(
  tx: Db,
  run: OwnedCronRun,
  { status, reason }: { status: "failed" | "skipped" | "lost"; reason: string },
): Promise<void> {
  const { name, dueAt } = run;
  await publish(tx, appTopic(run.appId), run, [{ type: "cron", name, dueAt: dueAt.toISOString(), status, reason }]);
}
