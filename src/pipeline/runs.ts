import { randomUUID } from "node:crypto";
import { findAppById } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { getLiveRelease, getRelease } from "../db/releases.ts";
import { endRun, insertRun, isRunning, listActiveRuns, type NumberedRun } from "../db/runs.ts";
import type { AppRow, ReleaseRow, RunRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { Actor } from "../model/actor.ts";
import { shownCommandLine } from "../model/command-line.ts";
import { runTopic } from "../model/event.ts";
import type { ReleaseSpec } from "../runtime/runtime.ts";
import { seal, unseal } from "../secrets/keyring.ts";
import type { Masker } from "../secrets/masker.ts";
import { orgKeyOf } from "./config-vars.ts";
import { refuseWhereGoing } from "./start.ts";
import { readSpec } from "./wanted.ts";

/** Of one app at once, waiting ones included. */
export const mostRuns = 10;

/** What a run is called among the app's processes. */
export const runName = ({ number }: Pick<NumberedRun, "number">) => `run.${number}`;

/**
 * Notes that a command is to be run in what is live now. Somebody attaches to it, or nobody does and the platform takes it up
 * by itself. The caller holds the app's row.
 * @throws UserError gone, conflict
 */
export async function startRun(
  deps: Pick<Deps, "keyring">,
  tx: Db,
  app: AppRow,
  actor: Actor,
  asked: { command: string; detached: boolean },
): Promise<{ run: NumberedRun; release: ReleaseRow }> {
  refuseWhereGoing(app);
  const release = await getLiveRelease(tx, app);
  const active = await listActiveRuns(tx, app.id);
  if (active.length >= mostRuns) {
    const hint = `zyndra ps ${app.name} lists them, zyndra run:stop ${app.name} ${runName(active[0]!)} ends one`;
    throw new UserError("conflict", `${app.name} runs ${active.length} commands already, and that is the most`, hint);
  }
  const id = randomUUID();
  const run = await insertRun(tx, app, {
    id,
    releaseId: release.id,
    command: seal(await orgKeyOf(deps, tx, app.orgId), commandPlace(app.orgId, id), asked.command),
    userId: asked.detached ? null : actor.userId,
    actorName: actor.name,
  });
  return { run, release };
}

/** What a run runs, as others may see it: neither values of config vars nor what was set in the line itself. */
export async function shownCommand(deps: Pick<Deps, "keyring">, db: Db, run: RunRow, masker: Masker): Promise<string> {
  return masker.mask(shownCommandLine(await openCommand(deps, db, run)));
}

export type RunWork = { spec: ReleaseSpec; command: string; name: string; signal: AbortSignal };

/** Somebody has asked a run to end. */
export class RunStopped extends Error {
  override name = "RunStopped";
}

/** What runs in the platform's hands ends with it. */
export class PlatformStops extends Error {
  override name = "PlatformStops";
}

/**
 * Does a run that was claimed, and writes down how it ended. Answers its exit code; rejects with the signal's reason, or with
 * RunStopped.
 */
export async function performRun(
  deps: Pick<Deps, "db" | "keyring" | "events" | "log">,
  run: NumberedRun,
  signal: AbortSignal,
  perform: (work: RunWork) => Promise<number>,
): Promise<number> {
  const stop = new AbortController();
  const look = async () => {
    if (await isRunning(deps.db.db, run.id).catch(() => true)) return;
    stop.abort(new RunStopped(`${runName(run)} was stopped`));
  };
  const unwatch = deps.events.watch(runTopic(run.id), look);
  let exitCode: number | null = null;
  try {
    const { spec, command } = await readWork(deps, run);
    // One that came before the watch began rang for nobody.
    await look();
    exitCode = await perform({ spec, command, name: runName(run), signal: AbortSignal.any([signal, stop.signal]) });
    return exitCode;
  } finally {
    unwatch();
    await writeEnding(deps, run, exitCode);
  }
}

/** A run that was claimed is not done after all. */
export async function endClaimed(deps: Pick<Deps, "db" | "log">, run: NumberedRun): Promise<void> {
  await writeEnding(deps, run, null);
}

async function readWork(deps: Pick<Deps, "db" | "keyring">, run: RunRow): Promise<Pick<RunWork, "spec" | "command">> {
  const { db } = deps.db;
  const app = await findAppById(db, run.appId);
  if (!app) throw new UserError("gone", "the app was removed meanwhile", "zyndra apps lists what there is");
  const spec = await readSpec(deps, db, app, await getRelease(db, run.releaseId));
  return { spec, command: await openCommand(deps, db, run) };
}

/** A database that is away for so long keeps the run as one that goes on; the next start of the platform puts that right. */
const writeWithinMs = 30_000;

async function writeEnding(deps: Pick<Deps, "db" | "log">, run: RunRow, exitCode: number | null): Promise<void> {
  await deps.db
    .persist(({ db }) => endRun(db, run.id, exitCode), AbortSignal.timeout(writeWithinMs))
    .catch((error) => deps.log.error({ err: error, run: run.id }, "how a run ended could not be written down"));
}

/** A secret may stand in a command line, so it is kept sealed. */
async function openCommand(deps: Pick<Deps, "keyring">, db: Db, run: RunRow): Promise<string> {
  return unseal(await orgKeyOf(deps, db, run.orgId), commandPlace(run.orgId, run.id), run.command);
}

const commandPlace = (orgId: string, rowId: string) => ({ orgId, table: "runs", column: "command", rowId });
