import { and, eq, inArray, isNull, or, sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { type AppRow, type RunRow, releases, runs } from "./schema.ts";

/** A run with its number among those of its app: the 3 of `run.3`. */
export type NumberedRun = RunRow & { number: number };

/** One that nobody has taken up by then is never taken up. */
const waitsAtMost = sql`interval '1 minute'`;
const mayBegin = and(eq(runs.status, "waiting"), sql`${runs.createdAt} > now() - ${waitsAtMost}`);

// Drizzle leaves a table's name out where a query has but one, and here there are two of the same.
const number = sql<number>`(select count(*)::int from runs earlier where earlier.app_id = "runs"."app_id"
  and (earlier.created_at, earlier.id) <= ("runs"."created_at", "runs"."id"))`;

export type NewRun = Pick<RunRow, "id" | "releaseId" | "command" | "userId" | "actorName">;

/** Notes that a command is to be run. The caller holds the app's row, so that numbers stay as they are. */
export async function insertRun(tx: Db, app: AppRow, run: NewRun): Promise<NumberedRun> {
  // By the moment at which the app's row was held: that of the transaction may be before another's.
  const createdAt = sql`clock_timestamp()`;
  await tx.insert(runs).values({ appId: app.id, orgId: app.orgId, projectId: app.projectId, createdAt, ...run });
  return (await findRun(tx, app.orgId, run.id))!;
}

/** Null where it is unknown, also for runs of other orgs. */
export async function findRun(db: Db, orgId: string, runId: string): Promise<NumberedRun | null> {
  const [row] = await db
    .select()
    .from(runs)
    .where(and(eq(runs.id, runId), eq(runs.orgId, orgId)));
  return row ? numbered(db, row) : null;
}

/** What of an app runs, or is about to, oldest first; with the release that it runs in. */
export async function listActiveRuns(db: Db, appId: string): Promise<(NumberedRun & { version: number })[]> {
  const rows = await db
    .select({ run: runs, number, version: releases.version })
    .from(runs)
    .innerJoin(releases, eq(releases.id, runs.releaseId))
    .where(and(eq(runs.appId, appId), or(eq(runs.status, "running"), mayBegin)))
    .orderBy(runs.createdAt, runs.id);
  return rows.map(({ run, ...rest }) => ({ ...run, ...rest }));
}

/** Those that wait for nobody but the platform itself. */
export async function listDetachedRuns(db: Db): Promise<RunRow[]> {
  return db
    .select()
    .from(runs)
    .where(and(mayBegin, isNull(runs.userId)));
}

/** Takes up a run that waits; null where someone else has, or it has waited too long. */
export async function claimRun(db: Db, runId: string): Promise<NumberedRun | null> {
  const [row] = await db
    .update(runs)
    .set({ status: "running", startedAt: sql`now()` })
    .where(and(eq(runs.id, runId), mayBegin))
    .returning();
  return row ? numbered(db, row) : null;
}

/** Without an exit code it was ended. False where it was over already. */
export async function endRun(db: Db, runId: string, exitCode: number | null): Promise<boolean> {
  const ended = await db
    .update(runs)
    .set({ status: "ended", exitCode, finishedAt: sql`now()` })
    .where(and(eq(runs.id, runId), inArray(runs.status, ["waiting", "running"])))
    .returning({ id: runs.id });
  return ended.length === 1;
}

/** Whether it still is to run. */
export async function isRunning(db: Db, runId: string): Promise<boolean> {
  const rows = await db
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.id, runId), eq(runs.status, "running")));
  return rows.length === 1;
}

/** For the start of a platform: what another one had running ended with it. */
export async function loseRuns(db: Db): Promise<void> {
  await db.update(runs).set({ status: "lost", finishedAt: sql`now()` }).where(eq(runs.status, "running"));
}

async function numbered(db: Db, run: RunRow): Promise<NumberedRun> {
  const [row] = await db.select({ number }).from(runs).where(eq(runs.id, run.id));
  return { ...run, number: row!.number };
}
