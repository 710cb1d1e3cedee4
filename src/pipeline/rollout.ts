import { findAppById, getFormation } from "../db/apps.ts";
import { allowSwitch, endDeploy, getDeploy } from "../db/deploys.ts";
import { publish } from "../db/events.ts";
import { getRelease, markFormationApplied, markLive } from "../db/releases.ts";
import type { ReleaseRow } from "../db/schema.ts";
import { holdFence } from "../db/work.ts";
import type { Deps } from "../deps.ts";
import type { Cause } from "../model/cause.ts";
import { appTopic } from "../model/event.ts";
import { effectiveFormation, type Formation, type ProcessTypes } from "../model/process-types.ts";
import { readSnapshot } from "./config-snapshot.ts";
import { settleEndings } from "./endings.ts";
import type { HeldApp } from "./lease.ts";
import { maskCause, maskerOf } from "./masking.ts";
import { type MadeRelease, releaseSpec } from "./release.ts";
import type { Story } from "./story.ts";

export type RolledOut = { ok: true; formationRevision: number } | { ok: false; cancelled: boolean; cause: Cause };

/** Release → running and healthy: the third chapter. The old version serves until the new one is. */
export async function rollOut(story: Story, release: MadeRelease): Promise<RolledOut> {
  const { deps, deploy, held, signal, write } = story;
  await story.advance("rolling_out");
  const wanted = await wantedFormation(deps, held, release.row.processTypes);
  write({ kind: "step", text: "Rolling out" });
  for (const type of wanted.neverAsked) {
    write({ kind: "text", text: `${type} does not run yet; zyndra ps:scale ${held.app.name} ${type}=1 starts it` });
  }
  const outcome = await deps.runtime.rollout.apply(releaseSpec(held.app, release, wanted.formation), held.lease.fence, {
    write,
    maySwitch: () => story.commit((tx) => allowSwitch(tx, deploy.id)),
    signal,
    timeoutMs: deps.limits.rolloutMs,
  });
  if (outcome.ok) return { ok: true, formationRevision: wanted.revision };
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
export async function goLive(story: Story, release: ReleaseRow, formationRevision = 0): Promise<void> {
  const { deps, deploy, held } = story;
  await deps.deployLogs.stored(deploy.id);
  await story.commit(async (tx, app) => {
    await markLive(tx, {
      appId: app.id,
      releaseId: release.id,
      mainCommit: deploy.kind === "push" ? deploy.commit! : undefined,
      formationRevision,
    });
    await endDeploy(tx, deploy.id, { status: "live", told: false });
    if (formationRevision > app.formationAppliedRevision) {
      const formation = effectiveFormation(release.processTypes, await getFormation(tx, app.id));
      await publish(tx, appTopic(app.id), app, [{ type: "scaled", formation, revision: formationRevision }]);
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
  else await applyFormation(deps, held);
}

/** Makes what runs follow a formation that was changed without a deploy. Its end is told, however it ends. */
export async function applyFormation(deps: Deps, held: HeldApp): Promise<void> {
  const { app, lease, signal } = held;
  const release = app.liveReleaseId === null ? null : await getRelease(deps.db.db, app.liveReleaseId);
  const wanted = await wantedFormation(deps, held, release?.processTypes ?? {});
  const cause = release ? await runFormation(deps, held, release, wanted.formation) : undefined;
  await deps.db.persist(
    (db) =>
      db.transaction(async (tx) => {
        await holdFence(tx, lease);
        await markFormationApplied(tx, app.id, wanted.revision);
        const { formation, revision } = wanted;
        await publish(tx, appTopic(app.id), app, [{ type: "scaled", formation, revision, ...(cause && { cause }) }]);
      }),
    signal,
  );
}

/** Applies a formation of the live release; answers why it could not be done, if it could not. */
async function runFormation(
  deps: Deps,
  held: HeldApp,
  release: ReleaseRow,
  formation: Formation,
): Promise<Cause | undefined> {
  const { app, lease, signal } = held;
  const config = await readSnapshot(deps, deps.db.db, release);
  const call = { write: () => {}, maySwitch: async () => true, signal, timeoutMs: deps.limits.rolloutMs };
  try {
    const spec = releaseSpec(app, { row: release, config }, formation);
    const outcome = await deps.runtime.rollout.apply(spec, lease.fence, call);
    if (outcome.ok || !("cause" in outcome)) return undefined;
    const masker = maskerOf(config);
    return maskCause(outcome.cause, (text) => masker.mask(text));
  } catch (error) {
    signal.throwIfAborted();
    deps.log.error({ err: error, app: app.name }, "a formation could not be applied");
    return { headline: "Zyndra itself failed", hint: `zyndra ps ${app.name} shows what runs` };
  }
}

/** The formation as it is asked for now, and the revision that stands for it. */
async function wantedFormation(
  deps: Pick<Deps, "db">,
  held: HeldApp,
  processTypes: ProcessTypes,
): Promise<{
  formation: Formation;
  revision: number;
  /** Types that nobody has said a number for. */
  neverAsked: string[];
}> {
  return deps.db.persist(async ({ db }) => {
    // The revision is read first: what changes in between is applied again afterwards.
    const app = await findAppById(db, held.app.id);
    const asked = await getFormation(db, held.app.id);
    const formation = effectiveFormation(processTypes, asked);
    const neverAsked = Object.keys(formation).filter((type) => formation[type] === 0 && asked[type] === undefined);
    return { formation, revision: app?.formationRevision ?? 0, neverAsked };
  }, held.signal);
}
