import { findAppById } from "../db/apps.ts";
import type { DeployRow } from "../db/schema.ts";
import { holdFence, StaleLease } from "../db/work.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { Cause } from "../model/cause.ts";
import { waitForAddons } from "./addons-ready.ts";
import { ensureBuild } from "./build.ts";
import { endUnsuccessful } from "./endings.ts";
import { runAfterDeploy, runBeforeRollout } from "./hooks.ts";
import { HandBack, type HeldApp } from "./lease.ts";
import { applyMeanwhile } from "./meanwhile.ts";
import { ensureRelease, type MadeRelease, takeUpRelease } from "./release.ts";
import { goLive, mirrorNow, putBack, putBackIfSwitched, rollOut, tellEndings } from "./rollout.ts";
import { Cancelled, openStory, type Story } from "./story.ts";

/**
 * One deploy, from a queued row to a running release. Read this function to know what a deploy is. Each chapter is safe
 * to run twice, so that a deploy whose worker died is simply run again.
 * @throws StaleLease or HandBack: the deploy goes on elsewhere
 */
export async function runDeploy(deps: Deps, held: HeldApp, deploy: DeployRow): Promise<void> {
  const story = await openStory(deps, held, deploy).catch((error) => endUnopened(deps, held, deploy, error));
  if (!story) return;
  try {
    const live = await bringToLife(story);
    if (!live) return;
    // Nothing takes it back from here on: what fails is left to whoever looks at the app next.
    await mirrorNow(story);
    if (!live.unchanged) await runAfterDeploy(story, live);
    await tellEndings(story);
  } finally {
    story.close();
    // Who takes over goes on without these lines; a stop does not wait for a database that is away.
    if (!held.signal.aborted) await deps.deployLogs.stored(deploy.id);
  }
}

/** Answers the release that is live now; undefined where the deploy has ended otherwise. */
async function bringToLife(story: Story): Promise<MadeRelease | undefined> {
  try {
    const release = await prepareRelease(story);
    if (!release.ok) return void (await story.end("failed", release.cause));

    const rollout = release.unchanged ? nothingToDo : await rollOut(story, release);
    if (!rollout.ok) return void (await story.end(rollout.cancelled ? "cancelled" : "failed", rollout.cause));

    await goLive(story, release.row, rollout.revision);
    return release;
  } catch (error) {
    return void (await endBroken(story, error));
  }
}

const nothingToDo = { ok: true, revision: 0 } as const;

type Prepared = ({ ok: true } & MadeRelease) | { ok: false; cause: Cause };

/**
 * All that comes before the roll-out. A deploy that is taken up in its roll-out has it behind it, and may have switched: what
 * has changed since, a var that was unset or another name of the app, must not end it then.
 */
async function prepareRelease(story: Story): Promise<Prepared> {
  const { deps, deploy, held } = story;
  if (deploy.status === "rolling_out") return { ok: true, ...(await takeUpRelease(story)) };
  const meanwhile = applyMeanwhile(deps, held);
  try {
    const before = await waitForAddons(story);
    if (!before.ok) return before;
    const build = await ensureBuild(story);
    if (!build.ok) return build;

    // A build takes its time: one may have been attached meanwhile.
    const ready = await waitForAddons(story);
    if (!ready.ok) return ready;
    const release = await ensureRelease(story, build);
    if (release.unchanged) return { ok: true, ...release };
    const ran = await runBeforeRollout(story, release);
    return ran.ok ? { ok: true, ...release } : ran;
  } finally {
    await meanwhile.stop();
  }
}

/** A deploy ends as cancelled, goes on elsewhere, or ends as failed by our own fault: it never stays in between. */
async function endBroken(story: Story, error: unknown): Promise<void> {
  const { deps, deploy, held, signal } = story;
  const reason = signal.aborted ? signal.reason : error;
  if (held.signal.aborted || reason instanceof StaleLease || reason instanceof HandBack) throw reason;
  if (reason instanceof Cancelled) {
    return story.end("cancelled", await cancelledCause(story, reason.by));
  }
  // What somebody can mend says so itself.
  const isOurs = !(error instanceof UserError);
  if (isOurs)
    deps.log.error({ err: error, deploy: deploy.id, number: deploy.number, app: held.app.name }, "a deploy broke");
  const back = await putBackIfSwitched(story);
  const cause = isOurs
    ? ownFault(held, deploy)
    : { headline: error.message, ...(error.hint ? { hint: error.hint } : {}) };
  return story.end("failed", { ...cause, ...back });
}

/** A story that cannot even begin ends its deploy, too: nobody waits for it for ever. */
async function endUnopened(deps: Deps, held: HeldApp, deploy: DeployRow, error: unknown): Promise<undefined> {
  held.signal.throwIfAborted();
  deps.log.error(
    { err: error, deploy: deploy.id, number: deploy.number, app: held.app.name },
    "a deploy did not begin",
  );
  const back = deploy.switchedAt === null ? {} : await putBack(deps, held);
  const cause = { ...ownFault(held, deploy), ...back };
  await deps.db.persist(
    (db) =>
      db.transaction(async (tx) =>
        endUnsuccessful(deps, tx, await holdFence(tx, held.lease), deploy.id, "failed", cause),
      ),
    held.signal,
  );
}

function ownFault(held: HeldApp, deploy: DeployRow): Cause {
  return {
    headline: "Zyndra itself failed",
    hint: `the platform's log says more under ${deploy.id}; push again, or zyndra deploys:retry ${held.app.name} ${deploy.number}`,
  };
}

async function cancelledCause(story: Story, by: string): Promise<Cause> {
  const { deps, held } = story;
  const app = await deps.db.persist(({ db }) => findAppById(db, held.app.id), held.signal);
  return { headline: app?.destroyRequestedAt ? `${by} destroyed ${app.name}` : `cancelled by ${by}` };
}
