import { findAppById, forgetRestarts } from "../db/apps.ts";
import { allowSwitch, endDeploy, getDeploy } from "../db/deploys.ts";
import { publish, ring } from "../db/events.ts";
import { getRelease, markApplied, markLive } from "../db/releases.ts";
import type { ReleaseRow } from "../db/schema.ts";
import { holdFence } from "../db/work.ts";
import type { Deps } from "../deps.ts";
import type { Cause } from "../model/cause.ts";
import { appTopic, cronTopic } from "../model/event.ts";
import { readSnapshot } from "./config-snapshot.ts";
import { settleEndings } from "./endings.ts";
import type { HeldApp } from "./lease.ts";
import { maskCause, maskerOf } from "./masking.ts";
import type { MadeRelease } from "./release.ts";
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
    await putBackIfSwitched(story);
    return { ok: false, cancelled: false, cause: outcome.cause };
  }
  const { cancelRequestedBy } = await deps.db.persist(({ db }) => getDeploy(db, deploy.id), held.signal);
  return { ok: false, cancelled: true, cause: { headline: `cancelled by ${cancelRequestedBy}` } };
}

/**
 * What is live from now on, in one transaction with main; then the repository's main is mirrored, then everyone is told.
 */
export async function goLive(story: Story, release: ReleaseRow, revision = 0): Promise<void> {
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
    if (revision > app.appliedRevision) {
      const { formation } = await readWanted(tx, app, release);
      await publish(tx, appTopic(app.id), app, [{ type: "applied", formation, revision }]);
    }
  });
  deps.log.info({ app: held.app.name, version: release.version, deploy: deploy.number }, "release went live");
  const app = await deps.db.persist(({ db }) => findAppById(db, deploy.appId), held.signal);
  if (app) await deps.db.persist(() => settleEndings(deps, held.lease, app), held.signal);
}

/**
 * A deploy that ends badly after its switch must not leave its release serving: what the database calls live is to run.
 */
export async function putBackIfSwitched(story: Story): Promise<void> {
  const { deps, deploy, held } = story;
  const { switchedAt } = await deps.db.persist(({ db }) => getDeploy(db, deploy.id), held.signal);
  if (switchedAt !== null) await putBack(deps, held);
}

/** What runs is made to be exactly the live release again, or nothing where there is none. */
export async function putBack(deps: Deps, held: HeldApp): Promise<void> {
  const { app, lease } = held;
  if (app.liveReleaseId === null) await deps.runtime.rollout.destroy(app.id, lease.fence);
  else await applyWanted(deps, held);
}

/** Makes what runs follow what was changed about the app without a release. Its end is told, however it ends. */
export async function applyWanted(deps: Deps, held: HeldApp): Promise<void> {
  const { app, lease, signal } = held;
  const release = app.liveReleaseId === null ? null : await getRelease(deps.db.db, app.liveReleaseId);
  const wanted = await deps.db.persist(({ db }) => readWanted(db, app, release ?? nothing), signal);
  const cause = release ? await runWanted(deps, held, release, wanted) : undefined;
  await deps.db.persist(
    (db) =>
      db.transaction(async (tx) => {
        const now = await holdFence(tx, lease);
        if (cause) await forgetRestarts(tx, now, app.appliedRevision, wanted.revision);
        await markApplied(tx, app.id, wanted.revision);
        const { formation, revision } = wanted;
        await publish(tx, appTopic(app.id), app, [{ type: "applied", formation, revision, ...(cause && { cause }) }]);
      }),
    signal,
  );
}

const nothing = { processTypes: {}, settings: {} };

/** Applies the live release as it is wanted now; answers why it could not be done, if it could not. */
async function runWanted(deps: Deps, held: HeldApp, release: ReleaseRow, wanted: Wanted): Promise<Cause | undefined> {
  const { app, lease, signal } = held;
  const config = await readSnapshot(deps, deps.db.db, release);
  const timeoutMs = release.settings.rollout?.timeoutMs ?? deps.limits.rolloutMs;
  const call = { write: () => {}, maySwitch: async () => true, signal, timeoutMs };
  try {
    const spec = releaseSpec(app, { row: release, config }, wanted);
    const outcome = await deps.runtime.rollout.apply(spec, lease.fence, call);
    if (outcome.ok || !("cause" in outcome)) return undefined;
    const masker = maskerOf(config);
    return maskCause(outcome.cause, (text) => masker.mask(text));
  } catch (error) {
    signal.throwIfAborted();
    deps.log.error({ err: error, app: app.name }, "what is wanted of an app could not be applied");
    return { headline: "Zyndra itself failed", hint: `zyndra ps ${app.name} shows what runs` };
  }
}
