import { and, asc, eq } from "drizzle-orm";
import type { VolumeMount } from "../model/addons.ts";
import type { Db } from "./client.ts";
import { addons, attachments } from "./schema.ts";

/** What is attached to an app, with how it is reached (sealed). */
export async function listAttached(db: Db, appId: string) {
  return db
    .select({ addon: addons, prefix: attachments.prefix, mountPath: attachments.mountPath })
    .from(attachments)
    .innerJoin(addons, eq(addons.id, attachments.addonId))
    .where(eq(attachments.appId, appId))
    .orderBy(asc(attachments.prefix));
}

/** The volumes of an app, and where its processes find them. */
export async function listVolumes(db: Db, appId: string): Promise<VolumeMount[]> {
  const rows = await db
    .select({ addonId: addons.id, name: addons.name, path: attachments.mountPath })
    .from(attachments)
    .innerJoin(addons, eq(addons.id, attachments.addonId))
    .where(and(eq(attachments.appId, appId), eq(addons.kind, "volume")))
    .orderBy(asc(attachments.mountPath));
  return rows.flatMap(({ addonId, name, path }) => (path === null ? [] : [{ addonId, name, path }]));
}
