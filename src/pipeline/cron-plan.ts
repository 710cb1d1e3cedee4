import { type CronApp, insertCronRun, listCronApps, listLastDue } from "../db/cron-runs.ts";
import type { Deps } from "../deps.ts";
import type { CronEntry } from "../model/app-settings.ts";
import { newestDue, nextDue, startWithinMs } from "../model/cron.ts";
import { note, tooLate, writeEnding } from "./cron-endings.ts";

export type CronPlan = {
  /** Writes a row for all that has become due; answers (in ms since 1970) when something is due next. */
  writeDue(now: Date): Promise<number>;
};

/** Up to when an entry's moments are written down, and which is the next; null: none ever. */
type Planned = { until: Date; next: Date | null };

/**
 * Knows which due moments are written down. It is remembered here, and found again in the rows after a restart; two that do
 * the same write the same rows.
 */
export function openCronPlan(deps: Deps): CronPlan {
  let planned = new Map<string, Planned>();

  return {
    async writeDue(now) {
      const cronApps = await listCronApps(deps.db.db);
      const entries = cronApps.flatMap((cronApp) => cronApp.entries.map((entry) => ({ cronApp, entry })));
      const isNew = entries.some(({ cronApp, entry }) => !planned.has(keyOf(cronApp, entry)));
      const lastDue = isNew ? await readLastDue(deps) : new Map<string, Date>();
      const after = new Map<string, Planned>();
      for (const { cronApp, entry } of entries) {
        const key = keyOf(cronApp, entry);
        const known = planned.get(key);
        const isQuiet = known && known.until <= now && (known.next === null || known.next > now);
        const until = known?.until ?? beginning(cronApp, lastDue.get(`${cronApp.app.id} ${entry.name}`));
        after.set(key, isQuiet ? known : await writeEntry(deps, cronApp, entry, until, now));
      }
      planned = after;
      return Math.min(...[...after.values()].map(({ next }) => next?.getTime() ?? Number.POSITIVE_INFINITY));
    },
  };
}

/** Writes the newest moment in (`since`, `now`]; of those before it one stands for all: nobody wants ten reports at once. */
async function writeEntry(deps: Deps, cronApp: CronApp, entry: CronEntry, since: Date, now: Date): Promise<Planned> {
  const newest = newestDue(entry, since, now);
  const missed = newest && newestDue(entry, since, new Date(newest.getTime() - 1));
  if (missed) await write(deps, cronApp, entry, missed, "skipped");
  if (newest) {
    const isFresh = now.getTime() - newest.getTime() <= startWithinMs;
    await write(deps, cronApp, entry, newest, isFresh ? "waiting" : "skipped");
  }
  return { until: now, next: nextDue(entry, now) };
}

/** What is skipped is so from its first moment: nobody may claim it in between. */
async function write(
  deps: Deps,
  { app, version }: CronApp,
  { name }: CronEntry,
  dueAt: Date,
  as: "waiting" | "skipped",
): Promise<void> {
  const run = { appId: app.id, orgId: app.orgId, projectId: app.projectId, name, dueAt };
  const isSkipped = await deps.db.transaction(async (tx) => {
    const isNew = await insertCronRun(tx, { ...run, version });
    return isNew && as === "skipped" && writeEnding(tx, run, { status: "skipped", reason: tooLate });
  });
  if (isSkipped) await note(deps, run, `left out: ${tooLate}`);
}

/** An entry that is met for the first time counts from when it went live, or from its last moment on record. */
function beginning({ liveAt }: CronApp, lastDue: Date | undefined): Date {
  return lastDue !== undefined && lastDue > liveAt ? lastDue : liveAt;
}

async function readLastDue(deps: Deps): Promise<Map<string, Date>> {
  const rows = await listLastDue(deps.db.db);
  return new Map(rows.map(({ appId, name, dueAt }) => [`${appId} ${name}`, dueAt]));
}

/** Another schedule makes it another entry. */
function keyOf({ app }: CronApp, { name, schedule, timezone = "UTC" }: CronEntry): string {
  return [app.id, name, schedule, timezone].join("\n");
}
