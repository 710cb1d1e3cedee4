import { desc, eq } from "drizzle-orm";
import type { Actor } from "../model/actor.ts";
import type { Db } from "./client.ts";
import { audit } from "./schema.ts";
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
