import { and, desc, eq, inArray } from "drizzle-orm";
import type { Actor } from "../model/actor.ts";
import type { Db } from "./client.ts";
import { type AppRow, audit } from "./schema.ts";
import { storable } from "./storable.ts";

export type AuditEntry = {
  command: string;
  subject?: string | undefined;
  input?: Record<string, unknown> | undefined;
  outcome: "done" | "refused" | "failed";
  reason?: string | undefined;
};

/** Records who did what, from where, and how it went. */
export async function insertAudit(tx: Db, actor: Actor, entry: AuditEntry): Promise<void> {
  await tx.insert(audit).values({
    orgId: actor.orgId,
    userId: actor.userId,
    actorName: actor.name,
    door: actor.door,
    tokenId: actor.tokenId ?? null,
    command: entry.command,
    subject: entry.subject ?? null,
    input: storable(entry.input ?? null),
    outcome: entry.outcome,
    reason: storable(entry.reason ?? null),
  });
}

/** The newest audit rows of an org first. */
export async function listAudit(db: Db, orgId: string, limit: number) {
  return db.select().from(audit).where(eq(audit.orgId, orgId)).orderBy(desc(audit.id)).limit(limit);
}

/** Who changed how many processes of an app run, newest first: the types that were named, or all. */
export async function listScalings(
  db: Db,
  app: Pick<AppRow, "orgId" | "name">,
): Promise<{ command: string; actorName: string; types: string[] | "all" }[]> {
  const rows = await db
    .select({ command: audit.command, actorName: audit.actorName, input: audit.input })
    .from(audit)
    .where(
      and(
        eq(audit.orgId, app.orgId),
        eq(audit.subject, app.name),
        inArray(audit.command, ["ps:scale", "ps:stop", "ps:start"]),
        eq(audit.outcome, "done"),
      ),
    )
    .orderBy(desc(audit.id))
    .limit(200);
  return rows.map(({ command, actorName, input }) => {
    const { changes = {}, types = Object.keys(changes) } = (input ?? {}) as { changes?: object; types?: string[] };
    return { command, actorName, types: command !== "ps:scale" && types.length === 0 ? "all" : types };
  });
}
