import { claimRun, listDetachedRuns, type NumberedRun } from "../db/runs.ts";
import type { Deps } from "../deps.ts";
import { duration } from "../model/deploy.ts";
import { detachedRunsTopic } from "../model/event.ts";
import { PlatformStops, performRun, RunStopped, runName } from "./runs.ts";

/** Should a ring have been lost. */
const lookEveryMs = 10_000;

/** Runs what nobody attaches to: its output, and how it ended, stand in the app's log. It ends with the platform. */
export function startDetachedRuns(deps: Deps): { stop(): Promise<void> } {
  const stop = new AbortController();
  const running = new Set<Promise<void>>();
  let looking = Promise.resolve();

  const takeUp = async () => {
    for (const { id } of await listDetachedRuns(deps.db.db)) {
      if (stop.signal.aborted) return;
      const run = await claimRun(deps.db.db, id);
      if (!run) continue;
      const done = runLogged(deps, run, stop.signal).finally(() => running.delete(done));
      running.add(done);
    }
  };
  const look = () => {
    looking = looking.then(takeUp).catch((error) => deps.log.debug({ err: error }, "runs could not be looked for"));
  };
  const unwatch = deps.events.watch(detachedRunsTopic, look);
  const timer = setInterval(look, lookEveryMs);
  look();
  return {
    async stop() {
      clearInterval(timer);
      unwatch();
      stop.abort(new PlatformStops());
      await looking;
      await Promise.all(running);
    },
  };
}

/** Never rejects. */
async function runLogged(deps: Deps, run: NumberedRun, stop: AbortSignal): Promise<void> {
  const { processes } = deps.runtime;
  const name = runName(run);
  const startedAt = performance.now();
  const how = await performRun(deps, run, stop, ({ spec, command, signal }) =>
    processes.run(spec, command, () => {}, signal, { name, intoLog: true }),
  ).then(
    (exitCode) => `exit ${exitCode}`,
    (error: unknown) => {
      if (error instanceof PlatformStops) return "ended, since Zyndra was stopped";
      if (error instanceof RunStopped) return "stopped";
      deps.log.error({ err: error, run: run.id }, "a run broke");
      return "ended, since Zyndra itself failed";
    },
  );
  const said = `${how} after ${duration(performance.now() - startedAt)}`;
  await processes
    .note(run.appId, name, said)
    .catch((error) => deps.log.warn({ err: error, run: run.id }, "how a run ended could not be logged"));
}
