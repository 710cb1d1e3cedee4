import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { commandLineOf, instanceMark, markedProcesses } from "./machine.ts";
import { perlEnvironment } from "./perl.ts";
import { releasePort } from "./ports.ts";
import { listInstanceIds, logFolder, processFolder, readIfThere, replaceFile } from "./state.ts";

/**
 * One start of one process: a folder, and a keeper (keeper.pl) that runs the command and outlives the platform. A folder
 * gets a keeper once; what must run again after its keeper is gone is another instance.
 */
export type InstanceFacts = {
  id: string;
  appId: string;
  /** `web.1` */
  name: string;
  type: string;
  releaseId: string;
  version: number;
  port?: number;
};

/** What the keeper says. Times in ms since 1970. */
export type KeeperStatus = z.infer<typeof KeeperStatus>;
export type Exit = z.infer<typeof Exit>;

const ExitFacts = { at: z.number(), ranMs: z.number(), lines: z.array(z.string()) };
const Exit = z.union([z.object({ code: z.number(), ...ExitFacts }), z.object({ signal: z.number(), ...ExitFacts })]);
const KeeperStatus = z.object({
  keeperPid: z.number(),
  state: z.enum(["starting", "up", "crashed", "stopping", "ended"]),
  since: z.number(),
  starts: z.number(),
  exits: z.number(),
  writtenAt: z.number(),
  /** The latest lines of the current run, as they were when the status was written. */
  tail: z.array(z.string()),
  /** The app's own process, while it runs. */
  pid: z.number().optional(),
  lastExit: Exit.optional(),
});

/** How a keeper treats its process. */
export type KeeperLimits = {
  /** Between SIGTERM and SIGKILL. */
  stopGraceMs: number;
  /** The first pause before a restart; each next one is twice as long, up to `maxPauseMs`. */
  firstPauseMs: number;
  maxPauseMs: number;
  /** Up for this long, the pauses begin anew. */
  steadyMs: number;
  maxLogBytes: number;
};

/** Where a command's output goes: into the log, or through pipes or a terminal to whoever started the keeper. */
export type KeeperStreams = { streams: "log" | "pipes" } | { streams: "terminal"; columns: number; rows: number };

const keeperScript = join(import.meta.dirname, "keeper.pl");

/** Makes the folder and starts the keeper; the process itself may fail in its own time. */
export async function startInstance(
  dataDir: string,
  facts: InstanceFacts,
  launch: { command: string; cwd: string; env: Record<string, string> },
  limits: KeeperLimits,
): Promise<void> {
  const folder = processFolder(dataDir, facts.appId, facts.id);
  await prepareFolder(dataDir, facts.appId, facts.id);
  await writeFile(join(folder, "instance.json"), JSON.stringify(facts), { mode: 0o600 });
  await writeLaunch(folder, {
    name: facts.name,
    instance: facts.id,
    command: launch.command,
    cwd: launch.cwd,
    env: launch.env,
    streams: "log",
    log: join(logFolder(dataDir, facts.appId), "app.log"),
    limits,
  });
  const complaints = await open(join(folder, "keeper.err"), "a", 0o600);
  try {
    const keeper = spawnKeeper("keep", folder, ["ignore", complaints.fd, complaints.fd], true);
    await once(keeper, "spawn");
    keeper.unref();
  } finally {
    await complaints.close();
  }
}

/** The folders that an instance needs before anything is known of it but its id. */
export async function prepareFolder(dataDir: string, appId: string, instanceId: string): Promise<void> {
  const folder = processFolder(dataDir, appId, instanceId);
  await mkdir(join(folder, "home"), { recursive: true, mode: 0o700 });
  await mkdir(join(folder, "tmp"), { recursive: true, mode: 0o700 });
  await mkdir(logFolder(dataDir, appId), { recursive: true, mode: 0o700 });
}

/** Starts keeper.pl on a folder that has its launch file. A detached one leaves our process group and outlives us. */
export function spawnKeeper(
  mode: "keep" | "once",
  folder: string,
  stdio: ["ignore" | "pipe", number | "pipe", number | "pipe"],
  detached: boolean,
): ChildProcess {
  // The mark is there from the first moment, so that the keeper is found even if it never wrote a status.
  const env = { ...perlEnvironment, [instanceMark]: basename(folder) };
  return spawn("perl", [keeperScript, mode, folder], { cwd: "/", env, stdio, detached });
}

export async function writeLaunch(
  folder: string,
  launch: {
    name: string;
    instance: string;
    command: string;
    cwd: string;
    env: Record<string, string>;
    log: string;
    limits: KeeperLimits;
  } & KeeperStreams,
): Promise<void> {
  const { limits, env, ...words } = launch;
  const settings = {
    ...words,
    graceMs: limits.stopGraceMs,
    firstPauseMs: limits.firstPauseMs,
    maxPauseMs: limits.maxPauseMs,
    steadyMs: limits.steadyMs,
    maxLogBytes: limits.maxLogBytes,
  };
  const entries = [
    ...Object.entries(settings),
    ...Object.entries({ ...env, [instanceMark]: launch.instance }).map(([name, value]) => [`env.${name}`, value]),
  ].map(([key, value]) => `${key}=${value}`);
  // Neither an environment nor a command line can hold a NUL, so it separates.
  if (entries.some((entry) => entry.includes("\0"))) throw new Error(`a NUL in what ${launch.name} is started with`);
  await writeFile(join(folder, "launch"), entries.map((entry) => `${entry}\0`).join(""), { mode: 0o600 });
}

/** What is known of an instance, or undefined if its folder is half made or gone. */
export async function findInstance(dataDir: string, appId: string, id: string): Promise<InstanceFacts | undefined> {
  const text = await readIfThere(join(processFolder(dataDir, appId, id), "instance.json"));
  try {
    return text ? (JSON.parse(text) as InstanceFacts) : undefined;
  } catch {
    return undefined;
  }
}

/** The keeper's last word, or undefined if it has not spoken yet. */
export async function readStatus(folder: string): Promise<KeeperStatus | undefined> {
  const text = await readIfThere(join(folder, "status"));
  if (!text) return undefined;
  try {
    return KeeperStatus.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** Asks the keeper for a status with the latest output; answers what there is if it does not come soon. */
export async function freshStatus(folder: string): Promise<KeeperStatus | undefined> {
  const before = await readStatus(folder);
  if (!before || !(await isKeeper(before.keeperPid, folder))) return before;
  const askedAt = Date.now();
  signalProcess(before.keeperPid, "SIGUSR1");
  while (Date.now() - askedAt < freshStatusLimitMs) {
    const status = await readStatus(folder);
    if (status && status.writtenAt >= askedAt) return status;
    await delay(10);
  }
  return readStatus(folder);
}

const freshStatusLimitMs = 1_000;

/** The process id of the living keeper of a folder, told from others by its command line; undefined if there is none. */
export async function findKeeper(folder: string): Promise<number | undefined> {
  const status = await readStatus(folder);
  if (status) return (await isKeeper(status.keeperPid, folder)) ? status.keeperPid : undefined;
  // Started a moment ago, or its first status found no room on the disk.
  for (const pid of await markedProcesses(basename(folder))) {
    if (await isKeeper(pid, folder)) return pid;
  }
  return undefined;
}

async function isKeeper(pid: number, folder: string): Promise<boolean> {
  const words = await commandLineOf(pid);
  return words.includes(folder) && words.some((word) => word.endsWith("/keeper.pl"));
}

/** Tells `list` that an instance is on its way out. */
export async function markRetired(folder: string): Promise<void> {
  await replaceFile(join(folder, "retired"), "");
}

export async function isRetired(folder: string): Promise<boolean> {
  return (await readIfThere(join(folder, "retired"))) !== undefined;
}

/**
 * Ends an instance wherever it stands: the keeper stops its process (SIGTERM, SIGKILL after the grace it was started
 * with); without a keeper, all that carries the instance's mark is ended. Then folder and port are given back.
 */
export async function stopInstance(dataDir: string, appId: string, instanceId: string): Promise<void> {
  const folder = processFolder(dataDir, appId, instanceId);
  const facts = await findInstance(dataDir, appId, instanceId);
  await endKept(folder);
  if (facts?.port !== undefined) await releasePort(dataDir, facts.port);
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/**
 * Ends all that runs below a folder's keeper, and the keeper: it alone knows of processes that have dropped their mark, so
 * it is asked first.
 */
export async function endKept(folder: string): Promise<void> {
  const keeper = await findKeeper(folder);
  if (keeper !== undefined) await stopKeeper(keeper, folder);
  await endMarked(basename(folder));
}

/** Ends every instance of an app that `keep` does not name. */
export async function stopInstancesExcept(
  dataDir: string,
  appId: string,
  keep: ReadonlySet<string>,
): Promise<string[]> {
  const strays = (await listInstanceIds(dataDir, appId)).filter((id) => !keep.has(id));
  await Promise.all(strays.map((id) => stopInstance(dataDir, appId, id)));
  return strays;
}

async function stopKeeper(pid: number, folder: string): Promise<void> {
  const limitMs = (await graceOf(folder)) + keeperSlackMs;
  signalProcess(pid, "SIGTERM");
  const deadline = Date.now() + limitMs;
  for (let pauseMs = 5; await isKeeper(pid, folder); pauseMs = Math.min(pauseMs * 2, 50)) {
    if (Date.now() > deadline) signalProcess(pid, "SIGKILL");
    await delay(pauseMs);
  }
}

/** What a keeper needs besides its process's grace: two seconds for leftovers, the rest for a busy machine. */
const keeperSlackMs = 8_000;

async function graceOf(folder: string): Promise<number> {
  const launch = await readIfThere(join(folder, "launch"));
  return Number(/(?:^|\0)graceMs=(\d+)\0/.exec(launch ?? "")?.[1] ?? 0);
}

/** Kills all that carries an instance's mark, in several rounds: a process may fork while we look. */
export async function endMarked(instanceId: string): Promise<void> {
  for (let round = 0; round < 50; round++) {
    const pids = await markedProcesses(instanceId);
    if (pids.length === 0) return;
    for (const pid of pids) signalProcess(pid, "SIGKILL");
    await delay(10);
  }
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
