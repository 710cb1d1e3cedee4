import { setTimeout as delay } from "node:timers/promises";
import type { Check } from "../../checks.ts";
import { lookAtWork } from "../../db/condition.ts";
import { listWaitingApps } from "../../db/work.ts";
import type { Deps, Limits } from "../../deps.ts";
import { duration } from "../../model/deploy.ts";

/** Longer than this no app waits that a free worker knows of: the sweeper looks every second. */
const takenWithinMs = 5_000;
const mostLookedAt = 1_000;

/** Whether work is taken up: looked at from the database, so that it counts for workers elsewhere, too. */
export function workChecks(
  { db, limits }: { db: Deps["db"]; limits: Pick<Limits, "appsAtOnce"> },
  withinMs = takenWithinMs,
): Check[] {
  return [
    {
      name: "worker",
      async look(signal) {
        const before = await listWaitingApps(db.db, mostLookedAt);
        if (before.length > 0) await delay(withinMs, undefined, { signal });
        const after = before.length > 0 ? await listWaitingApps(db.db, mostLookedAt) : [];
        const { held } = await lookAtWork(db.db);
        const left = after.filter((appId) => before.includes(appId)).length;
        const now = `${apps(held)} worked on now`;
        if (left === 0) return { verdict: "ok", text: `${now}, none waits` };
        if (held >= limits.appsAtOnce)
          return { verdict: "warning", text: `${now}, ${apps(left)} waiting`, hint: "ZYNDRA_APPS_AT_ONCE allows more" };
        return {
          verdict: "fault",
          text: `${apps(left)} waiting, and no worker takes ${left === 1 ? "it" : "them"} up (${now})`,
          hint: "the log says why; starting Zyndra again loses nothing",
        };
      },
    },
    {
      name: "rings",
      async look() {
        const { oldestRingMs } = await lookAtWork(db.db);
        if (oldestRingMs < takenWithinMs) return { verdict: "ok", text: "work is told of at once" };
        return {
          verdict: "warning",
          text: `the oldest word of work has waited for ${duration(oldestRingMs)}`,
          hint: "work is found a second later without them; the log says what the queue's trouble is",
        };
      },
    },
  ];
}

function apps(count: number): string {
  return count === 1 ? "1 app" : `${count} apps`;
}
