import { and, eq, isNull, lt, or, sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { type AppRow, apps, deploys } from "./schema.ts";

/**
 * The right to change what runs of one app: held by one worker at a time, lost when it is not renewed. The fence grows
 * with each claim; every write of the holder checks that it is still the newest.
 */
export type Lease = { appId: string; holder: string; fence: number };

/** The app belongs to another worker by now: stop, write nothing. */
export class StaleLease extends Error {
  override name = "StaleLease";
}

const free = or(isNull(apps.leaseHolder), lt(apps.leaseUntil, sql`now()`));

/** Takes an app whose lease is free. `wasLost` = its last holder died with it. Null where it is held, or gone. */
export async function claimLease(
  tx: Db,
  appId: string,
  holder: string,
  leaseMs: number,
): Promise<{ lease: Lease; app: AppRow; wasLost: boolean } | null> {
  const [before] = await tx
    .select()
    .from(apps)
    .where(and(eq(apps.id, appId), free))
    .for("update", { skipLocked: true });
  if (!before) return null;
  const [app] = await tx
    .update(apps)
    .set({ leaseHolder: holder, fence: sql`${apps.fence} + 1`, leaseUntil: sql`now() + ${leaseMs} * interval '1 ms'` })
    .where(eq(apps.id, appId))
    .returning();
  return { lease: { appId, holder, fence: app!.fence }, app: app!, wasLost: before.leaseHolder !== null };
}

/** Holds on for another while. False where the app was lost to another. */
export async function renewLease(db: Db, lease: Lease, leaseMs: number): Promise<boolean> {
  const renewed = await db
    .update(apps)
    .set({ leaseUntil: sql`now() + ${leaseMs} * interval '1 ms'` })
    .where(and(eq(apps.id, lease.appId), eq(apps.fence, lease.fence), eq(apps.leaseHolder, lease.holder)))
    .returning({ id: apps.id });
  return renewed.length === 1;
}

/** Gives the app back. Nothing happens where it was lost before. */
export async function releaseLease(db: Db, lease: Lease): Promise<void> {
  await db
    .update(apps)
    .set({ leaseHolder: null, leaseUntil: null })
    .where(and(eq(apps.id, lease.appId), eq(apps.fence, lease.fence), eq(apps.leaseHolder, lease.holder)));
}

/**
 * First statement of every transaction that a lease's holder writes: takes the app's row, so that no claim can come in
 * between. @throws StaleLease
 */
export async function holdFence(tx: Db, lease: Lease): Promise<AppRow> {
  const [app] = await tx
    .select()
    .from(apps)
    .where(and(eq(apps.id, lease.appId), eq(apps.fence, lease.fence)))
    .for("no key update");
  if (!app) throw new StaleLease(`app ${lease.appId} is held by another worker`);
  return app;
}

const hasWork = sql`(
  ${apps.destroyRequestedAt} is not null
  or ${apps.wantedRevision} > ${apps.appliedRevision}
  or exists (
    select 1 from ${deploys}
    where ${deploys.appId} = ${apps.id}
      and (${deploys.status} in ('queued', 'building', 'releasing', 'rolling_out') or ${deploys.toldAt} is null)
  )
)`;

/** Apps with work that nobody holds. */
export async function listWaitingApps(db: Db, limit: number): Promise<string[]> {
  const rows = await db.select({ id: apps.id }).from(apps).where(and(free, hasWork)).limit(limit);
  return rows.map((row) => row.id);
}

export async function isWaiting(db: Db, appId: string): Promise<boolean> {
  const rows = await db
    .select({ id: apps.id })
    .from(apps)
    .where(and(eq(apps.id, appId), free, hasWork));
  return rows.length > 0;
}
