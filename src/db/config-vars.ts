import { randomUUID } from "node:crypto";
import { and, asc, eq, inArray, sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { type AppRow, configVars } from "./schema.ts";

/** A config var as stored: sealed to its row. */
export type SealedVar = { id: string; name: string; sealedValue: string; updatedAt: Date; updatedBy: string };

export async function listConfigVars(db: Db, appId: string): Promise<SealedVar[]> {
  return db
    .select({
      id: configVars.id,
      name: configVars.name,
      sealedValue: configVars.sealedValue,
      updatedAt: configVars.updatedAt,
      updatedBy: configVars.updatedBy,
    })
    .from(configVars)
    .where(eq(configVars.appId, appId))
    .orderBy(asc(configVars.name));
}

/** Puts a var in place of the one of that name. The value is sealed to `id`, so a new value comes with a new id. */
export async function putConfigVar(
  tx: Db,
  app: AppRow,
  sealed: { id: string; name: string; sealedValue: string },
  by: string,
): Promise<void> {
  await tx
    .insert(configVars)
    .values({ appId: app.id, orgId: app.orgId, projectId: app.projectId, updatedBy: by, ...sealed })
    .onConflictDoUpdate({
      target: [configVars.appId, configVars.name],
      set: { id: sealed.id, sealedValue: sealed.sealedValue, updatedAt: sql`now()`, updatedBy: by },
    });
}

export const newConfigVarId = () => randomUUID();

/** Removes vars by name; answers the names that were there. */
export async function deleteConfigVars(tx: Db, appId: string, names: string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const gone = await tx
    .delete(configVars)
    .where(and(eq(configVars.appId, appId), inArray(configVars.name, names)))
    .returning({ name: configVars.name });
  return gone.map((row) => row.name);
}
