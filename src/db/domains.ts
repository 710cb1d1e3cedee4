import { and, asc, eq, inArray } from "drizzle-orm";
import { UserError } from "../errors.ts";
import { readableHost } from "../model/hosts.ts";
import type { Db } from "./client.ts";
import { type AppRow, apps, type DomainRow, domains } from "./schema.ts";

/** The host names besides its own that lead to an app. */
export async function listHosts(db: Db, appId: string): Promise<string[]> {
  return (await listDomains(db, appId)).map((row) => row.host);
}

export async function listDomains(db: Db, appId: string): Promise<DomainRow[]> {
  return db.select().from(domains).where(eq(domains.appId, appId)).orderBy(asc(domains.host));
}

/**
 * Lets hosts lead to an app; answers those that did not before. Of two who ask at once for the same, one gets it.
 * @throws UserError conflict where one leads to another app
 */
export async function insertDomains(tx: Db, app: AppRow, hosts: string[], by: string): Promise<string[]> {
  const { orgId, projectId } = app;
  // In one order for all, so that two who ask for the same hosts do not wait for each other.
  const rows = hosts.toSorted().map((host) => ({ host, appId: app.id, orgId, projectId, createdBy: by }));
  const added = await tx.insert(domains).values(rows).onConflictDoNothing().returning({ host: domains.host });
  const holders = await tx
    .select({ host: domains.host, appId: domains.appId, orgId: domains.orgId, appName: apps.name })
    .from(domains)
    .innerJoin(apps, eq(apps.id, domains.appId))
    .where(inArray(domains.host, hosts))
    .orderBy(asc(domains.host));
  const taken = holders.find((holder) => holder.appId !== app.id);
  if (taken) throw takenHost(app, taken);
  const isNew = new Set(added.map(({ host }) => host));
  return hosts.filter((host) => isNew.has(host));
}

/** Hosts of other orgs are taken, and that is all that is said of them. */
function takenHost(app: AppRow, { host, orgId, appName }: { host: string; orgId: string; appName: string }): UserError {
  if (orgId !== app.orgId) return new UserError("conflict", `${readableHost(host)} is taken`);
  const hint = `zyndra domains:remove ${appName} ${host} makes it free`;
  return new UserError("conflict", `${readableHost(host)} leads to ${appName}`, hint);
}

/** Takes hosts from an app; answers those that it had. */
export async function deleteDomains(tx: Db, appId: string, hosts: string[]): Promise<string[]> {
  const gone = await tx
    .delete(domains)
    .where(and(eq(domains.appId, appId), inArray(domains.host, hosts)))
    .returning({ host: domains.host });
  return gone.map(({ host }) => host);
}
