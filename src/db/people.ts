import { randomUUID } from "node:crypto";
import { and, desc, eq, isNull, sql } from "drizzle-orm";
import type { Role } from "../model/actor.ts";
import type { Db } from "./client.ts";
import { members, orgs, platform, projects, tokens, users } from "./schema.ts";

/** The row of this installation; made by the first process that asks. */
export async function ensurePlatform(db: Db, made: { id: string; keyCheck: string }) {
  await db.insert(platform).values({ id: made.id, keyCheck: made.keyCheck }).onConflictDoNothing();
  const [row] = await db.select().from(platform);
  return row!;
}

/** Whether this database belongs to an installation already. */
export async function hasPlatform(db: Db): Promise<boolean> {
  return (await db.select({ id: platform.id }).from(platform)).length > 0;
}

/** The owner who was there first; null before the platform is claimed. */
export async function findFirstOwner(db: Db) {
  const [row] = await db
    .select({ userId: users.id, name: users.name, orgId: members.orgId })
    .from(members)
    .innerJoin(users, eq(users.id, members.userId))
    .where(eq(members.role, "owner"))
    .orderBy(members.createdAt)
    .limit(1);
  return row ?? null;
}

/** Puts a new setup code in place of the last one, as long as nobody has claimed the platform. */
export async function replaceSetupCode(db: Db, codeHash: string): Promise<void> {
  await db.update(platform).set({ setupCodeHash: codeHash }).where(isNull(platform.claimedAt));
}

/** Uses up the setup code. False where it is not the right one, or was used before. */
export async function claimPlatform(tx: Db, codeHash: string): Promise<boolean> {
  const claimed = await tx
    .update(platform)
    .set({ claimedAt: sql`now()`, setupCodeHash: null })
    .where(and(isNull(platform.claimedAt), eq(platform.setupCodeHash, codeHash)))
    .returning({ id: platform.id });
  return claimed.length === 1;
}

export async function isClaimed(db: Db): Promise<boolean> {
  const [row] = await db.select({ claimedAt: platform.claimedAt }).from(platform);
  return row?.claimedAt != null;
}

/** A new org with its first project. */
export async function insertOrg(tx: Db, org: { name: string; wrappedKey: string }) {
  const orgId = randomUUID();
  const projectId = randomUUID();
  await tx.insert(orgs).values({ id: orgId, name: org.name, wrappedKey: org.wrappedKey });
  await tx.insert(projects).values({ id: projectId, orgId, name: "default" });
  return { orgId, projectId };
}

export async function insertMember(tx: Db, member: { orgId: string; name: string; role: Role }): Promise<string> {
  const userId = randomUUID();
  await tx.insert(users).values({ id: userId, name: member.name });
  await tx.insert(members).values({ orgId: member.orgId, userId, role: member.role });
  return userId;
}

/** The org's data key as stored: wrapped. */
export async function getWrappedKey(db: Db, orgId: string): Promise<string> {
  const [row] = await db.select({ wrappedKey: orgs.wrappedKey }).from(orgs).where(eq(orgs.id, orgId));
  if (!row) throw new Error(`org ${orgId} does not exist`);
  return row.wrappedKey;
}

/** The project that new apps of an org go into. */
export async function defaultProject(db: Db, orgId: string): Promise<string> {
  const [row] = await db
    .select({ id: projects.id })
    .from(projects)
    .where(eq(projects.orgId, orgId))
    .orderBy(projects.createdAt)
    .limit(1);
  if (!row) throw new Error(`org ${orgId} has no project`);
  return row.id;
}

export async function insertToken(
  tx: Db,
  token: { id: string; orgId: string; userId: string; label: string; secretHash: string },
): Promise<void> {
  await tx.insert(tokens).values(token);
}

/** Whose token it is, with the role they have at this moment; null where unknown, revoked or no member any more. */
export async function findTokenHolder(db: Db, tokenId: string) {
  const [row] = await db
    .select({
      secretHash: tokens.secretHash,
      userId: tokens.userId,
      orgId: tokens.orgId,
      role: members.role,
      userName: users.name,
      lastUsedAt: tokens.lastUsedAt,
    })
    .from(tokens)
    .innerJoin(members, and(eq(members.userId, tokens.userId), eq(members.orgId, tokens.orgId)))
    .innerJoin(users, eq(users.id, tokens.userId))
    .where(and(eq(tokens.id, tokenId), isNull(tokens.revokedAt)));
  return row ?? null;
}

/** Notes that a token was used; at most once a minute, since every git request asks. */
export async function touchToken(db: Db, tokenId: string): Promise<void> {
  await db
    .update(tokens)
    .set({ lastUsedAt: sql`now()` })
    .where(
      and(
        eq(tokens.id, tokenId),
        sql`(${tokens.lastUsedAt} is null or ${tokens.lastUsedAt} < now() - interval '1 minute')`,
      ),
    );
}

export async function listTokens(db: Db, orgId: string, userId: string) {
  return db
    .select({ id: tokens.id, label: tokens.label, createdAt: tokens.createdAt, lastUsedAt: tokens.lastUsedAt })
    .from(tokens)
    .where(and(eq(tokens.orgId, orgId), eq(tokens.userId, userId), isNull(tokens.revokedAt)))
    .orderBy(desc(tokens.createdAt));
}

/** Ends a token of this user, named by its id or its label. Answers what was ended. */
export async function revokeToken(tx: Db, orgId: string, userId: string, idOrLabel: string) {
  return tx
    .update(tokens)
    .set({ revokedAt: sql`now()` })
    .where(
      and(
        eq(tokens.orgId, orgId),
        eq(tokens.userId, userId),
        isNull(tokens.revokedAt),
        sql`(${tokens.id} = ${idOrLabel} or ${tokens.label} = ${idOrLabel})`,
      ),
    )
    .returning({ id: tokens.id, label: tokens.label });
}
