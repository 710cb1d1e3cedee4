import { and, desc, eq, inArray, isNotNull, isNull, lt, or, sql } from "drizzle-orm";
import { UserError } from "../errors.ts";
import type { Cause } from "../model/cause.ts";
import {
  type DeployKind,
  type DeployStatus,
  type FinalStatus,
  runningStatuses,
  unfinishedStatuses,
} from "../model/deploy.ts";
import type { Db } from "./client.ts";
import { type AppRow, apps, type DeployRow, deploys, releases } from "./schema.ts";
import { storable } from "./storable.ts";

/** What a new deploy is made of; the rest has its start values. */
export type NewDeploy = {
  id: string;
  number: number;
  kind: DeployKind;
  requestId: string;
  userId: string | null;
  actorName: string;
  door: string;
  title: string;
  commit?: string | null;
  pushedOver?: string | null;
  targetReleaseId?: string | null;
  skipCache?: boolean;
  retryOf?: number | null;
  forceReason?: string | null;
};

/** Gives out the next number; a transaction that fails gives it back. */
export async function takeDeployNumber(db: Db, appId: string): Promise<number> {
  const [row] = await db
    .update(apps)
    .set({ deployCount: sql`${apps.deployCount} + 1` })
    .where(eq(apps.id, appId))
    .returning({ number: apps.deployCount });
  if (!row) throw new UserError("gone", "the app was removed meanwhile");
  return row.number;
}

export async function insertDeploy(tx: Db, app: AppRow, deploy: NewDeploy): Promise<DeployRow> {
  const [row] = await tx
    .insert(deploys)
    .values({ appId: app.id, orgId: app.orgId, projectId: app.projectId, ...deploy })
    .returning();
  return row!;
}

export async function getDeploy(db: Db, deployId: string): Promise<DeployRow> {
  const [row] = await db.select().from(deploys).where(eq(deploys.id, deployId));
  if (!row) throw new UserError("gone", "the deploy and its app were removed");
  return row;
}

/** @throws UserError not_found */
export async function getDeployByNumber(db: Db, app: AppRow, number: number): Promise<DeployRow> {
  const [row] = await db
    .select()
    .from(deploys)
    .where(and(eq(deploys.appId, app.id), eq(deploys.number, number)));
  if (row) return row;
  throw new UserError(
    "not_found",
    `${app.name} has no deploy #${number}`,
    `zyndra deploys ${app.name} lists what there is`,
  );
}

export async function findDeployByRequest(db: Db, appId: string, requestId: string): Promise<DeployRow | null> {
  const [row] = await db
    .select()
    .from(deploys)
    .where(and(eq(deploys.appId, appId), eq(deploys.requestId, requestId)));
  return row ?? null;
}

/** Live already, with its hook after the deploy still to end. */
const isUntold = and(eq(deploys.status, "live"), isNull(deploys.toldAt));

/** The deploy that changes the app right now, or holds it with its last hook; with its age by the database's clock. */
export async function findRunningDeploy(db: Db, appId: string): Promise<(DeployRow & { ageMs: number }) | null> {
  const [row] = await db
    .select({ deploy: deploys, ageMs: sql<number>`extract(epoch from now() - ${deploys.startedAt})::float8 * 1000` })
    .from(deploys)
    .where(and(eq(deploys.appId, appId), or(inArray(deploys.status, [...runningStatuses]), isUntold)))
    .orderBy(deploys.number)
    .limit(1);
  return row ? { ...row.deploy, ageMs: row.ageMs } : null;
}

/** Deploys that have no ending yet, newest first. */
export async function listUnfinished(db: Db, appId: string): Promise<DeployRow[]> {
  return db
    .select()
    .from(deploys)
    .where(and(eq(deploys.appId, appId), inArray(deploys.status, [...unfinishedStatuses])))
    .orderBy(desc(deploys.number));
}

/** The newest deploys of an app, each with the version it made, if any. */
export async function listDeploys(db: Db, appId: string, limit: number) {
  return db
    .select({ deploy: deploys, version: releases.version })
    .from(deploys)
    .leftJoin(releases, eq(releases.id, deploys.releaseId))
    .where(eq(deploys.appId, appId))
    .orderBy(desc(deploys.number))
    .limit(limit);
}

/** What went live without everyone being told: main is to be mirrored first. */
export async function listUntold(db: Db, appId: string): Promise<DeployRow[]> {
  return db
    .select()
    .from(deploys)
    .where(and(eq(deploys.appId, appId), isUntold))
    .orderBy(deploys.number);
}

/** The waiting config deploy that further config changes join. */
export async function findWaitingConfigDeploy(tx: Db, appId: string): Promise<DeployRow | null> {
  const [row] = await tx
    .select()
    .from(deploys)
    .where(and(eq(deploys.appId, appId), eq(deploys.kind, "config"), eq(deploys.status, "queued")));
  return row ?? null;
}

export async function renameDeploy(tx: Db, deployId: string, title: string): Promise<void> {
  await tx.update(deploys).set({ title }).where(eq(deploys.id, deployId));
}

type StepStart = "startedAt" | "buildStartedAt" | "releaseStartedAt" | "rolloutStartedAt";
const startOf: Partial<Record<DeployStatus, StepStart>> = {
  building: "buildStartedAt",
  releasing: "releaseStartedAt",
  rolling_out: "rolloutStartedAt",
};

/** Moves a deploy on, from one of the statuses it may come from. False where it is elsewhere already. */
export async function moveDeploy(tx: Db, deployId: string, from: DeployStatus[], to: DeployStatus): Promise<boolean> {
  const start = startOf[to];
  const moved = await tx
    .update(deploys)
    .set({
      status: to,
      lostLeases: 0,
      startedAt: sql`coalesce(${deploys.startedAt}, now())`,
      ...(start ? { [start]: sql`now()` } : {}),
    })
    .where(and(eq(deploys.id, deployId), inArray(deploys.status, from)))
    .returning({ id: deploys.id });
  return moved.length === 1;
}

/** Writes facts that a chapter of the story found. */
export async function noteDeploy(
  tx: Db,
  deployId: string,
  facts: Partial<Pick<DeployRow, "buildId" | "releaseId" | "lostLeases">> & { releaseCommandDone?: true },
): Promise<void> {
  const { releaseCommandDone, ...columns } = facts;
  await tx
    .update(deploys)
    .set({ ...columns, ...(releaseCommandDone ? { releaseCommandDoneAt: sql`now()` } : {}) })
    .where(eq(deploys.id, deployId));
}

/**
 * The point of no return: after it a cancel is refused. False where a cancel came first. Asked again after a crash it
 * answers the same.
 */
export async function allowSwitch(tx: Db, deployId: string): Promise<boolean> {
  const allowed = await tx
    .update(deploys)
    .set({ switchedAt: sql`coalesce(${deploys.switchedAt}, now())` })
    .where(
      and(
        eq(deploys.id, deployId),
        inArray(deploys.status, [...runningStatuses]),
        or(isNull(deploys.cancelRequestedAt), sql`${deploys.switchedAt} is not null`),
      ),
    )
    .returning({ id: deploys.id });
  return allowed.length === 1;
}

/** Notes who wants a deploy to end. */
export async function requestCancel(tx: Db, deployId: string, by: string): Promise<void> {
  await tx
    .update(deploys)
    .set({ cancelRequestedAt: sql`coalesce(${deploys.cancelRequestedAt}, now())`, cancelRequestedBy: by })
    .where(eq(deploys.id, deployId));
}

/** Gives a deploy its ending, once. Answers the row as it ended, or null where it had one before. */
export async function endDeploy(
  tx: Db,
  deployId: string,
  ending: { status: FinalStatus; cause?: Cause | undefined; told: boolean },
): Promise<(DeployRow & { tookMs: number }) | null> {
  const [row] = await tx
    .update(deploys)
    .set({
      status: ending.status,
      cause: storable(ending.cause ?? null),
      finishedAt: sql`clock_timestamp()`,
      toldAt: ending.told ? sql`clock_timestamp()` : null,
    })
    .where(and(eq(deploys.id, deployId), inArray(deploys.status, [...unfinishedStatuses])))
    .returning();
  return row ? { ...row, tookMs: row.finishedAt!.getTime() - row.createdAt.getTime() } : null;
}

/** Notes that everyone was told of a live deploy; false where that was done before. */
export async function markTold(tx: Db, deployId: string): Promise<boolean> {
  const told = await tx
    .update(deploys)
    .set({ toldAt: sql`now()` })
    .where(and(eq(deploys.id, deployId), isNull(deploys.toldAt)))
    .returning({ id: deploys.id });
  return told.length === 1;
}

/** Notes that a person has read how their own deploys ended; those of others who followed them are left alone. */
export async function markReported(db: Db, userId: string, deployIds: string[]): Promise<void> {
  if (deployIds.length === 0) return;
  const own = and(inArray(deploys.id, deployIds), eq(deploys.userId, userId));
  await db.update(deploys).set({ reportedAt: sql`now()` }).where(own);
}

/** A person's own pushes to an app that ended without their reading it, oldest first: detached ones, and broken connections. */
export async function listUnreported(db: Db, appId: string, userId: string): Promise<DeployRow[]> {
  return db
    .select()
    .from(deploys)
    .where(
      and(
        eq(deploys.appId, appId),
        eq(deploys.userId, userId),
        eq(deploys.kind, "push"),
        isNotNull(deploys.finishedAt),
        isNull(deploys.reportedAt),
      ),
    )
    .orderBy(deploys.number);
}

/** The newest push that went live with this commit: the one that moved main to it. */
export async function findPushOf(db: Db, appId: string, commit: string): Promise<DeployRow | null> {
  const [row] = await db
    .select()
    .from(deploys)
    .where(
      and(eq(deploys.appId, appId), eq(deploys.kind, "push"), eq(deploys.status, "live"), eq(deploys.commit, commit)),
    )
    .orderBy(desc(deploys.number))
    .limit(1);
  return row ?? null;
}

/** Numbers of an app's deploys whose commits need no keeping any more: ended, and not among the newest. */
export async function listForgettable(db: Db, appId: string, newest: number): Promise<number[]> {
  const [row] = await db.select({ count: apps.deployCount }).from(apps).where(eq(apps.id, appId));
  const rows = await db
    .select({ number: deploys.number })
    .from(deploys)
    .where(
      and(
        eq(deploys.appId, appId),
        lt(deploys.number, (row?.count ?? 0) - newest + 1),
        sql`${deploys.status} not in ('queued', 'building', 'releasing', 'rolling_out')`,
      ),
    );
  return rows.map((each) => each.number);
}
