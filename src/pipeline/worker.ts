import { takeRings } from "../db/apps.ts";
import { isPassing } from "../db/client.ts";
import { isWaiting, listWaitingApps, StaleLease } from "../db/work.ts";
import type { Deps } from "../deps.ts";
import { outboxTopic } from "../model/event.ts";
import { HandBack, holdApp } from "./lease.ts";
import { workOn } from "./turns.ts";

export type Worker = { stop(): Promise<void> };

/** How many waiting apps one sweep looks at; those left over are there at the next. */
const sweepAtOnce = 100;

/**
 * Does the work of apps: rung for by the queue, and found by the sweeper, straight from the database, when no ring came.
 * Several workers may run at once, here and elsewhere; the lease decides who works on what.
 */
export async function startWorker(deps: Deps): Promise<Worker> {
  const { db, queue, events, limits, log } = deps;
  const stop = new AbortController();
  const working = new Map<string, Promise<void>>();
  /** Rung for while it was worked on, or while all hands were full. */
  const next = new Set<string>();
  const resting = openResting();

  const look = (appId: string) => {
    next.add(appId);
    takeUp();
  };
  const takeUp = () => {
    for (const waiting of next) {
      if (stop.signal.aborted || working.size >= limits.appsAtOnce) return;
      if (working.has(waiting)) continue;
      next.delete(waiting);
      // An app that rests is found again by the sweeper.
      if (resting.has(waiting)) continue;
      const worked = workOnce(deps, waiting, stop.signal).then((well) => {
        resting.note(waiting, well);
        working.delete(waiting);
        takeUp();
      });
      working.set(waiting, worked);
    }
  };

  const relay = repeating(log, "rings could not be passed on", async () => {
    await db.transaction(async (tx) => {
      for (const appId of await takeRings(tx)) await queue.ring(appId);
    });
  });
  const sweep = repeating(log, "the sweeper could not look", async () => {
    for (const appId of await listWaitingApps(db.db, sweepAtOnce)) look(appId);
  });

  await queue.start(async (appId) => look(appId));
  const unwatch = events.watch(outboxTopic, () => void relay());
  const timer = setInterval(() => {
    void relay();
    void sweep();
  }, limits.sweepMs);
  void relay();
  void sweep();

  return {
    async stop() {
      clearInterval(timer);
      unwatch();
      stop.abort(new HandBack("the platform stops"));
      await Promise.all([...working.values(), relay.idle(), sweep.idle()]);
    },
  };
}

/** Works on one app until it has nothing more to do, if it is free to take. False where it broke by itself. */
async function workOnce(deps: Deps, appId: string, stop: AbortSignal): Promise<boolean> {
  try {
    do {
      const held = await holdApp(deps, appId, stop);
      if (!held) return true;
      try {
        await workOn(deps, held);
      } finally {
        await held.release();
      }
      // What came after the last look and before the release rang in vain.
    } while (!stop.aborted && (await isWaiting(deps.db.db, appId)));
    return true;
  } catch (error) {
    if (error instanceof HandBack) return true;
    if (error instanceof StaleLease) {
      deps.log.info({ app: appId }, "an app went on with another worker");
      return true;
    }
    deps.log.error({ err: error, app: appId }, "work on an app was interrupted; the sweeper looks again");
    return isPassing(error);
  }
}

const longestRestMs = 60_000;

/** An app whose work breaks again and again is looked at less and less often, so that it does not keep a machine busy. */
function openResting() {
  const rests = new Map<string, { untilMs: number; restMs: number }>();
  return {
    has: (appId: string) => (rests.get(appId)?.untilMs ?? 0) > performance.now(),
    note(appId: string, well: boolean) {
      if (well) return rests.delete(appId);
      const restMs = Math.min((rests.get(appId)?.restMs ?? 500) * 2, longestRestMs);
      return rests.set(appId, { untilMs: performance.now() + restMs, restMs });
    },
  };
}

/** Runs `once` when called, never twice at a time; a call meanwhile makes it run once more. */
function repeating(log: Deps["log"], trouble: string, once: () => Promise<void>) {
  let running: Promise<void> | undefined;
  let again = false;
  const run = (): Promise<void> => {
    if (running) {
      again = true;
      return running;
    }
    running = (async () => {
      do {
        again = false;
        await once().catch((error) => log.debug({ err: error }, trouble));
      } while (again);
    })().finally(() => (running = undefined));
    return running;
  };
  return Object.assign(run, { idle: () => running ?? Promise.resolve() });
}
