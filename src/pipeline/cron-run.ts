import { setTimeout as delay } from "node:timers/promises";
import { lockApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import {
  type CronRunEnding,
  claimCronRun,
  findOtherCronRun,
  type OwnedCronRun,
  renewCronRun,
} from "../db/cron-runs.ts";
import { findLiveRelease } from "../db/releases.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import type { Deps, Limits } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { CronEntry } from "../model/app-settings.ts";
import { cronProcess, defaultTimeoutMs } from "../model/cron.ts";
import { duration } from "../model/deploy.ts";
import { note, writeEnding } from "./cron-endings.ts";
import { readSpec } from "./wanted.ts";

/** A due moment that this worker runs, with what it runs. */
export type ClaimedRun = { run: OwnedCronRun; entry: CronEntry; app: AppRow; release: ReleaseRow };

/** Longer than that of a deploy: nobody waits to take a run over, and a short outage of the database should not end one. */
export const cronLeaseMs = ({ leaseMs }: Pick<Limits, "leaseMs">) => 5 * leaseMs;

/** The run is over, or its app is about to be: whoever runs it stops, and writes nothing. */
class LostRun extends Error {
  override name = "LostRun";
}

/** Takes a waiting run, as the live release names its entry now. Null where another has it, or it is not to be run. */
export async function claimDueRun(deps: Deps, run: OwnedCronRun): Promise<ClaimedRun | null> {
  const claimed = await deps.db.transaction(async (tx) => {
    // The app's row is taken first, so that of two runs of an entry one sees the other.
    const app = await lockApp(tx, run.appId);
    const release = await findLiveRelease(tx, app);
    if (app.destroyRequestedAt !== null || release === null) return null;
    if (!(await claimCronRun(tx, run, release.version, cronLeaseMs(deps.limits)))) return null;
    const entry = release.settings.cron?.find(({ name }) => name === run.name);
    if (!entry) return leaveOut(tx, run, `v${release.version} does not have it any more`);
    const other = entry.overlap === "forbid" ? await findOtherCronRun(tx, run) : null;
    if (other) return leaveOut(tx, run, stillGoing(run, other));
    return { run, entry, app, release };
  });
  if (claimed === null || "run" in claimed) return claimed;
  await note(deps, run, `left out: ${claimed.leftOut}`);
  return null;
}

async function leaveOut(tx: Db, run: OwnedCronRun, reason: string): Promise<{ leftOut: string }> {
  await writeEnding(tx, run, { status: "skipped", reason });
  return { leftOut: reason };
}

/** `the one of 5 min before still goes on` */
function stillGoing(run: OwnedCronRun, other: OwnedCronRun): string {
  const beforeMs = run.dueAt.getTime() - other.dueAt.getTime();
  return beforeMs > 0 ? `the one of ${duration(beforeMs)} before still goes on` : "another one still goes on";
}

/** Runs it to its end, whatever that is. Never rejects. */
export async function runClaimed(
  deps: Deps,
  claimed: ClaimedRun,
  { stop, retryPauseMs }: { stop: AbortSignal; retryPauseMs: number },
): Promise<void> {
  const { run, app } = claimed;
  const logged = { app: app.name, entry: run.name };
  const lease = keepLease(deps, run);
  const signal = AbortSignal.any([lease.lost, stop]);
  try {
    const ending = await tryAll(deps, claimed, lease, signal, retryPauseMs);
    await deps.db.persist((db) => db.transaction((tx) => writeEnding(tx, run, ending)), signal);
    deps.log.info({ ...logged, ...ending }, "cron entry ran");
  } catch (error) {
    if (error instanceof LostRun) deps.log.info(logged, "a cron run was over before its command");
    else deps.log.error({ err: error, ...logged }, "how a cron run ended could not be written down");
  } finally {
    await lease.release();
  }
}

/** Tries until it succeeds, has no more tries or the platform stops. @throws LostRun */
async function tryAll(
  deps: Deps,
  claimed: ClaimedRun,
  lease: RunLease,
  signal: AbortSignal,
  firstPauseMs: number,
): Promise<CronRunEnding> {
  const { run, entry } = claimed;
  const tries = 1 + (entry.retries ?? 0);
  for (let count = 1; ; count++) {
    // An app that is being destroyed is not started once more.
    await lease.renew();
    const tried = await tryOnce(deps, claimed, signal);
    lease.lost.throwIfAborted();
    if (tried.exitCode === 0) {
      await note(deps, run, tried.said);
      return { status: "done", exitCode: 0 };
    }
    const said = tries > 1 ? `${tried.said} (try ${count} of ${tries})` : tried.said;
    if (count === tries || signal.aborted) {
      await note(deps, run, said);
      return { status: "failed", exitCode: tried.exitCode, reason: said };
    }
    const pauseMs = Math.min(firstPauseMs * 2 ** (count - 1), longestPauseMs);
    await note(deps, run, `${said}, the next in ${duration(pauseMs)}`);
    await delay(pauseMs, undefined, { signal }).catch(() => {});
  }
}

const longestPauseMs = 5 * 60_000;

/** One try. `exitCode` is null where the command was not begun, or not let to its end. */
type Tried = { exitCode: number | null; said: string };

async function tryOnce(deps: Deps, { entry, app, release }: ClaimedRun, signal: AbortSignal): Promise<Tried> {
  const timeoutMs = entry.timeoutMs ?? defaultTimeoutMs;
  const timeout = AbortSignal.timeout(timeoutMs);
  const startedAt = performance.now();
  const took = () => duration(performance.now() - startedAt);
  try {
    const spec = await deps.db.persist(({ db }) => readSpec(deps, db, app, release), signal);
    const either = AbortSignal.any([signal, timeout]);
    const options = { name: cronProcess(entry.name), intoLog: true };
    const exitCode = await deps.runtime.processes.run(spec, entry.command, () => {}, either, options);
    return { exitCode, said: `exit ${exitCode} after ${took()}` };
  } catch (error) {
    if (signal.aborted) return { exitCode: null, said: `ended after ${took()}: Zyndra was stopped` };
    if (timeout.aborted) return { exitCode: null, said: `ended after ${took()}: it may take ${duration(timeoutMs)}` };
    if (error instanceof UserError) return { exitCode: null, said: `not begun: ${error.message}` };
    deps.log.error({ err: error, app: app.name, entry: entry.name }, "a cron entry could not be run");
    return { exitCode: null, said: "not begun: Zyndra itself failed" };
  }
}

type RunLease = {
  /** Aborts with LostRun. */
  lost: AbortSignal;
  renew(): Promise<void>;
  release(): Promise<void>;
};

/** Keeps renewing a run's lease, so that others see that it goes on. */
function keepLease(deps: Deps, run: OwnedCronRun): RunLease {
  const lost = new AbortController();
  const renewOnce = async () => {
    try {
      const held = await renewCronRun(deps.db.db, run, cronLeaseMs(deps.limits));
      if (!held) lost.abort(new LostRun(`the run of ${run.name} is over, or its app is being destroyed`));
    } catch (error) {
      deps.log.warn({ err: error, entry: run.name }, "a lease could not be renewed, trying again");
    }
  };
  let renewing = Promise.resolve();
  const renew = () => (renewing = renewing.then(renewOnce));
  const timer = setInterval(renew, deps.limits.leaseMs);
  return {
    lost: lost.signal,
    renew,
    async release() {
      clearInterval(timer);
      await renewing;
    },
  };
}
