import { randomUUID } from "node:crypto";
import { and, asc, eq, inArray, type SQL, sql } from "drizzle-orm";
import { UserError } from "../errors.ts";
import { type DeployStatus, runningStatuses } from "../model/deploy.ts";
import { outboxTopic } from "../model/event.ts";
import { noAppCalled } from "../model/names.ts";
import type { Formation, Restarts } from "../model/process-types.ts";
import { clashOn, type Db } from "./client.ts";
import { ring } from "./events.ts";
import { type AppRow, apps, deploys, formations, outbox, releases } from "./schema.ts";

/** @throws UserError conflict where the name is taken, by whomever. */
export async function insertApp(tx: Db, app: { orgId: string; projectId: string; name: string }): Promise<AppRow> {
  try {
    const [row] = await tx
      .insert(apps)
      .values({ id: randomUUID(), ...app })
      .returning();
    return row!;
  } catch (error) {
    throw nameTaken(error, app.name, "choose another: zyndra apps:create NAME");
  }
}

function nameTaken(error: unknown, name: string, hint: string): unknown {
  return clashOn(error) === "apps_name_unique" ? new UserError("conflict", `the name ${name} is taken`, hint) : error;
}

/** An app of this org by name. @throws UserError not_found, also for apps of other orgs. */
export async function getApp(db: Db, orgId: string, name: string): Promise<AppRow> {
  const [row] = await db
    .select()
    .from(apps)
    .where(and(eq(apps.orgId, orgId), eq(apps.name, name)));
  if (row) return row;
  const names = await listAppNames(db, orgId);
  throw new UserError("not_found", noAppCalled(name, names), "zyndra apps lists what there is");
}

/** An app by id, whatever org it belongs to: for the platform's own work. Null once it is gone. */
export async function findAppById(db: Db, appId: string): Promise<AppRow | null> {
  const [row] = await db.select().from(apps).where(eq(apps.id, appId));
  return row ?? null;
}

/** Takes the app's row until the transaction ends, so that decisions about one app come one after the other. */
export async function lockApp(tx: Db, appId: string): Promise<AppRow> {
  const [row] = await tx.select().from(apps).where(eq(apps.id, appId)).for("update");
  if (!row) throw new UserError("gone", "the app was removed meanwhile", "zyndra apps lists what there is");
  return row;
}

/** The same, by the app's name in this org. @throws UserError not_found, gone */
export async function lockNamedApp(tx: Db, orgId: string, name: string): Promise<AppRow> {
  return lockApp(tx, (await getApp(tx, orgId, name)).id);
}

export async function listAppNames(db: Db, orgId: string): Promise<string[]> {
  const rows = await db.select({ name: apps.name }).from(apps).where(eq(apps.orgId, orgId)).orderBy(asc(apps.name));
  return rows.map((row) => row.name);
}

/** All apps of an org with what is live and what runs now, by name. */
export async function listApps(db: Db, orgId: string) {
  return db
    .select({
      app: apps,
      version: releases.version,
      liveAt: releases.liveAt,
      running: { number: deploys.number, status: sql<DeployStatus>`${deploys.status}` },
    })
    .from(apps)
    .leftJoin(releases, eq(releases.id, apps.liveReleaseId))
    .leftJoin(deploys, and(eq(deploys.appId, apps.id), inArray(deploys.status, [...runningStatuses])))
    .where(eq(apps.orgId, orgId))
    .orderBy(asc(apps.name));
}

/** How many processes of each type are asked for. */
export async function getFormation(db: Db, appId: string): Promise<Formation> {
  const rows = await db.select().from(formations).where(eq(formations.appId, appId));
  return Object.fromEntries(rows.map((row) => [row.processType, row.count]));
}

/** Writes the counts that changed; answers the revision at which they hold. */
export async function setFormation(tx: Db, app: AppRow, changes: Formation): Promise<number> {
  for (const [processType, count] of Object.entries(changes)) {
    await tx
      .insert(formations)
      .values({ appId: app.id, orgId: app.orgId, projectId: app.projectId, processType, count })
      .onConflictDoUpdate({ target: [formations.appId, formations.processType], set: { count } });
  }
  return changeApp(tx, app.id, {});
}

/** What can be changed about a running app without a release. */
type WantedChange = {
  name?: string;
  restarts?: Restarts;
  maintenanceSince?: SQL | null;
  maintenanceBy?: string | null;
};

/** Writes a change that the runtime has to follow; answers the revision at which it holds. The ring for it is the caller's. */
export async function changeApp(tx: Db, appId: string, change: WantedChange): Promise<number> {
  const [row] = await tx
    .update(apps)
    .set({ ...change, wantedRevision: sql`${apps.wantedRevision} + 1` })
    .where(eq(apps.id, appId))
    .returning({ revision: apps.wantedRevision });
  return row!.revision;
}

/** Answers the revision at which the new name is the app's address. @throws UserError conflict where it is taken, by whomever */
export async function renameApp(tx: Db, app: AppRow, name: string): Promise<number> {
  try {
    return await changeApp(tx, app.id, { name });
  } catch (error) {
    throw nameTaken(error, name, `choose another: zyndra apps:rename ${app.name} NAME`);
  }
}

/**
 * Asks that these processes (`web.1`), process types or all (`*`) are started anew; answers the revision at which they are.
 * The caller holds the app's row.
 */
export async function requestRestart(tx: Db, app: AppRow, keys: string[]): Promise<number> {
  const revision = app.wantedRevision + 1;
  const isCovered = (key: string) => keys.includes("*") || keys.includes(key) || keys.includes(key.split(".")[0]!);
  const others = Object.entries(app.restarts).filter(([key]) => !isCovered(key));
  const restarts = Object.fromEntries([...others, ...keys.map((key) => [key, revision] as const)]);
  return changeApp(tx, app.id, { restarts });
}

/**
 * What was asked to restart after one revision and up to another did not come up: that was told, and is not tried again with
 * whatever is changed next. The caller holds the app's row.
 */
export async function forgetRestarts(tx: Db, app: AppRow, after: number, upTo: number): Promise<void> {
  const kept = Object.entries(app.restarts).filter(([, revision]) => revision <= after || revision > upTo);
  await tx
    .update(apps)
    .set({ restarts: Object.fromEntries(kept) })
    .where(eq(apps.id, app.id));
}

/** Switches maintenance on, in somebody's name, or off; answers the revision at which it is. */
export async function setMaintenance(tx: Db, appId: string, by: string | null): Promise<number> {
  return changeApp(tx, appId, { maintenanceSince: by === null ? null : sql`now()`, maintenanceBy: by });
}

/** From here on no source work starts, until it is unlocked. */
export async function lockDeploys(tx: Db, appId: string, lock: { by: string; reason: string }): Promise<void> {
  await tx
    .update(apps)
    .set({ lockedAt: sql`now()`, lockedBy: lock.by, lockReason: lock.reason })
    .where(eq(apps.id, appId));
}

export async function unlockDeploys(tx: Db, appId: string): Promise<void> {
  await tx.update(apps).set({ lockedAt: null, lockedBy: null, lockReason: null }).where(eq(apps.id, appId));
}

/** From here on the app only goes; whoever works on it next removes it. */
export async function requestDestroy(tx: Db, appId: string, by: string): Promise<void> {
  await tx
    .update(apps)
    .set({ destroyRequestedAt: sql`coalesce(${apps.destroyRequestedAt}, now())`, destroyRequestedBy: by })
    .where(eq(apps.id, appId));
}

/** Removes all rows of an app but its audit and its events: who follows its deploys still reads how they ended. */
export async function deleteApp(tx: Db, appId: string, fence: number): Promise<boolean> {
  await tx.delete(outbox).where(eq(outbox.appId, appId));
  // Releases and builds point at each other's rows; the app's own delete takes the rest.
  await tx.delete(releases).where(eq(releases.appId, appId));
  const gone = await tx
    .delete(apps)
    .where(and(eq(apps.id, appId), eq(apps.fence, fence)))
    .returning({ id: apps.id });
  return gone.length === 1;
}

/** Leaves a ring for the relay, in the transaction of what it tells of. */
export async function insertRing(tx: Db, app: Pick<AppRow, "id" | "orgId" | "projectId">): Promise<void> {
  await tx.insert(outbox).values({ appId: app.id, orgId: app.orgId, projectId: app.projectId });
  await ring(tx, outboxTopic);
}

/** Takes up to a hundred rings; they are gone when the transaction commits. */
export async function takeRings(tx: Db): Promise<string[]> {
  const rows = await tx
    .delete(outbox)
    .where(
      inArray(
        outbox.id,
        tx.select({ id: outbox.id }).from(outbox).orderBy(outbox.id).limit(100).for("update", { skipLocked: true }),
      ),
    )
    .returning({ appId: outbox.appId });
  return [...new Set(rows.map((row) => row.appId))];
}
