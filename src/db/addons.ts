import { and, asc, eq, inArray, type SQL, sql } from "drizzle-orm";
import { UserError } from "../errors.ts";
import type { AddonKind, VolumeMount } from "../model/addons.ts";
import { clip, nearest } from "../model/names.ts";
import { clashOn, type Db } from "./client.ts";
import { type AddonRow, type AppRow, addons, apps, attachments } from "./schema.ts";

export type NewAddon = Pick<AddonRow, "id" | "orgId" | "projectId" | "kind" | "name" | "sealedAccess" | "createdBy">;

/** @throws UserError conflict where the name is taken; `otherwise` is what makes it under another one */
export async function insertAddon(tx: Db, addon: NewAddon, otherwise: string): Promise<AddonRow> {
  try {
    const [row] = await tx.insert(addons).values(addon).returning();
    return row!;
  } catch (error) {
    if (clashOn(error) !== "addons_name") throw error;
    const hint = `a name is unique in its project; choose another: ${otherwise}`;
    throw new UserError("conflict", `there is an add-on called ${addon.name}`, hint);
  }
}

/** An add-on of this org by name. @throws UserError not_found, also for those of other orgs */
export async function getAddon(db: Db, orgId: string, name: string): Promise<AddonRow> {
  const rows = await db.select().from(addons).where(eq(addons.orgId, orgId)).orderBy(asc(addons.name));
  const found = rows.find((row) => row.name === name);
  if (found) return found;
  const near = nearest(
    name,
    rows.map((row) => row.name),
  );
  const meant = near === undefined ? "" : ` Did you mean ${near}?`;
  throw new UserError(
    "not_found",
    `no add-on is called "${clip(name)}".${meant}`,
    "zyndra addons --all lists what there is",
  );
}

/** An add-on by id, whatever org it belongs to: for the platform's own work. Null once it is gone. */
export async function findAddonById(db: Db, addonId: string): Promise<AddonRow | null> {
  const [row] = await db.select().from(addons).where(eq(addons.id, addonId));
  return row ?? null;
}

/** Takes the add-on's row until the transaction ends. Who needs apps as well takes those first. @throws UserError gone */
export async function lockAddon(tx: Db, addonId: string): Promise<AddonRow> {
  const [row] = await tx.select().from(addons).where(eq(addons.id, addonId)).for("update");
  if (row) return row;
  throw new UserError("gone", "the add-on was removed meanwhile", "zyndra addons --all lists what there is");
}

export async function listAddonNames(db: Db, projectId: string): Promise<string[]> {
  const rows = await db.select({ name: addons.name }).from(addons).where(eq(addons.projectId, projectId));
  return rows.map((row) => row.name);
}

/** Where an add-on is attached. */
export type AttachedTo = { appId: string; appName: string; prefix: string; mountPath: string | null };

/** The add-ons of an org, or those attached to one of its apps, by name, each with all it is attached to. */
export async function listAddons(
  db: Db,
  orgId: string,
  { appId, kind }: { appId?: string | undefined; kind?: AddonKind | undefined } = {},
): Promise<{ addon: AddonRow; attachedTo: AttachedTo[] }[]> {
  const rows = await db
    .select()
    .from(addons)
    .where(and(eq(addons.orgId, orgId), kind === undefined ? undefined : eq(addons.kind, kind)))
    .orderBy(asc(addons.name));
  const all = await listAttachedTo(
    db,
    rows.map(({ id }) => id),
  );
  return rows
    .map((addon) => ({ addon, attachedTo: all.get(addon.id) ?? [] }))
    .filter(({ attachedTo }) => appId === undefined || attachedTo.some((each) => each.appId === appId));
}

/** By add-on, what it is attached to, apps by name. */
export async function listAttachedTo(db: Db, addonIds: string[]): Promise<Map<string, AttachedTo[]>> {
  const found = new Map<string, AttachedTo[]>();
  if (addonIds.length === 0) return found;
  const rows = await db
    .select({
      addonId: attachments.addonId,
      appId: apps.id,
      appName: apps.name,
      prefix: attachments.prefix,
      mountPath: attachments.mountPath,
    })
    .from(attachments)
    .innerJoin(apps, eq(apps.id, attachments.appId))
    .where(inArray(attachments.addonId, addonIds))
    .orderBy(asc(apps.name));
  for (const { addonId, ...each } of rows) found.set(addonId, [...(found.get(addonId) ?? []), each]);
  return found;
}

export type NewAttachment = { prefix: string; mountPath: string | null; createdBy: string };

/** @throws UserError conflict where it is attached already, or the prefix or the path is taken in this app */
export async function insertAttachment(tx: Db, addon: AddonRow, app: AppRow, attachment: NewAttachment): Promise<void> {
  try {
    const { orgId, projectId } = app;
    await tx.insert(attachments).values({ addonId: addon.id, appId: app.id, orgId, projectId, ...attachment });
  } catch (error) {
    switch (clashOn(error)) {
      case "attachments_addon_id_app_id_pk":
        throw new UserError(
          "conflict",
          `${addon.name} is attached to ${app.name} already`,
          `zyndra addons:info ${addon.name} says under which names`,
        );
      case "attachments_prefix":
        throw new UserError(
          "conflict",
          `another add-on of ${app.name} has taken the names that begin with ${attachment.prefix}_`,
          "choose how the names begin: --as ORDERS, for example",
        );
      case "attachments_mount":
        throw new UserError(
          "conflict",
          `another volume of ${app.name} is mounted at ${attachment.mountPath}`,
          "choose another place: --mount /app/files, for example",
        );
    }
    throw error;
  }
}

/** False where it was not attached. */
export async function deleteAttachment(tx: Db, addonId: string, appId: string): Promise<boolean> {
  const gone = await tx
    .delete(attachments)
    .where(and(eq(attachments.addonId, addonId), eq(attachments.appId, appId)))
    .returning({ addonId: attachments.addonId });
  return gone.length === 1;
}

/** Takes the rows of all apps that an add-on is attached to, in an order that is always the same. */
export async function lockAppsOf(tx: Db, addonId: string): Promise<AppRow[]> {
  const attachedTo = tx.select({ id: attachments.appId }).from(attachments).where(eq(attachments.addonId, addonId));
  return tx.select().from(apps).where(inArray(apps.id, attachedTo)).orderBy(asc(apps.id)).for("update");
}

/** The apps that anything is attached to, of all orgs. */
export async function listAppIdsWithAddons(db: Db): Promise<string[]> {
  const rows = await db.selectDistinct({ id: attachments.appId }).from(attachments).orderBy(asc(attachments.appId));
  return rows.map(({ id }) => id);
}

/** All that is made, of all orgs. */
export async function listAvailableAddons(db: Db): Promise<AddonRow[]> {
  return db.select().from(addons).where(eq(addons.state, "available")).orderBy(asc(addons.createdAt));
}

/** How many there are of a kind, of all orgs and in any state. */
export async function countOfKind(db: Db, kind: AddonKind): Promise<number> {
  return db.$count(addons, eq(addons.kind, kind));
}

/** The same for who makes one more. Nobody else counts them this way before the transaction ends: else all of many find room. */
export async function countForOneMore(tx: Db, kind: AddonKind): Promise<number> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`zyndra one more ${kind}`}, 0))`);
  return countOfKind(tx, kind);
}

/** How many there are, of all orgs; `troubled` are being made or removed, and something stood in the way. */
export async function countAddons(db: Db): Promise<{ available: number; failed: number; troubled: number }> {
  const count = (which: SQL) => sql<number>`count(*) filter (where ${which})`.mapWith(Number);
  const [row] = await db
    .select({
      available: count(sql`${addons.state} = 'available'`),
      failed: count(sql`${addons.state} = 'failed'`),
      troubled: count(sql`${addons.state} in ('creating', 'destroying') and ${addons.cause} is not null`),
    })
    .from(addons);
  return row!;
}

/** Writes down how a made add-on is reached from now on. False where it is in another state by now. */
export async function moveAddon(tx: Db, addonId: string, sealedAccess: string): Promise<boolean> {
  const moved = await tx
    .update(addons)
    .set({ sealedAccess })
    .where(and(eq(addons.id, addonId), eq(addons.state, "available")))
    .returning({ id: addons.id });
  return moved.length === 1;
}

/** From here on the add-on only goes; whoever works on it next removes it. */
export async function requestAddonDestroy(tx: Db, addonId: string, by: string): Promise<void> {
  await tx
    .update(addons)
    .set({
      state: "destroying",
      cause: null,
      destroyRequestedAt: sql`coalesce(${addons.destroyRequestedAt}, now())`,
      destroyRequestedBy: sql`coalesce(${addons.destroyRequestedBy}, ${by})`,
    })
    .where(eq(addons.id, addonId));
}

/** One that could not be made is to be tried again. False where it is in another state by now. */
export async function retryAddon(tx: Db, addonId: string): Promise<boolean> {
  const moved = await tx
    .update(addons)
    .set({ state: "creating", cause: null })
    .where(and(eq(addons.id, addonId), eq(addons.state, "failed")))
    .returning({ id: addons.id });
  return moved.length === 1;
}

/** What is attached to an app, with how it is reached (sealed). */
export async function listAttached(db: Db, appId: string) {
  return db
    .select({ addon: addons, prefix: attachments.prefix, mountPath: attachments.mountPath })
    .from(attachments)
    .innerJoin(addons, eq(addons.id, attachments.addonId))
    .where(eq(attachments.appId, appId))
    .orderBy(asc(attachments.prefix));
}

/** The volumes of an app that are made, and where its processes find them. */
export async function listVolumes(db: Db, appId: string): Promise<VolumeMount[]> {
  const rows = await db
    .select({ addonId: addons.id, name: addons.name, path: attachments.mountPath })
    .from(attachments)
    .innerJoin(addons, eq(addons.id, attachments.addonId))
    .where(and(eq(attachments.appId, appId), eq(addons.kind, "volume"), eq(addons.state, "available")))
    .orderBy(asc(attachments.mountPath));
  return rows.flatMap(({ addonId, name, path }) => (path === null ? [] : [{ addonId, name, path }]));
}
