import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Log } from "../../log.ts";
import type { ProcessStatus, Runtime } from "../runtime.ts";
import { maxLogBytes, readAppLog } from "./app-log.ts";
import { localRuntimeChecks } from "./checks.ts";
import { localData } from "./data.ts";
import type { PostgresHome } from "./databases.ts";
import type { Ground } from "./ground.ts";
import { healAll, healWhatBroke } from "./healing.ts";
import { stopInstancesExcept } from "./instance.ts";
import { appendToLog, logLine } from "./log-file.ts";
import { attachOneOff, endRuns, runOneOff } from "./one-off.ts";
import { requirePerl } from "./perl.ts";
import { listProcesses } from "./process-list.ts";
import { applyRelease, destroyApp } from "./rollout.ts";
import { listAppIds } from "./state.ts";

export type LocalRuntimeOptions = {
  dataDir: string;
  log: Log;
  /** The address people open for an app, e.g. `http://shop.localhost:8080`. */
  publicUrl(appName: string): string;
  /** Apps are reached at NAME.baseDomain; `localhost` by default. */
  baseDomain?: string;
  /** How long requests of an old version may take to finish once traffic has moved; 30 s by default. */
  drainTimeoutMs?: number;
  /** Between SIGTERM and SIGKILL; 10 s by default. */
  stopGraceMs?: number;
  /** A process that is no web is healthy after being up for this long; 1.5 s by default. */
  settleMs?: number;
  /** A web process that listens on other ports alone for this long fails; 20 s by default. */
  wrongPortMs?: number;
  /**
   * Whether to bring back what runs no more, at opening and while open; yes by default. One process of an installation
   * that does so is enough: one with the web role alone only looks.
   */
  keepsRunning?: boolean;
  /** How often to look for processes whose keeper is gone; 3 s by default. */
  watchEveryMs?: number;
  /** Where databases are made; without one there are none. */
  postgres?: PostgresHome;
};

/**
 * Opens the runtime that runs apps as processes of this machine, each below a keeper that outlives the platform. All its
 * state is files of the data folder: what was left running is found again, what should run and does not is started.
 * @throws UserError if this machine has no Perl.
 */
export async function openLocalRuntime(options: LocalRuntimeOptions): Promise<Runtime> {
  const { dataDir, log, keepsRunning = true, watchEveryMs = 3_000 } = options;
  const ground = groundOf(options);
  await requirePerl();
  await mkdir(join(dataDir, "apps"), { recursive: true, mode: 0o700 });
  if (keepsRunning) await healAll(ground);
  const watching = keepsRunning ? repeat(watchEveryMs, () => healWhatBroke(ground), log) : undefined;

  return {
    kind: "local",
    rollout: {
      apply: (spec, fence, call) => applyRelease(ground, spec, fence, call),
      destroy: (appId, fence) => destroyApp(ground, appId, fence),
    },
    processes: {
      list: (appId): Promise<ProcessStatus[]> => listProcesses(ground, appId),
      logs: (appId, logOptions, signal) => readAppLog(dataDir, appId, logOptions, signal),
      run: (spec, command, write, signal, runOptions) => runOneOff(ground, spec, command, write, signal, runOptions),
      attach: (spec, command, end, signal, runOptions) => attachOneOff(ground, spec, command, end, signal, runOptions),
      note: (appId, process, text) => appendToLog(dataDir, appId, "app.log", [logLine(process, `zyndra: ${text}`)]),
    },
    edge: { url: (appName) => options.publicUrl(appName), baseDomain: ground.baseDomain },
    data: localData({ dataDir, postgres: options.postgres }),
    checks: localRuntimeChecks(dataDir),
    close: async () => watching?.stop(),
  };
}

/**
 * Ends every process of a data folder, also those that a killed platform left behind. What should run stays written
 * down: the next platform starts it again. The platform itself must not run, or it would bring them back. Answers whether
 * there was an app's process to end.
 */
export async function stopAll(dataDir: string): Promise<boolean> {
  const appIds = await listAppIds(dataDir);
  const [stopped] = await Promise.all([
    Promise.all(appIds.map((appId) => stopInstancesExcept(dataDir, appId, new Set()))),
    Promise.all(appIds.map((appId) => endRuns(dataDir, appId))),
  ]);
  return stopped.flat().length > 0;
}

/** Late enough for one that opens another port first: for its metrics, or to be debugged. */
const defaultWrongPortMs = 20_000;

function groundOf(options: LocalRuntimeOptions): Ground {
  return {
    dataDir: options.dataDir,
    slugsDir: join(options.dataDir, "slugs"),
    log: options.log,
    baseDomain: options.baseDomain ?? "localhost",
    nodeDir: dirname(process.execPath),
    drainTimeoutMs: options.drainTimeoutMs ?? 30_000,
    settleMs: options.settleMs ?? 1_500,
    wrongPortMs: options.wrongPortMs ?? defaultWrongPortMs,
    limits: {
      stopGraceMs: options.stopGraceMs ?? 10_000,
      firstPauseMs: 250,
      maxPauseMs: 60_000,
      steadyMs: 60_000,
      maxLogBytes,
    },
  };
}

/** Does the work again and again, each time a pause after the last; `stop` waits for the one that runs. */
function repeat(pauseMs: number, work: () => Promise<void>, log: Log): { stop(): Promise<void> } {
  let stopped = false;
  let running = Promise.resolve();
  let timer: NodeJS.Timeout;
  const next = () => {
    timer = setTimeout(() => {
      running = work()
        .catch((error: unknown) => log.error({ err: error }, "looking after processes failed"))
        .then(() => {
          if (!stopped) next();
        });
    }, pauseMs);
    timer.unref();
  };
  next();
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
