import type { Hook } from "../model/app-settings.ts";
import type { Cause } from "../model/cause.ts";
import { duration } from "../model/deploy.ts";
import { applyMeanwhile } from "./meanwhile.ts";
import type { MadeRelease } from "./release.ts";
import { type Story, watchForCancel } from "./story.ts";
import { readWanted, releaseSpec } from "./wanted.ts";

type Ran = { ok: true } | { ok: false; cause: Cause };

/**
 * The release command, never for a rollback; then the first deploy's hook, as long as nothing of the app was ever live. Each
 * at least once; its failure keeps the old version, and the release is never live.
 */
export async function runBeforeRollout(story: Story, release: MadeRelease): Promise<Ran> {
  const { deploy, held } = story;
  const { hooks = {} } = release.row.settings;
  const command = release.row.releaseCommand;
  if (command !== null && deploy.kind !== "rollback" && deploy.releaseCommandDoneAt === null) {
    const ran = await runHook(story, release, "the release command", { ...hooks.release, command });
    if (!ran.ok) return ran;
    await story.note({ releaseCommandDone: true });
  }
  if (!hooks.firstDeploy || held.app.liveReleaseId !== null) return { ok: true };
  return runHook(story, release, "the first deploy's hook", hooks.firstDeploy);
}

/**
 * Once the release is live: what serves is not taken back, whatever happens here. A cancel ends the hook alone; what is
 * changed about the app does not wait for it. After a crash it is not run again.
 */
export async function runAfterDeploy(story: Story, release: MadeRelease): Promise<void> {
  const { deps, deploy, held, write } = story;
  const hook = release.row.settings.hooks?.afterDeploy;
  if (!hook) return;
  const warn = (why: string) => write({ kind: "warning", text: `${why}; the new version serves nevertheless` });
  const cancel = await watchForCancel(deps, held, deploy, () => true);
  const meanwhile = applyMeanwhile(deps, held);
  try {
    const signal = AbortSignal.any([held.signal, cancel.signal]);
    const ran = await runHook({ ...story, signal }, release, "the hook after the deploy", hook);
    if (!ran.ok) warn(`${ran.cause.headline}: ${ran.cause.detail}`);
  } catch (error) {
    if (held.signal.aborted) throw held.signal.reason;
    if (cancel.signal.aborted) return warn(`the hook after the deploy was ended by ${cancel.signal.reason.by}`);
    deps.log.error({ err: error, app: held.app.name, deploy: deploy.number }, "a hook after a deploy broke");
    warn("the hook after the deploy could not be run");
  } finally {
    cancel.close();
    await meanwhile.stop();
  }
}

function again({ held, deploy }: Story): string {
  return `zyndra deploys:retry ${held.app.name} ${deploy.number}`;
}

/** Runs a command once, in the release's image and environment. */
async function runHook(story: Story, release: MadeRelease, name: string, { command, timeoutMs }: Hook): Promise<Ran> {
  const { deps, signal, write } = story;
  write({ kind: "text", text: command });
  const last: string[] = [];
  const limitMs = timeoutMs ?? deps.limits.releaseMs;
  const timeout = AbortSignal.timeout(limitMs);
  const keepLast: typeof write = (line) => {
    if (last.push(line.text) > 20) last.shift();
    write(line);
  };
  try {
    const wanted = await deps.db.persist(({ db }) => readWanted(db, story.held.app, release.row), story.held.signal);
    const spec = releaseSpec(story.held.app, release, wanted);
    const exitCode = await deps.runtime.processes.run(spec, command, keepLast, AbortSignal.any([signal, timeout]));
    if (exitCode === 0) return { ok: true };
    return {
      ok: false,
      cause: {
        headline: `${name} failed`,
        detail: `${command}: exit ${exitCode}`,
        hint: `mend it, then push again; ${again(story)} tries the same again`,
        lastLines: last,
      },
    };
  } catch (error) {
    if (!timeout.aborted || signal.aborted) throw error;
    return {
      ok: false,
      cause: { headline: `${name} took longer than ${duration(limitMs)}`, detail: command, lastLines: last },
    };
  }
}
