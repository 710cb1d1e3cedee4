import { and, desc, eq, gt, inArray, isNull, lt, lte, ne, notInArray, type SQL, sql } from "drizzle-orm";
import type { CronEntry } from "../model/app-settings.ts";
import type { Db } from "./client.ts";
import { type AppRow, apps, type CronRunRow, cronRuns, releases } from "./schema.ts";

/** One due moment of one entry. A row that is `running` without a lease waits for a worker. */
export type CronRunKey = Pick<CronRunRow, "appId" | "name" | "dueAt">;

export type OwnedCronRun = CronRunKey & Pick<CronRunRow, "orgId" | "projectId">;

/** How many runs of each entry are remembered. */
const keptRuns = 100;

/** What the database's clock shows, to the millisecond: that of a machine may be an hour off. */
export async function readClock(db: Db): Promise<Date> {
  const { rows } = await db.execute(sql`select extract(epoch from clock_timestamp())::float8 * 1000 as ms`);
  return new Date(Number(rows[0]!.ms));
}

export type CronApp = {
  app: Pick<AppRow, "id" | "orgId" | "projectId">;
  version: number;
  liveAt: Date;
  entries: CronEntry[];
};

/** The apps whose live release has cron entries, but for those that are being destroyed. */
export async function listCronApps(db: Db): Promise<CronApp[]> {
  const rows = await db
    .select({
      app: { id: apps.id, orgId: apps.orgId, projectId: apps.projectId },
      version: releases.version,
      liveAt: releases.liveAt,
      entries: sql<CronEntry[]>`${releases.settings} -> 'cron'`,
    })
    .from(apps)
    .innerJoin(releases, eq(releases.id, apps.liveReleaseId))
    .where(and(isNull(apps.destroyRequestedAt), sql`jsonb_typeof(${releases.settings} -> 'cron') = 'array'`));
  return rows.map(({ liveAt, ...row }) => ({ ...row, liveAt: liveAt ?? new Date(0) }));
}

/** The newest moment on record of each entry, by app and name. */
export async function listLastDue(db: Db): Promise<{ appId: string; name: string; dueAt: Date }[]> {
  return db
    .selectDistinctOn([cronRuns.appId, cronRuns.name], {
      appId: cronRuns.appId,
      name: cronRuns.name,
      dueAt: cronRuns.dueAt,
    })
    .from(cronRuns)
    .orderBy(cronRuns.appId, cronRuns.name, desc(cronRuns.dueAt));
}

/** A moment that is to be run by whoever claims it. False where it is on record already. */
export async function insertCronRun(
  tx: Db,
  run: OwnedCronRun & { version: number; reason?: string },
): Promise<boolean> {
  const inserted = await tx.insert(cronRuns).values(run).onConflictDoNothing().returning({ name: cronRuns.name });
  return inserted.length === 1;
}

export type WaitingAsked = {
  /** How many of one app. */
  perApp: number;
  /** How many in all. */
  limit: number;
  /** Apps that have no place left. */
  except: string[];
};

/** What waits for a worker: the oldest of each app first, then the next of each, so that no app hides the others'. */
export async function listWaitingCronRuns(db: Db, { perApp, limit, except }: WaitingAsked): Promise<OwnedCronRun[]> {
  const { appId, orgId, projectId, name, dueAt } = cronRuns;
  const turn = sql<number>`row_number() over (partition by ${appId} order by ${dueAt}, ${name})`;
  const waiting = db
    .select({ appId, orgId, projectId, name, dueAt, turn: turn.as("turn") })
    .from(cronRuns)
    .innerJoin(apps, eq(apps.id, appId))
    .where(and(isWaiting, isNull(apps.destroyRequestedAt), notInArray(appId, except)))
    .as("waiting");
  return db.select().from(waiting).where(lte(waiting.turn, perApp)).orderBy(waiting.turn, waiting.dueAt).limit(limit);
}

/** Takes a waiting run. False where another worker did. */
export async function claimCronRun(tx: Db, key: CronRunKey, version: number, leaseMs: number): Promise<boolean> {
  const claimed = await tx
    .update(cronRuns)
    .set({ version, startedAt: sql`now()`, leaseUntil: leaseEnd(leaseMs) })
    .where(and(isRunning(key), isNull(cronRuns.leaseUntil)))
    .returning({ name: cronRuns.name });
  return claimed.length === 1;
}

/** Holds on to a run for another while. False where it is over, or its app is being destroyed. */
export async function renewCronRun(db: Db, key: CronRunKey, leaseMs: number): Promise<boolean> {
  const renewed = await db
    .update(cronRuns)
    .set({ leaseUntil: leaseEnd(leaseMs) })
    .where(
      and(
        isRunning(key),
        sql`exists (select 1 from ${apps} where ${apps.id} = ${key.appId} and ${apps.destroyRequestedAt} is null)`,
      ),
    )
    .returning({ name: cronRuns.name });
  return renewed.length === 1;
}

/** The newest other run of the same entry that a living worker holds. */
export async function findOtherCronRun(db: Db, { appId, name, dueAt }: CronRunKey): Promise<CronRunRow | null> {
  const [row] = await db
    .select()
    .from(cronRuns)
    .where(
      and(
        eq(cronRuns.appId, appId),
        eq(cronRuns.name, name),
        ne(cronRuns.dueAt, dueAt),
        eq(cronRuns.status, "running"),
        gt(cronRuns.leaseUntil, sql`now()`),
      ),
    )
    .orderBy(desc(cronRuns.dueAt))
    .limit(1);
  return row ?? null;
}

export type CronRunEnding =
  | { status: "done"; exitCode: 0 }
  | { status: "failed"; exitCode: number | null; reason: string }
  | { status: "skipped"; reason: string };

/** Writes how a run ended, and forgets the oldest of its entry. False where it had ended before. */
export async function endCronRun(tx: Db, key: CronRunKey, ending: CronRunEnding): Promise<boolean> {
  const { status } = ending;
  const exitCode = "exitCode" in ending ? ending.exitCode : null;
  const reason = "reason" in ending ? withReason(ending.reason) : cronRuns.reason;
  const ended = await tx
    .update(cronRuns)
    .set({ status, exitCode, reason: sql`${reason}`, leaseUntil: null, finishedAt: sql`now()` })
    .where(isRunning(key))
    .returning({ name: cronRuns.name });
  if (ended.length === 1) await forgetOldRuns(tx, key);
  return ended.length === 1;
}

/** Ends the runs whose workers have died. */
export async function loseCronRuns(tx: Db, reason: string): Promise<CronRunRow[]> {
  return endAll(tx, and(eq(cronRuns.status, "running"), lt(cronRuns.leaseUntil, sql`now()`)), "lost", reason);
}

/** Ends what was due before a moment and still waits for a worker. */
export async function expireCronRuns(tx: Db, before: Date, reason: string): Promise<CronRunRow[]> {
  return endAll(tx, and(isWaiting, lt(cronRuns.dueAt, before)), "skipped", reason);
}

async function endAll(
  tx: Db,
  which: SQL | undefined,
  status: "lost" | "skipped",
  reason: string,
): Promise<CronRunRow[]> {
  const ended = await tx
    .update(cronRuns)
    .set({ status, reason: withReason(reason), leaseUntil: null, finishedAt: sql`now()` })
    .where(which)
    .returning();
  const entries = new Map(ended.map((run) => [`${run.appId} ${run.name}`, run]));
  for (const run of entries.values()) await forgetOldRuns(tx, run);
  return ended;
}

/** The newest runs of an app, of one entry or of all. */
export async function listCronRuns(
  db: Db,
  appId: string,
  { name, limit }: { name?: string | undefined; limit: number },
): Promise<CronRunRow[]> {
  return db
    .select()
    .from(cronRuns)
    .where(and(eq(cronRuns.appId, appId), ...(name === undefined ? [] : [eq(cronRuns.name, name)])))
    .orderBy(desc(cronRuns.dueAt), cronRuns.name)
    .limit(limit);
}

/** The newest run of each of an app's entries, past ones too. */
export async function listLastCronRuns(db: Db, appId: string): Promise<CronRunRow[]> {
  return db
    .selectDistinctOn([cronRuns.name])
    .from(cronRuns)
    .where(eq(cronRuns.appId, appId))
    .orderBy(cronRuns.name, desc(cronRuns.dueAt));
}

async function forgetOldRuns(tx: Db, { appId, name }: CronRunKey): Promise<void> {
  const ofEntry = and(eq(cronRuns.appId, appId), eq(cronRuns.name, name));
  const old = tx
    .select({ dueAt: cronRuns.dueAt })
    .from(cronRuns)
    .where(ofEntry)
    .orderBy(desc(cronRuns.dueAt))
    .offset(keptRuns);
  await tx.delete(cronRuns).where(and(ofEntry, ne(cronRuns.status, "running"), inArray(cronRuns.dueAt, old)));
}

const isWaiting = and(eq(cronRuns.status, "running"), isNull(cronRuns.leaseUntil));

function isRunning({ appId, name, dueAt }: CronRunKey) {
  return and(
    eq(cronRuns.appId, appId),
    eq(cronRuns.name, name),
    eq(cronRuns.dueAt, dueAt),
    eq(cronRuns.status, "running"),
  );
}

const leaseEnd = (leaseMs: number) => sql`now() + ${leaseMs} * interval '1 ms'`;

/** Who asked for it stays in front. */
const withReason = (reason: string) => sql`coalesce(${cronRuns.reason} || ': ', '') || ${reason}::text`;
