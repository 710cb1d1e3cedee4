import { findAppById } from "../db/apps.ts";
import type { DeployRow } from "../db/schema.ts";
import { StaleLease } from "../db/work.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { Cause } from "../model/cause.ts";
import { waitForAddons } from "./addons-ready.ts";
import { ensureBuild } from "./build.ts";
import { runAfterDeploy, runBeforeRollout } from "./hooks.ts";
import { HandBack, type HeldApp } from "./lease.ts";
import { applyMeanwhile } from "./meanwhile.ts";
import { ensureRelease } from "./release.ts";
import { goLive, putBackIfSwitched, rollOut } from "./rollout.ts";
import { Cancelled, openStory, type Story } from "./story.ts";

/**
 * One deploy, from a queued row to a running release. Read this function to know what a deploy is. Each chapter is safe
 * to run twice, so that a deploy whose worker died is simply run again.
 * @throws StaleLease or HandBack: the deploy goes on elsewhere
 */
export async function runDeploy(deps: Deps, held: HeldApp, deploy: DeployRow): Promise<void> {
  const story = await openStory(deps, held, deploy);
  const meanwhile = applyMeanwhile(deps, held, deploy);
  try {
    const before = await waitForAddons(story);
    if (!before.ok) return await story.end("failed", before.cause);
    const build = await ensureBuild(story);
    if (!build.ok) return await story.end("failed", build.cause);

    // A build takes its time: one may have been attached meanwhile.
    const ready = await waitForAddons(story);
    if (!ready.ok) return await story.end("failed", ready.cause);
    const release = await ensureRelease(story, build);
    if (release.unchanged) return await goLive(story, release.row);
    const prepared = await runBeforeRollout(story, release);
    if (!prepared.ok) return await story.end("failed", prepared.cause);

    await meanwhile.stop();
    const rollout = await rollOut(story, release);
    if (!rollout.ok) return await story.end(rollout.cancelled ? "cancelled" : "failed", rollout.cause);

    await runAfterDeploy(story, release);
    await goLive(story, release.row, rollout.revision);
  } catch (error) {
    await endBroken(story, error);
  } finally {
    await meanwhile.stop();
    story.close();
    // Who takes over goes on without these lines; a stop does not wait for a database that is away.
    if (!held.signal.aborted) await deps.deployLogs.stored(deploy.id);
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
  if (!isOurs) {
    return story.end("failed", { headline: error.message, ...(error.hint ? { hint: error.hint } : {}), ...back });
  }
  return story.end("failed", {
    headline: "Zyndra itself failed",
    hint: `the platform's log says more under ${deploy.id}; push again, or zyndra deploys:retry ${held.app.name} ${deploy.number}`,
    ...back,
  });
}

async function cancelledCause(story: Story, by: string): Promise<Cause> {
  const { deps, held } = story;
  const app = await deps.db.persist(({ db }) => findAppById(db, held.app.id), held.signal);
  return { headline: app?.destroyRequestedAt ? `${by} destroyed ${app.name}` : `cancelled by ${by}` };
}
