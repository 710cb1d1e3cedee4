import { setTimeout as delay } from "node:timers/promises";
import { listAttached } from "../db/addons.ts";
import { changeApp, findAppById, forgetRestarts } from "../db/apps.ts";
import { type Db, isPassing } from "../db/client.ts";
import { allowSwitch, endDeploy, getDeploy } from "../db/deploys.ts";
import { findLastEvent, publish, ring } from "../db/events.ts";
import { getRelease, markApplied, markLive } from "../db/releases.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import { holdFence, StaleLease } from "../db/work.ts";
import type { Deps } from "../deps.ts";
import type { DoorName } from "../model/actor.ts";
import type { Cause } from "../model/cause.ts";
import { appTopic, cronTopic } from "../model/event.ts";
import { readSnapshot } from "./config-snapshot.ts";
import { mirrorMain, settleEndings } from "./endings.ts";
import type { HeldApp } from "./lease.ts";
import { maskCause, maskerOf } from "./masking.ts";
import type { MadeRelease } from "./release.ts";
import { startConfigDeploy } from "./start.ts";
import type { Story } from "./story.ts";
import { readWanted, releaseSpec, type Wanted } from "./wanted.ts";

export type RolledOut = { ok: true; revision: number } | { ok: false; cancelled: boolean; cause: Cause };

/** Release → running and healthy: the third chapter. The old version serves until the new one is. */
export async function rollOut(story: Story, release: MadeRelease): Promise<RolledOut> {
  const { deps, deploy, held, signal, write } = story;
  await story.advance("rolling_out");
  const wanted = await deps.db.persist(({ db }) => readWanted(db, held.app, release.row), held.signal);
  write({ kind: "step", text: "Rolling out" });
  for (const type of wanted.neverAsked) {
    write({ kind: "text", text: `${type} does not run yet; zyndra ps:scale ${held.app.name} ${type}=1 starts it` });
  }
  const outcome = await deps.runtime.rollout.apply(releaseSpec(held.app, release, wanted), held.lease.fence, {
    write,
    maySwitch: () => story.commit((tx) => allowSwitch(tx, deploy.id)),
    signal,
    timeoutMs: release.row.settings.rollout?.timeoutMs ?? deps.limits.rolloutMs,
  });
  if (outcome.ok) return { ok: true, revision: wanted.revision };
  if ("cause" in outcome) {
    return { ok: false, cancelled: false, cause: { ...outcome.cause, ...(await putBackIfSwitched(story)) } };
  }
  const { cancelRequestedBy } = await deps.db.persist(({ db }) => getDeploy(db, deploy.id), held.signal);
  return { ok: false, cancelled: true, cause: { headline: `cancelled by ${cancelRequestedBy}` } };
}

/**
 * What is live from now on, in one transaction with main. The repository's main and whoever waits are told after that. An
 * add-on that was attached too late for this release is released by a config deploy that follows.
 */
export async function goLive(story: Story, release: ReleaseRow, revision: number): Promise<void> {
  const { deps, deploy, held } = story;
  await deps.deployLogs.stored(deploy.id);
  await story.commit(async (tx, app) => {
    await markLive(tx, {
      appId: app.id,
      releaseId: release.id,
      mainCommit: deploy.kind === "push" ? deploy.commit! : undefined,
      revision,
    });
    await endDeploy(tx, deploy.id, { status: "live", told: false });
    await ring(tx, cronTopic);
    const missing = (await listAttached(tx, app.id)).filter(({ addon }) => addon.state === "creating");
    if (missing.length > 0) {
      const asker = { name: deploy.actorName, door: deploy.door as DoorName, userId: deploy.userId };
      const names = missing.map(({ addon }) => `add-on ${addon.name}`);
      await startConfigDeploy(tx, { ...app, liveReleaseId: release.id }, asker, names);
    }
    if (revision > app.appliedRevision) {
      const { formation } = await readWanted(tx, app, release);
      await publish(tx, appTopic(app.id), app, [{ type: "applied", formation, revision }]);
    }
  });
  deps.log.info({ app: held.app.name, version: release.version, deploy: deploy.number }, "release went live");
}

/** The repository's main follows the column at once, also where the last hook takes its time. */
export async function mirrorNow(story: Story): Promise<void> {
  const { mainCommit } = await currentApp(story);
  if (mainCommit !== null) await mirrorMain(story.deps, story.deploy.appId, mainCommit);
}

/** Tells everyone who waits how the deploy ended. */
export async function tellEndings(story: Story): Promise<void> {
  const { deps, deploy, held } = story;
  await deps.deployLogs.stored(deploy.id);
  const app = await currentApp(story);
  await deps.db.persist(() => settleEndings(deps, held.lease, app), held.signal);
}

/** As it is now; while it is held it cannot go. */
async function currentApp({ deps, held }: Story): Promise<AppRow> {
  return deps.db.persist(async ({ db }) => (await findAppById(db, held.app.id)) ?? held.app, held.signal);
}

/** What a deploy's ending says of the release before it, where that does not serve again. */
export type PutBack = Pick<Cause, "notBack">;

/**
 * A deploy that ends badly after its switch must not leave its release serving: what the database calls live is to run.
 */
export async function putBackIfSwitched(story: Story): Promise<PutBack> {
  const { deps, deploy, held } = story;
  const { switchedAt } = await deps.db.persist(({ db }) => getDeploy(db, deploy.id), held.signal);
  return switchedAt === null ? {} : putBack(deps, held);
}

/**
 * What runs is made to be exactly the live release again, or nothing where there is none. What Zyndra fails to do itself is
 * left to whoever looks at the app next: the deploy that ends does not wait for it.
 */
export async function putBack(deps: Deps, held: HeldApp): Promise<PutBack> {
  const { app, lease, signal } = held;
  if (app.liveReleaseId === null) {
    await deps.runtime.rollout.destroy(app.id, lease.fence);
    return {};
  }
  try {
    const cause = await runAndMark(deps, held);
    return cause ? { notBack: cause.headline } : {};
  } catch (error) {
    if (error instanceof StaleLease || signal.aborted) throw error;
    deps.log.error({ err: error, app: app.name }, "the live release could not be put back; the sweeper looks again");
    const again = (tx: Db) => holdFence(tx, lease).then(() => changeApp(tx, app.id, {}));
    await deps.db.persist((db) => db.transaction(again), signal);
    return { notBack: "Zyndra itself failed, and tries again" };
  }
}

/**
 * Makes what runs follow what was changed about the app without a release. Its end is told, however it ends; what Zyndra
 * fails to do itself is told once, stays to be done, and is thrown: whoever works on the app rests, and looks again.
 */
export async function applyWanted(deps: Deps, held: HeldApp): Promise<void> {
  try {
    await runAndMark(deps, held);
  } catch (error) {
    if (error instanceof StaleLease || held.signal.aborted || isPassing(error)) throw error;
    await tellFault(deps, held);
    throw error;
  }
}

/** Applies what is wanted and writes down that it is, with why it could not be done, if the app itself is why. */
async function runAndMark(deps: Deps, held: HeldApp): Promise<Cause | undefined> {
  const { app, lease, signal } = held;
  const { release, wanted } = await readLiveWanted(deps, held);
  const cause = release ? await runWanted(deps, held, release, wanted) : undefined;
  await deps.db.persist(
    (db) =>
      db.transaction(async (tx) => {
        const now = await holdFence(tx, lease);
        if (cause) await forgetRestarts(tx, now, app.appliedRevision, wanted.revision);
        await markApplied(tx, app.id, wanted.revision);
        await publishApplied(tx, app, wanted, cause);
      }),
    signal,
  );
  return cause;
}

async function readLiveWanted({ db }: Deps, { app, signal }: HeldApp) {
  return db.persist(async ({ db }) => {
    const release = app.liveReleaseId === null ? null : await getRelease(db, app.liveReleaseId);
    return { release, wanted: await readWanted(db, app, release ?? nothing) };
  }, signal);
}

const nothing = { processTypes: {}, settings: {} };

/** Those who wait hear why it does not come, once for each change: it is tried again and again. */
async function tellFault(deps: Deps, held: HeldApp): Promise<void> {
  const { app, lease, signal } = held;
  const { wanted } = await readLiveWanted(deps, held);
  const hint = `it is tried again by itself; zyndra ps ${app.name} shows what runs`;
  await deps.db.persist(
    (db) =>
      db.transaction(async (tx) => {
        await holdFence(tx, lease);
        const last = await findLastEvent(tx, appTopic(app.id), "applied");
        if (last && last.revision >= wanted.revision) return;
        await publishApplied(tx, app, wanted, { headline: "Zyndra itself failed", hint });
      }),
    signal,
  );
}

function publishApplied(tx: Db, app: AppRow, { formation, revision }: Wanted, cause: Cause | undefined): Promise<void> {
  return publish(tx, appTopic(app.id), app, [{ type: "applied", formation, revision, ...(cause && { cause }) }]);
}

/** What fails is tried this often before it is told: no memory, no process ids and the like may pass. */
const maxTries = 3;
const tryAgainMs = 500;

/**
 * Applies the live release as it is wanted now; answers why it could not be done, if the app is why.
 * @throws what Zyndra itself failed with, more than once
 */
async function runWanted(deps: Deps, held: HeldApp, release: ReleaseRow, wanted: Wanted): Promise<Cause | undefined> {
  const { app, signal } = held;
  for (let tries = 1; ; tries++) {
    try {
      return await runOnce(deps, held, release, wanted);
    } catch (error) {
      signal.throwIfAborted();
      if (tries === maxTries) throw error;
      deps.log.warn({ err: error, app: app.name }, "what is wanted of an app could not be applied, trying again");
      await delay(tries * tryAgainMs, undefined, { signal });
    }
  }
}

async function runOnce(deps: Deps, held: HeldApp, release: ReleaseRow, wanted: Wanted): Promise<Cause | undefined> {
  const { app, lease, signal } = held;
  const config = await readSnapshot(deps, deps.db.db, release);
  const timeoutMs = release.settings.rollout?.timeoutMs ?? deps.limits.rolloutMs;
  const call = { write: () => {}, maySwitch: async () => true, signal, timeoutMs };
  const outcome = await deps.runtime.rollout.apply(
    releaseSpec(app, { row: release, config }, wanted),
    lease.fence,
    call,
  );
  if (outcome.ok || !("cause" in outcome)) return undefined;
  const masker = maskerOf(config);
  return maskCause(outcome.cause, (text) => masker.mask(text));
}
