import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type ReleaseSpec, StaleFence } from "../runtime.ts";
import { withLock } from "./lock.ts";

/**
 * What the local runtime keeps, all of it files, so that a platform that was killed finds everything again and the web
 * and worker roles may be two processes:
 *
 *   DATA/routes.json                          who answers for which host (routes.ts)
 *   DATA/routers/ID.json                      what each router has seen of it
 *   DATA/ports/PORT                           which process a port belongs to
 *   DATA/owners/APP_ID/lock, fence-N          one change at a time, and never a stale one; outlives the app
 *   DATA/owners/APP_ID/mounts                 held for a moment by whoever links volumes (mounted.ts)
 *   DATA/apps/APP_ID/desired.json             what should run, with its environment (mode 0600)
 *   DATA/apps/APP_ID/processes/INSTANCE_ID/   one running process: launch, status, home, tmp
 *   DATA/apps/APP_ID/runs/ID/                 one command that runs once, and the volumes it uses
 *   DATA/apps/APP_ID/log/app.log, router.log  and the older half of each, with `.1` at the end
 */
export type Desired = {
  spec: ReleaseSpec;
  processes: DesiredProcess[];
};

export type DesiredProcess = {
  /** Names one start of one process and its folder; never used twice. */
  id: string;
  /** `web.1` */
  name: string;
  type: string;
  port?: number;
  /** Restarts asked for up to this revision are done with it; absent where an older version wrote the file: none are. */
  revision?: number;
};

const idPattern = /^[A-Za-z0-9_-]{1,64}$/;

/** The folder of an app. */
export function appFolder(dataDir: string, appId: string): string {
  assert(idPattern.test(appId), `"${appId}" is no app id`);
  return join(dataDir, "apps", appId);
}

export function processesFolder(dataDir: string, appId: string): string {
  return join(appFolder(dataDir, appId), "processes");
}

export function processFolder(dataDir: string, appId: string, instanceId: string): string {
  return join(processesFolder(dataDir, appId), instanceId);
}

export function runsFolder(dataDir: string, appId: string): string {
  return join(appFolder(dataDir, appId), "runs");
}

export function logFolder(dataDir: string, appId: string): string {
  return join(appFolder(dataDir, appId), "log");
}

/** The apps of which anything is kept. */
export function listAppIds(dataDir: string): Promise<string[]> {
  return namesIn(join(dataDir, "apps"));
}

/** The processes of an app that have a folder: running, ending, or left over. */
export function listInstanceIds(dataDir: string, appId: string): Promise<string[]> {
  return namesIn(processesFolder(dataDir, appId));
}

/** What should run of an app, or undefined: nothing yet, or not any more. */
export async function findDesired(dataDir: string, appId: string): Promise<Desired | undefined> {
  const text = await readIfThere(desiredFile(dataDir, appId));
  return text ? (JSON.parse(text) as Desired) : undefined;
}

export async function writeDesired(dataDir: string, desired: Desired): Promise<void> {
  await mkdir(appFolder(dataDir, desired.spec.appId), { recursive: true, mode: 0o700 });
  await replaceFile(desiredFile(dataDir, desired.spec.appId), JSON.stringify(desired));
}

export async function removeDesired(dataDir: string, appId: string): Promise<void> {
  await rm(desiredFile(dataDir, appId), { force: true });
}

/** One change of an app at a time, on this machine, whichever process makes it. Rejects with the signal's reason. */
export async function withApp<T>(
  dataDir: string,
  appId: string,
  options: { signal?: AbortSignal; waitMs?: number },
  work: () => Promise<T>,
): Promise<T> {
  const owner = await ownerFolder(dataDir, appId);
  return withLock(join(owner, "lock"), options, work);
}

/** One change of an app's links at a time: unlike what `withApp` holds, this is free in a moment. */
export async function withMounts<T>(dataDir: string, appId: string, work: () => Promise<T>): Promise<T> {
  const owner = await ownerFolder(dataDir, appId);
  return withLock(join(owner, "mounts"), {}, work);
}

/**
 * Puts a fence up for an app: from now on lower ones are refused, also after the app is gone. Each fence is a file of its
 * own, so that two callers cannot overwrite each other's.
 * @throws StaleFence if a higher one was seen before.
 */
export async function raiseFence(dataDir: string, appId: string, fence: number): Promise<void> {
  const owner = await ownerFolder(dataDir, appId);
  await (await open(join(owner, `fence-${fence}`), "a", 0o600)).close();
  await checkFence(dataDir, appId, fence);
  for (const lower of await fencesIn(owner)) {
    if (lower < fence) await rm(join(owner, `fence-${lower}`), { force: true });
  }
}

/** @throws StaleFence if someone with a higher fence has come since. */
export async function checkFence(dataDir: string, appId: string, fence: number): Promise<void> {
  const seen = Math.max(...(await fencesIn(await ownerFolder(dataDir, appId))));
  if (seen > fence) throw new StaleFence(`fence ${fence} of app ${appId} is stale: ${seen} was seen`);
}

/** Replaces a file in one step, so that a reader sees the old or the new one, also after a power cut. */
export async function replaceFile(file: string, text: string): Promise<void> {
  const temporary = join(dirname(file), `.new-${randomBytes(6).toString("hex")}`);
  try {
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** A file's text, or undefined if there is none. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

/** The names in a folder; none if the folder is not there. Unfinished files of `replaceFile` are left out. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => !name.startsWith("."));
  } catch (error) {
    if (isAbsence(error)) return [];
    throw error;
  }
}

function isAbsence(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}

function desiredFile(dataDir: string, appId: string): string {
  return join(appFolder(dataDir, appId), "desired.json");
}

async function ownerFolder(dataDir: string, appId: string): Promise<string> {
  assert(idPattern.test(appId), `"${appId}" is no app id`);
  const folder = join(dataDir, "owners", appId);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** The fences in an owner's folder, where the lock is, too. */
async function fencesIn(owner: string): Promise<number[]> {
  return (await namesIn(owner)).flatMap((name) => {
    const match = /^fence-(\d+)$/.exec(name);
    return match ? [Number(match[1])] : [];
  });
}
