import { and, desc, eq, gt, isNotNull, ne, sql } from "drizzle-orm";
import { UserError } from "../errors.ts";
import type { AppSettings } from "../model/app-settings.ts";
import type { Cause } from "../model/cause.ts";
import type { ProcessTypes } from "../model/process-types.ts";
import type { Db } from "./client.ts";
import { type AppRow, apps, type BuildRow, builds, deploys, type ReleaseRow, releases } from "./schema.ts";
import { storable } from "./storable.ts";

export async function insertBuild(
  tx: Db,
  app: AppRow,
  build: { id: string; commit: string; inputs: string },
): Promise<BuildRow> {
  // The answer to a first try may have been lost: then the row is there.
  await tx
    .insert(builds)
    .values({ appId: app.id, orgId: app.orgId, projectId: app.projectId, status: "pending", ...build })
    .onConflictDoNothing();
  return getBuild(tx, build.id);
}

/** A build that starts again with other config vars than it began with is found by those. */
export async function setBuildInputs(tx: Db, buildId: string, inputs: string): Promise<void> {
  await tx.update(builds).set({ inputs }).where(eq(builds.id, buildId));
}

export async function getBuild(db: Db, buildId: string): Promise<BuildRow> {
  const [row] = await db.select().from(builds).where(eq(builds.id, buildId));
  if (!row) throw new Error(`build ${buildId} does not exist`);
  return row;
}

/** The newest build that succeeded with exactly these inputs and whose image is still there. */
export async function findBuildByInputs(db: Db, appId: string, inputs: string) {
  const [row] = await db
    .select({ build: builds, deployNumber: deploys.number })
    .from(builds)
    .leftJoin(deploys, eq(deploys.buildId, builds.id))
    .where(
      and(eq(builds.appId, appId), eq(builds.inputs, inputs), eq(builds.status, "succeeded"), isNotNull(builds.image)),
    )
    .orderBy(desc(builds.createdAt), deploys.number)
    .limit(1);
  return row ?? null;
}

export type BuildEnding =
  | {
      status: "succeeded";
      image: string;
      processTypes: ProcessTypes;
      releaseCommand: string | null;
      settings: AppSettings;
      summary: string;
      sizeBytes: number;
    }
  | { status: "failed"; cause: Cause };

export async function endBuild(tx: Db, buildId: string, ending: BuildEnding): Promise<BuildRow> {
  const [row] = await tx
    .update(builds)
    .set({ ...storable(ending), finishedAt: sql`now()` })
    .where(eq(builds.id, buildId))
    .returning();
  return row!;
}

export type NewRelease = Pick<
  ReleaseRow,
  | "id"
  | "deployId"
  | "buildId"
  | "commit"
  | "image"
  | "processTypes"
  | "releaseCommand"
  | "sealedConfig"
  | "configOrigins"
  | "settings"
  | "description"
  | "createdBy"
>;

/** Makes the app's next release. The caller holds the app's row, so versions come without gaps. */
export async function insertRelease(tx: Db, app: AppRow, release: NewRelease): Promise<ReleaseRow> {
  const [counted] = await tx
    .update(apps)
    .set({ releaseCount: sql`${apps.releaseCount} + 1` })
    .where(eq(apps.id, app.id))
    .returning({ version: apps.releaseCount });
  const [row] = await tx
    .insert(releases)
    .values({ appId: app.id, orgId: app.orgId, projectId: app.projectId, version: counted!.version, ...release })
    .returning();
  return row!;
}

export async function getRelease(db: Db, releaseId: string): Promise<ReleaseRow> {
  const [row] = await db.select().from(releases).where(eq(releases.id, releaseId));
  if (!row) throw new Error(`release ${releaseId} does not exist`);
  return row;
}

/** The release that a deploy has made, if it has. */
export async function findReleaseOf(db: Db, deployId: string): Promise<ReleaseRow | null> {
  const [row] = await db.select().from(releases).where(eq(releases.deployId, deployId));
  return row ?? null;
}

/** What is live, or null before the first time. */
export async function findLiveRelease(db: Db, app: Pick<AppRow, "liveReleaseId">): Promise<ReleaseRow | null> {
  return app.liveReleaseId === null ? null : getRelease(db, app.liveReleaseId);
}

/** The same for who can do nothing without. @throws UserError conflict */
export async function getLiveRelease(db: Db, app: Pick<AppRow, "name" | "liveReleaseId">): Promise<ReleaseRow> {
  const live = await findLiveRelease(db, app);
  if (live) return live;
  throw new UserError("conflict", `nothing of ${app.name} is live yet`, "git push zyndra main");
}

/** @throws UserError not_found */
export async function getReleaseByVersion(db: Db, app: AppRow, version: number): Promise<ReleaseRow> {
  const [row] = await db
    .select()
    .from(releases)
    .where(and(eq(releases.appId, app.id), eq(releases.version, version)));
  if (row) return row;
  const hint = `zyndra releases ${app.name} lists what there is`;
  throw new UserError("not_found", `${app.name} has no release v${version}`, hint);
}

/** A rollback's target: the named version, or the one that was live before this one. @throws UserError */
export async function getRollbackTarget(db: Db, app: AppRow, version: number | undefined): Promise<ReleaseRow> {
  if (version !== undefined) {
    const named = await getReleaseByVersion(db, app, version);
    if (named.liveAt !== null) return named;
    const hint = `zyndra releases ${app.name} lists what there is`;
    throw new UserError("conflict", `v${version} of ${app.name} was never live`, hint);
  }
  const before = await findReleaseBefore(db, app);
  if (before) return before;
  const hint = "a rollback needs a release that was live before";
  throw new UserError("conflict", `${app.name} has no release to go back to`, hint);
}

/** What was live before what is live now. */
export async function findReleaseBefore(db: Db, app: AppRow): Promise<ReleaseRow | null> {
  const [row] = await db
    .select()
    .from(releases)
    .where(and(eq(releases.appId, app.id), isNotNull(releases.liveAt), ne(releases.id, app.liveReleaseId ?? app.id)))
    .orderBy(desc(releases.liveAt), desc(releases.version))
    .limit(1);
  return row ?? null;
}

/** The newest releases of an app, each with how its deploy ended. */
export async function listReleases(db: Db, appId: string, limit: number) {
  return db
    .select({ release: releases, deployStatus: deploys.status, cause: deploys.cause })
    .from(releases)
    .innerJoin(deploys, eq(deploys.id, releases.deployId))
    .where(eq(releases.appId, appId))
    .orderBy(desc(releases.version))
    .limit(limit);
}

/** The sealed config vars of an app's releases after a version, the oldest first. */
export async function listSnapshots(
  db: Db,
  appId: string,
  after: number,
): Promise<Pick<ReleaseRow, "id" | "version" | "sealedConfig" | "configOrigins">[]> {
  const { id, version, sealedConfig, configOrigins } = releases;
  return db
    .select({ id, version, sealedConfig, configOrigins })
    .from(releases)
    .where(and(eq(releases.appId, appId), gt(version, after)))
    .orderBy(version);
}

/** What is live from now on; a push moves main with it, in the same transaction. */
export async function markLive(
  tx: Db,
  live: { appId: string; releaseId: string; mainCommit: string | undefined; revision: number },
): Promise<void> {
  await tx.update(releases).set({ liveAt: sql`now()` }).where(eq(releases.id, live.releaseId));
  await tx
    .update(apps)
    .set({
      liveReleaseId: live.releaseId,
      appliedRevision: sql`greatest(${apps.appliedRevision}, ${live.revision})`,
      ...(live.mainCommit === undefined ? {} : { mainCommit: live.mainCommit }),
    })
    .where(eq(apps.id, live.appId));
}

/** What runs has caught up with this revision of what is wanted. */
export async function markApplied(tx: Db, appId: string, revision: number): Promise<void> {
  await tx
    .update(apps)
    .set({ appliedRevision: sql`greatest(${apps.appliedRevision}, ${revision})` })
    .where(eq(apps.id, appId));
}
