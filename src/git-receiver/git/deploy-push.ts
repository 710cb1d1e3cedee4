import { setTimeout as delay } from "node:timers/promises";
import { type Access, authenticate, type Rates } from "../../commands/actor.ts";
import { runCommand } from "../../commands/command.ts";
import { pushDeploy } from "../../commands/deploys.ts";
import { findAppById, getApp } from "../../db/apps.ts";
import { isPassing } from "../../db/client.ts";
import { listUnreported, markReported } from "../../db/deploys.ts";
import { findLiveRelease } from "../../db/releases.ts";
import type { Deps } from "../../deps.ts";
import { UserError } from "../../errors.ts";
import { mayAct } from "../../model/actor.ts";
import type { Cause } from "../../model/cause.ts";
import { type DeployStatus, statusWords } from "../../model/deploy.ts";
import { plainLine } from "../../model/log-line.ts";
import { parsePushOptions } from "../../model/push-options.ts";
import { followDeploy } from "../../pipeline/follow.ts";
import { refuseWhereGoing } from "../../pipeline/start.ts";
import { isZeroId, type Push, type ReceiverPolicy, type RefUpdate, type RefVerdict } from "./push.ts";

/** The branch that is deployed; all others are stored. */
const deployedRef = "refs/heads/main";
/** Of deploys that ended unseen, so many of the newest are told. */
const mostEndingsTold = 3;
/** A push that cannot be written down within this time is refused: the pusher is to know that nothing was accepted. */
const recordWithinMs = 20_000;

/** What a push to Zyndra means: main is deployed and told about until its end, other branches are kept. */
export function createPushPolicy(deps: Deps & { rates: Rates; access: Access }): ReceiverPolicy {
  return {
    authenticate: (request) => authenticate(deps, { ...request, door: "git" }),

    async openRepository(actor, name, need) {
      const app = await getApp(deps.db.db, actor.orgId, name);
      if (need === "push" && !mayAct(actor.role, "developer")) {
        throw new UserError("forbidden", `pushing to ${name} needs the role developer; ${actor.name} is ${actor.role}`);
      }
      refuseWhereGoing(app);
      return { appId: app.id, appName: app.name, gitDir: await deps.repos.ensureRepo(app.id) };
    },

    async checkPush(push) {
      parsePushOptions(push.options);
      for (const update of push.updates) await checkUpdate(deps, push, update);
      const deploys = push.updates.some(({ ref }) => ref === deployedRef);
      if (push.atomic && deploys && push.updates.length > 1) {
        throw new UserError("bad_input", "main cannot be pushed with other refs under --atomic: push main by itself");
      }
    },

    async receive(push, say, signal) {
      const verdicts: RefVerdict[] = [];
      for (const update of push.updates) {
        if (update.ref !== deployedRef) verdicts.push(storeOnly(update, say));
      }
      const main = push.updates.find(({ ref }) => ref === deployedRef);
      if (main) verdicts.push({ ref: main.ref, ...(await deployMain(deps, push, main, say, signal)) });
      return verdicts;
    },
  };
}

/** What must not come in at all: refused while the objects are in quarantine, so nothing of it is kept. */
async function checkUpdate(deps: Deps, push: Push, { ref, newId }: RefUpdate): Promise<void> {
  if (!ref.startsWith("refs/heads/") || isZeroId(newId)) return;
  const branch = ref.slice("refs/heads/".length);
  if (branch.startsWith("main/")) {
    throw new UserError("bad_input", `a branch ${branch} would stand in the way of main: choose another name`);
  }
  const type = await deps.repos.objectType(push.appId, newId, push.quarantineEnv);
  if (type === "tag") throw new UserError("bad_input", `${branch} would be a tag, not a commit: push TAG^{}:${branch}`);
  if (type !== "commit") throw new UserError("bad_input", `${branch} would be a ${type}, not a commit`);
  if (ref === deployedRef) await deps.repos.measureTree(push.appId, newId, undefined, push.quarantineEnv);
}

/** Other branches are git's to store; deleting one is fine too. */
function storeOnly({ ref, newId }: RefUpdate, say: (line: string) => void): RefVerdict {
  const branch = ref.slice("refs/heads/".length);
  if (!isZeroId(newId))
    say(`hint: nothing is deployed from \`${branch}\`; to deploy it: git push zyndra ${branch}:main`);
  return { ref, ok: true, fallThrough: true };
}

type Verdict = { ok: true } | { ok: false; reason: string };

async function deployMain(
  deps: Deps,
  push: Push,
  update: RefUpdate,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Verdict> {
  if (isZeroId(update.newId)) {
    const { appName } = push;
    say(`hint: to stop the app: zyndra ps:scale ${appName} web=0; to remove it: zyndra apps:destroy ${appName}`);
    return { ok: false, reason: "main is what is deployed and cannot be deleted" };
  }
  let started: RecordedPush;
  try {
    started = await recordPush(deps, push, update, signal);
  } catch (error) {
    return refusal(deps, error, say);
  }
  // As it is called by now.
  const { app: appName, deployId, number, followed } = started;
  await tellEndings(deps, push, deployId, say).catch((error) => deps.log.warn({ err: error }, "endings were not told"));
  const logs = `zyndra deploys:logs ${appName} ${number}`;
  if (parsePushOptions(push.options).detach) {
    say(`${appName}, deploy #${number} is queued; how it goes: ${logs}`);
    say("hint: git takes the push as done; if the deploy fails, zyndra/main is ahead of what is live");
    return { ok: true };
  }
  if (followed) say(`${appName}, deploy #${number} brings this commit already; followed from here`);

  const stop = AbortSignal.any([signal, push.gone]);
  let toldHowToLeave = false;
  for await (const step of followDeploy(deps, deployId, 0, stop)) {
    if (step.type === "line") {
      say(plainLine(step.line));
      if (!toldHowToLeave) say(`hint: Ctrl-C leaves it running; \`zyndra cancel ${appName}\` stops it`);
      toldHowToLeave = true;
      continue;
    }
    // Noted late, an ending is told twice; that is better than not at all.
    await markReported(deps.db.db, push.actor.userId, [deployId]).catch((error) =>
      deps.log.warn({ err: error }, "an ending was not noted"),
    );
    if (step.status === "live") return { ok: true };
    return { ok: false, reason: await whyNot(deps, push, step.cause ?? { headline: step.status }) };
  }
  // Nobody reads this where the pusher is gone.
  return { ok: false, reason: `zyndra restarts; deploy #${number} goes on; ${logs}` };
}

/** How the pusher's own deploys ended whose end they did not see: detached ones, and those of a lost connection. */
async function tellEndings(deps: Deps, push: Push, but: string, say: (line: string) => void): Promise<void> {
  const { db } = deps.db;
  const ended = (await listUnreported(db, push.appId, push.actor.userId)).filter(({ id }) => id !== but);
  for (const { number, status, cause } of ended.slice(-mostEndingsTold)) {
    say(`meanwhile deploy #${number} ended: ${endWords(status, cause)}`);
  }
  await markReported(
    db,
    push.actor.userId,
    ended.map(({ id }) => id),
  );
}

/** A cause says itself who has cancelled it. */
function endWords(status: DeployStatus, cause: Cause | null): string {
  if (!cause) return statusWords(status);
  return status === "cancelled" ? cause.headline : `${statusWords(status)}, ${cause.headline}`;
}

/** `web crashes at start; v11 keeps serving` */
async function whyNot(deps: Deps, push: Push, { headline, notBack }: Cause): Promise<string> {
  const live = await liveVersion(deps, push).catch(() => null);
  if (live === null) return headline;
  return notBack ? `${headline}; v${live} could not be put back` : `${headline}; v${live} keeps serving`;
}

async function liveVersion(deps: Deps, push: Push): Promise<number | null> {
  const app = await findAppById(deps.db.db, push.appId);
  return app ? ((await findLiveRelease(deps.db.db, app))?.version ?? null) : null;
}

type RecordedPush = { app: string; deployId: string; number: number; followed: boolean };

/** Writes the deploy down. After a lost connection it asks again with the push's own id, so that it is one deploy. */
async function recordPush(deps: Deps, push: Push, update: RefUpdate, signal: AbortSignal) {
  const options = parsePushOptions(push.options);
  const input = {
    app: push.appName,
    appId: push.appId,
    requestId: `push:${push.id}`,
    commit: update.newId,
    pushedOver: isZeroId(update.oldId) ? null : update.oldId,
    message: options.message,
    skipCache: options.skipCache,
    force: options.force,
  };
  const deadline = Date.now() + recordWithinMs;
  for (;;) {
    try {
      const answer = await runCommand(deps, pushDeploy, input, push.actor);
      return answer.data as RecordedPush;
    } catch (error) {
      if (!isPassing(error) || Date.now() > deadline) throw error;
      await delay(250, undefined, { signal });
    }
  }
}

function refusal(deps: Deps, error: unknown, say: (line: string) => void): Verdict {
  if (error instanceof UserError) {
    if (error.hint) say(`hint: ${error.hint}`);
    return { ok: false, reason: error.message };
  }
  deps.log.error({ err: error }, "a push could not be recorded");
  return { ok: false, reason: "zyndra could not confirm that the push was written down; push again in a moment" };
}
