import { and, asc, eq, inArray, isNull, lt, or, sql } from "drizzle-orm";
import type { AddonState } from "../model/addons.ts";
import type { Cause } from "../model/cause.ts";
import type { Db } from "./client.ts";
import { type AddonRow, addons } from "./schema.ts";
import { storable } from "./storable.ts";

/**
 * The right to make or remove one add-on: held by one worker at a time, lost when it is not renewed. `until` is the row's own
 * value, by which the holder knows the row again.
 */
export type AddonLease = { addonId: string; until: Date };

const free = or(isNull(addons.leaseUntil), lt(addons.leaseUntil, sql`now()`));

/** To whole milliseconds, which is all that a Date holds. */
const inMs = (ms: number) => sql`date_trunc('milliseconds', now() + ${ms} * interval '1 ms')`;

/** Takes the add-on that has waited longest to be made or removed. Null where none waits. */
export async function claimAddon(tx: Db, leaseMs: number): Promise<{ addon: AddonRow; lease: AddonLease } | null> {
  const [waiting] = await tx
    .select({ id: addons.id })
    .from(addons)
    .where(and(inArray(addons.state, ["creating", "destroying"]), free))
    .orderBy(asc(addons.createdAt))
    .limit(1)
    .for("update", { skipLocked: true });
  if (!waiting) return null;
  const [addon] = await tx
    .update(addons)
    .set({ leaseUntil: inMs(leaseMs) })
    .where(eq(addons.id, waiting.id))
    .returning();
  return { addon: addon!, lease: { addonId: addon!.id, until: addon!.leaseUntil! } };
}

/** Holds on for another while. Null where it was lost to another, or something else is to be done with it. */
export async function renewAddonLease(
  db: Db,
  lease: AddonLease,
  state: AddonState,
  leaseMs: number,
): Promise<AddonLease | null> {
  const [row] = await db
    .update(addons)
    .set({ leaseUntil: inMs(leaseMs) })
    .where(and(held(lease), eq(addons.state, state)))
    .returning({ until: addons.leaseUntil });
  return row ? { addonId: lease.addonId, until: row.until! } : null;
}

/** Gives the add-on back; nobody takes it up before the pause is over. Nothing happens where it was lost before. */
export async function releaseAddon(db: Db, lease: AddonLease, pauseMs = 0): Promise<void> {
  await db
    .update(addons)
    .set({ leaseUntil: pauseMs === 0 ? null : inMs(pauseMs) })
    .where(held(lease));
}

/** What a holder writes down of an add-on. False where it was lost, or is to be destroyed meanwhile. */
export async function noteAddon(
  tx: Db,
  lease: AddonLease,
  from: AddonState,
  change: { state?: AddonState; sealedAccess?: string; cause?: Cause | null },
): Promise<boolean> {
  const rows = await tx
    .update(addons)
    .set({ ...change, ...(change.cause ? { cause: storable(change.cause) } : {}) })
    .where(and(held(lease), eq(addons.state, from)))
    .returning({ id: addons.id });
  return rows.length === 1;
}

/** Forgets an add-on of which nothing is left. False where it was lost. */
export async function deleteAddon(tx: Db, lease: AddonLease): Promise<boolean> {
  const gone = await tx.delete(addons).where(held(lease)).returning({ id: addons.id });
  return gone.length === 1;
}

function held({ addonId, until }: AddonLease) {
  return and(eq(addons.id, addonId), eq(addons.leaseUntil, until));
}
