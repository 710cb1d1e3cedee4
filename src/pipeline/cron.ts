import { listWaitingCronRuns, type OwnedCronRun, readClock, renewCronRun } from "../db/cron-runs.ts";
import type { Deps } from "../deps.ts";
import { openBell } from "../events/bell.ts";
import { cronTopic } from "../model/event.ts";
import { endLate, endLost } from "./cron-endings.ts";
import { openCronPlan } from "./cron-plan.ts";
import { claimDueRun, cronLeaseMs, runClaimed } from "./cron-run.ts";

export type Cron = { stop(): Promise<void> };

export type CronOptions = {
  /** What time it is: by default what the database's clock shows, since a machine's own may be an hour off. */
  now?: () => Promise<Date>;
  /** The pause before a failed run is tried again; each next one is twice as long. */
  retryPauseMs?: number;
};

/** Should no ring come, entries are looked at again after this long. */
const lookAgainMs = 60_000;
const afterTroubleMs = 1_000;
const firstRetryPauseMs = 10_000;
/** How many waiting runs one look takes up; those left over are there at the next. */
const waitingAtOnce = 100;

/**
 * Runs the cron entries of what is live. Each due moment is a row, and whoever claims the row runs it: several workers may
 * do this at once, here and elsewhere, and each moment is run once.
 */
export function startCron(deps: Deps, options: CronOptions = {}): Cron {
  const { db, events, limits, log } = deps;
  const { now = () => readClock(db.db), retryPauseMs = firstRetryPauseMs } = options;
  const stop = new AbortController();
  const bell = openBell(stop.signal);
  const unwatch = events.watch(cronTopic, bell.ring);
  const plan = openCronPlan(deps);
  /** What runs here. */
  const going = new Map<Promise<void>, OwnedCronRun>();

  // One app whose runs never end must not take the place of all others.
  const perApp = Math.ceil(limits.cronAtOnce / 2);
  const isFull = (appId: string) => [...going.values()].filter((run) => run.appId === appId).length >= perApp;
  const takeUp = async () => {
    if (going.size >= limits.cronAtOnce) return;
    const except = [...new Set([...going.values()].map(({ appId }) => appId))].filter(isFull);
    for (const waiting of await listWaitingCronRuns(db.db, { perApp, limit: waitingAtOnce, except })) {
      if (stop.signal.aborted || going.size >= limits.cronAtOnce) return;
      if (isFull(waiting.appId)) continue;
      const claimed = await claimDueRun(deps, waiting);
      if (!claimed) continue;
      const ended = runClaimed(deps, claimed, { stop: stop.signal, retryPauseMs }).then(() => {
        going.delete(ended);
        bell.ring();
      });
      going.set(ended, waiting);
    }
  };
  /** Does what is to be done now; answers for how long that is all. */
  const look = async (): Promise<number> => {
    // After a while without the database the leases of what goes on here have ended, too.
    await Promise.all([...going.values()].map((run) => renewCronRun(db.db, run, cronLeaseMs(limits))));
    await endLost(deps);
    const at = await now();
    const next = await plan.writeDue(at);
    await endLate(deps, at);
    await takeUp();
    return Math.min(next - at.getTime(), lookAgainMs, cronLeaseMs(limits));
  };
  const looking = (async () => {
    while (!stop.signal.aborted) {
      const waitMs = await look().catch((error) => {
        log.debug({ err: error }, "cron entries could not be looked at, trying again");
        return afterTroubleMs;
      });
      await bell.heard(Math.max(waitMs, 1));
    }
  })();

  return {
    async stop() {
      unwatch();
      stop.abort(new Error("the platform stops"));
      await looking;
      await Promise.all(going.keys());
    },
  };
}
