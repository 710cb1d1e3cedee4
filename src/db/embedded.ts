import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import * as fs from "node:fs/promises";
import { constants, type FileHandle, open } from "node:fs/promises";
import { createServer } from "node:net";
import { basename, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { UserError } from "../errors.ts";
import type { Log } from "../log.ts";
import { findBinaries, type PostgresBinaries } from "./embedded-binaries.ts";
import { chooseServerUser, giveTo, type ServerUser } from "./embedded-user.ts";

export type EmbeddedPostgres = { url: string; pid: number; stop(): Promise<void> };

export type EmbeddedPostgresOptions = {
  /** The platform's data folder; the database lives in its `postgres/`. */
  dataDir: string;
  log: Log;
  /** Where `node_modules` is looked for; by default where this file stands. */
  packageRoot?: string;
  signal?: AbortSignal;
};

/**
 * Gives the platform a PostgreSQL server of its own: makes it on an empty folder, starts it, or adopts the one that still runs.
 * The server is a process of its own session: it outlives this process, and the next start finds it again.
 * Throws a UserError for what the caller can mend: a full disk, a taken port, another major version, a root nobody can step down from.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log, signal = new AbortController().signal } = options;
  const place = placeIn(options.dataDir);
  await makeFolder(place);
  const binaries = await findBinaries(place.folder, options.packageRoot);
  const user = await chooseServerUser(place, binaries);

  await ensureCluster({ place, binaries, user, log, signal });
  await checkMajorVersion(place, binaries);
  const { server, url } = await ensureDatabase({ place, binaries, user, log, signal });
  log.info({ pid: server.pid, port: server.port }, server.isAdopted ? "database adopted" : "database started");

  const logKeeper = keepLogSmall(place, log);
  return {
    url,
    pid: server.pid,
    stop: async () => {
      clearInterval(logKeeper);
      await stopServer(place);
    },
  };
}

/** Stops the server of a data folder, whoever started it; open transactions are rolled back. Does nothing where none runs. */
export async function stopEmbeddedPostgres(dataDir: string): Promise<void> {
  const place = placeIn(dataDir);
  await stopServer(place).catch((error) => {
    throw explainFileError(error, place);
  });
}

/** Everything of the server, below the platform's data folder. */
export type Place = {
  folder: string;
  /** PostgreSQL's own folder; it appears whole or not at all. */
  cluster: string;
  passwordFile: string;
  portFile: string;
  logFile: string;
};

const serverStartLimitMs = 120_000; // Recovery after a crash reads all of the log that was written since the last checkpoint.
const predecessorLimitMs = 20_000;
const initdbLimitMs = 120_000;
const connectLimitMs = 5_000;
const fastShutdownLimitMs = 20_000;
const immediateShutdownLimitMs = 5_000;
const logLimitBytes = 10 * 1024 * 1024;
const logCheckEveryMs = 10 * 60_000;
const superuser = "zyndra";
const database = "zyndra";

function placeIn(dataDir: string): Place {
  const folder = join(resolve(dataDir), "postgres");
  return {
    folder,
    cluster: join(folder, "data"),
    passwordFile: join(folder, "password"),
    portFile: join(folder, "port"),
    logFile: join(folder, "server.log"),
  };
}

async function makeFolder(place: Place): Promise<void> {
  try {
    await fs.mkdir(place.folder, { recursive: true, mode: 0o700 });
    await fs.access(place.folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw explainFileError(error, place);
  }
}

// ---- the cluster: made once, whole or not at all

type Work = { place: Place; binaries: PostgresBinaries; user: ServerUser; log: Log; signal: AbortSignal };

/**
 * initdb writes into a folder of its own, which is renamed when it is finished. So a killed initdb leaves nothing that could
 * be taken for a database, a finished one is never touched again, and of two that run at once the first wins.
 */
async function ensureCluster(work: Work): Promise<void> {
  const { place, user, log } = work;
  if (await isCluster(place.cluster)) return;
  if ((await listFolder(place.cluster)).length > 0) {
    const wrong = `${place.cluster} holds files, but no database: PG_VERSION is missing`;
    throw new UserError(
      "conflict",
      wrong,
      "put the folder back from a backup, or move it away to begin with an empty database",
    );
  }
  try {
    await removeHalfMade(place, log);
    await writeOnce(place.passwordFile, () => randomBytes(32).toString("base64url"));
    const unfinished = join(place.folder, `data.new-${process.pid}-${randomBytes(4).toString("hex")}`);
    await giveTo(user, place.folder, place.passwordFile);
    await runInitdb(work, unfinished);
    await syncFolder(unfinished);
    await fs.rename(unfinished, place.cluster).catch(async (error) => {
      await fs.rm(unfinished, { recursive: true, force: true });
      if (!(await isCluster(place.cluster))) throw error;
    });
    await syncFolder(place.folder);
  } catch (error) {
    throw explainFileError(error, place);
  }
  log.info({ folder: place.cluster }, "database made");
}

async function runInitdb({ place, binaries, user, signal }: Work, folder: string): Promise<void> {
  const args = ["-D", folder, "-U", superuser, `--pwfile=${place.passwordFile}`, "--auth=scram-sha-256"];
  // The built-in locale does not depend on the machine's C library, whose collations change between versions.
  args.push("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8");
  args.push("--wal-segsize=4", "--no-instructions"); // In MB: a new database takes 27 MB instead of 39.
  const limit = AbortSignal.any([signal, AbortSignal.timeout(initdbLimitMs)]);
  const { exitCode, output } = await runToEnd([...user.prefix, binaries.initdb, ...args], binaries.environment, limit);
  if (exitCode === 0) return;
  await fs.rm(folder, { recursive: true, force: true, maxRetries: 5 });
  signal.throwIfAborted();
  throw explainOutput("PostgreSQL could not make its database", output, place);
}

async function isCluster(folder: string): Promise<boolean> {
  return (await readIfThere(join(folder, "PG_VERSION"))) !== undefined;
}

/** Removes what a killed start left; the folders of starts that still run are theirs. */
async function removeHalfMade(place: Place, log: Log): Promise<void> {
  for (const name of await listFolder(place.folder)) {
    const maker = /^data\.new-(\d+)-/.exec(name)?.[1];
    if (maker === undefined || (Number(maker) !== process.pid && isAlive(Number(maker)))) continue;
    log.warn({ folder: name }, "half-made database removed");
    await fs.rm(join(place.folder, name), { recursive: true, force: true, maxRetries: 5 });
  }
}

async function checkMajorVersion(place: Place, binaries: PostgresBinaries): Promise<void> {
  const made = (await fs.readFile(join(place.cluster, "PG_VERSION"), "utf8")).trim();
  if (made === binaries.majorVersion) return;
  throw new UserError(
    "conflict",
    `the database in ${place.cluster} was made by PostgreSQL ${made}, this Zyndra brings PostgreSQL ${binaries.majorVersion}`,
    `start the Zyndra that made it and dump the database, or set DATABASE_URL to a PostgreSQL ${made} that serves this folder`,
  );
}

// ---- the server: adopted, or started

type Server = { pid: number; port: number; status: string };
type ReadyServer = Server & { isAdopted: boolean };

async function ensureServer(work: Work): Promise<ReadyServer> {
  const { place, log, signal } = work;
  const deadlineMs = Date.now() + serverStartLimitMs;
  let launched: Launched | undefined;
  let toldToWait = false;
  const startedMs = Date.now();
  try {
    for (;;) {
      const server = await findServer(place);
      if (server?.status === "ready") return { ...server, isAdopted: launched?.child.pid !== server.pid };
      if (server === undefined && launched === undefined) {
        await setAsideForeignPidFile(place);
        launched = await launch(work);
      }
      if (launched?.hasEnded() && server === undefined) {
        const reason = await launched.output();
        if (isPortTaken(reason)) await giveUpPort(launched, place);
        else if (!isPassing(reason) || Date.now() > startedMs + predecessorLimitMs)
          throw explainOutput("PostgreSQL did not start", reason, place);
        launched = undefined;
      }
      if (Date.now() > deadlineMs) throw tooLate(place);
      if (!toldToWait && Date.now() > startedMs + 3_000) {
        toldToWait = true;
        log.info({ logFile: place.logFile }, "database is still starting");
      }
      await sleep(Date.now() < startedMs + 500 ? 5 : 50, undefined, { signal });
    }
  } catch (error) {
    // A server that nobody waits for any more would stay behind; one that we did not start is not ours to end.
    if (launched && !launched.hasEnded()) launched.child.kill("SIGINT");
    throw error;
  }
}

function tooLate(place: Place): UserError {
  return new UserError(
    "unavailable",
    `PostgreSQL is not ready after ${serverStartLimitMs / 1000} s`,
    `its log is ${place.logFile}; it may still be recovering: start again`,
  );
}

/** Orphans of a killed server hold its memory for a moment, and two starts at once meet at the lock file: both pass. */
function isPassing(reason: string): boolean {
  return /pre-existing shared memory block|lock file "postmaster.pid" already exists/.test(reason);
}

type Launched = {
  child: ChildProcess;
  hasEnded(): boolean;
  /** What it printed since it was launched. */
  output(): Promise<string>;
  /** This start chose the port, so nobody knows it yet. */
  portIsNew: boolean;
  port: number;
};

async function launch({ place, binaries, user }: Work): Promise<Launched> {
  const { port, isNew } = await choosePort(place);
  await replaceFile(join(place.cluster, "postgresql.conf"), settings(port));
  await giveTo(user, join(place.cluster, "postgresql.conf"));
  const log = await open(place.logFile, "a", 0o600);
  const from = (await log.stat()).size;

  const [command = "", ...args] = [...user.prefix, binaries.postgres, "-D", place.cluster];
  const child = spawn(command, args, {
    cwd: place.folder,
    env: binaries.environment,
    detached: true, // A session of its own: a terminal's Ctrl-C and the end of this process do not reach it.
    stdio: ["ignore", log.fd, log.fd],
  });
  let failure: Error | undefined;
  let ended = false;
  child.on("error", (error) => {
    failure = error;
    ended = true;
  });
  child.on("exit", () => {
    ended = true;
  });
  child.unref();
  await log.close();
  return {
    child,
    hasEnded: () => ended,
    output: async () => failure?.message ?? (await readFrom(place.logFile, from)),
    portIsNew: isNew,
    port,
  };
}

/** A port that was chosen a moment ago can still be changed; one that apps may know cannot. */
async function giveUpPort(launched: Launched, place: Place): Promise<void> {
  if (!launched.portIsNew) throw portTaken(launched.port, place);
  await fs.rm(place.portFile, { force: true });
}

function isPortTaken(reason: string): boolean {
  return /could not bind|could not create any TCP\/IP sockets|Address already in use/.test(reason);
}

/**
 * The port stays the same for good, because apps carry it in their config vars. Whether it is free is PostgreSQL's to find out:
 * a probe of ours could take it away from a server that another start has just launched.
 */
async function choosePort(place: Place): Promise<{ port: number; isNew: boolean }> {
  let isNew = false;
  const text = await writeOnce(place.portFile, async () => {
    isNew = true;
    return String(await findFreePort());
  });
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new UserError(
      "bad_input",
      `${place.portFile} holds no port number`,
      "remove it, and the next start chooses a port",
    );
  }
  return { port, isNew };
}

function portTaken(port: number, place: Place): UserError {
  return new UserError(
    "conflict",
    `port ${port} on 127.0.0.1, which the database in ${place.folder} uses, is taken by another program`,
    `stop that program, or remove ${place.portFile} to let the database move to another port`,
  );
}

/** Below the range from which the system gives ports to outgoing connections (32768 on Linux), so that none is found taken later. */
async function findFreePort(): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const port = randomInt(20_000, 30_000);
    if (await isFree(port)) return port;
  }
  throw new UserError("unavailable", "no port between 20000 and 30000 on 127.0.0.1 is free for the database");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer();
    probe.once("error", () => done(false));
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => probe.close(() => done(true)));
  });
}

/** Small enough for a laptop, as safe as PostgreSQL can be: what was accepted survives a crash. `alter system` may change the rest. */
function settings(port: number): string {
  return `# Written by Zyndra at each start; "alter system" has the last word.
listen_addresses = '127.0.0.1'
port = ${port}
unix_socket_directories = ''   # A socket's path is limited to 107 bytes, a data folder's is not.
max_connections = 100
password_encryption = 'scram-sha-256'

shared_buffers = 32MB
work_mem = 4MB
maintenance_work_mem = 32MB
huge_pages = off
jit = off
io_method = sync
max_worker_processes = 4
max_logical_replication_workers = 0
max_parallel_workers_per_gather = 0
min_wal_size = 16MB
max_wal_size = 256MB

fsync = on
full_page_writes = on
synchronous_commit = on

log_destination = 'stderr'
logging_collector = off
log_line_prefix = '%m [%p] %q%u@%d '
log_min_duration_statement = 1s
log_lock_waits = on
log_temp_files = 64MB
log_checkpoints = off
log_parameter_max_length = 0            # Values may be secrets.
log_parameter_max_length_on_error = 0

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
default_text_search_config = 'pg_catalog.english'
`;
}

// ---- which process is the server of this folder

/**
 * The server that runs on this folder, as its postmaster.pid tells: line 1 the pid, 4 the port, 8 the status
 * (PostgreSQL 18, src/include/utils/pidfile.h). The file outlives a kill -9 or a power cut and pids are given out again,
 * so the process must also be a postgres that works in this folder.
 */
async function findServer(place: Place): Promise<Server | undefined> {
  const lines = (await readIfThere(join(place.cluster, "postmaster.pid")))?.split("\n") ?? [];
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  if (!(await isServerOf(pid, place))) return undefined;
  return { pid, port: Number(lines[3]), status: lines[7]?.trim() ?? "starting" };
}

async function isServerOf(pid: number, place: Place): Promise<boolean> {
  if (process.platform !== "linux") {
    const { output } = await runToEnd(
      ["/bin/ps", "-ww", "-o", "command=", "-p", String(pid)],
      {},
      AbortSignal.timeout(5_000),
    );
    return output.trimEnd().endsWith(`/postgres -D ${place.cluster}`);
  }
  const [program, state, cwd, folder] = await Promise.all([
    readIfThere(`/proc/${pid}/cmdline`),
    readIfThere(`/proc/${pid}/stat`),
    fs.readlink(`/proc/${pid}/cwd`).catch(() => undefined),
    fs.realpath(place.cluster),
  ]);
  if (program === undefined || isZombie(state)) return false;
  const [name = "", option, value] = program.split("\0");
  if (basename(name) !== "postgres") return false;
  // The working folder follows a renamed data folder; where another user's may not be read, the command line tells.
  return cwd === undefined ? option === "-D" && value === place.cluster : cwd === folder;
}

/** A dead server whose parent does not collect it, as under a container's first process, still has a pid. */
function isZombie(stat: string | undefined): boolean {
  return stat !== undefined && /^\d+ \(.*\) Z/s.test(stat);
}

/**
 * PostgreSQL refuses to start while the pid in a stale postmaster.pid belongs to any other process, as it may after a reboot.
 * We know that it is not the server, so the pid is replaced by one that cannot exist. The rest of the file stays: by its last
 * lines PostgreSQL sees whether processes of the dead server still use its memory.
 */
async function setAsideForeignPidFile(place: Place): Promise<void> {
  const file = join(place.cluster, "postmaster.pid");
  const content = await readIfThere(file);
  if (content === undefined || !isAlive(Number.parseInt(content, 10))) return;
  const aside = join(place.cluster, `postmaster.pid.stale-${process.pid}`);
  await fs.rename(file, aside);
  // Another start may have been quicker, and this may be its server's file.
  const isStill = (await fs.readFile(aside, "utf8")) === content;
  if (isStill) await fs.writeFile(aside, content.replace(/^\d+/, String(impossiblePid)));
  await fs.link(aside, file).catch(() => undefined);
  await fs.rm(aside);
}

const impossiblePid = 2_147_483_646;

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

// ---- the database in it

/** Answers once a server lets us in with the password of this folder, and our database is there. */
async function ensureDatabase(work: Work): Promise<{ server: ReadyServer; url: string }> {
  const { place, signal } = work;
  const password = await readPassword(place);
  const deadlineMs = Date.now() + serverStartLimitMs;
  const launchedPids = new Set<number>();
  for (;;) {
    const server = await ensureServer(work);
    if (!server.isAdopted) launchedPids.add(server.pid);
    const urlOf = (name: string) => `postgres://${superuser}:${password}@127.0.0.1:${server.port}/${name}`;
    const answer = await tryConnect(urlOf(database));
    if (answer === "ok") {
      return { server: { ...server, isAdopted: !launchedPids.has(server.pid) }, url: urlOf(database) };
    }
    if (answer === "28P01") {
      const wrong = `the database in ${place.folder} does not accept the password in ${place.passwordFile}`;
      throw new UserError("conflict", wrong, "put the file back from a backup");
    }
    if (Date.now() > deadlineMs) {
      const wrong = `the database (process ${server.pid}, port ${server.port}) does not answer: ${answer}`;
      throw new UserError("unavailable", wrong, `its log is ${place.logFile}`);
    }
    // Neither a server that is just shutting down nor one that recovers from a crash lets anybody in: both pass.
    if (answer === "3D000") await createDatabase(urlOf("postgres"));
    else await sleep(50, undefined, { signal });
  }
}

async function readPassword(place: Place): Promise<string> {
  const password = (await readIfThere(place.passwordFile))?.trim();
  if (password) return password;
  const hint = "put it back from a backup; without it nobody can open the database";
  throw new UserError("conflict", `the database's password file ${place.passwordFile} is missing or empty`, hint);
}

/** "ok", or what stood in the way: an SQLSTATE (PostgreSQL, appendix A), a system error's code, or a message. */
async function tryConnect(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectLimitMs });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return "ok";
  } catch (error) {
    return (error as { code?: string }).code ?? (error as Error).message;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: connectLimitMs });
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.query(`create database "${database}"`);
  } catch (error) {
    const made = ["42P04", "23505"]; // Another start was quicker.
    if (!made.includes((error as { code?: string }).code ?? "")) throw error;
  } finally {
    await client.end();
  }
}

// ---- the end

/** SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one, after which the next start recovers. */
async function stopServer(place: Place): Promise<void> {
  const server = await findServer(place);
  if (server === undefined) return;
  for (const [name, limitMs] of [
    ["SIGINT", fastShutdownLimitMs],
    ["SIGQUIT", immediateShutdownLimitMs],
  ] as const) {
    sendSignal(server.pid, name, place);
    if (await hasEndedWithin(server.pid, place, limitMs)) return;
  }
  throw new Error(`The database (process ${server.pid}) did not stop; its log is ${place.logFile}.`);
}

function sendSignal(pid: number, name: NodeJS.Signals, place: Place): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ESRCH") return;
    const hint = "stop it as the user who started it, or as root";
    throw new UserError("forbidden", `the database in ${place.folder} (process ${pid}) belongs to another user`, hint);
  }
}

async function hasEndedWithin(pid: number, place: Place, limitMs: number): Promise<boolean> {
  const deadlineMs = Date.now() + limitMs;
  while (isAlive(pid) && (await isServerOf(pid, place))) {
    if (Date.now() > deadlineMs) return false;
    await sleep(10);
  }
  return true;
}

// ---- the log

/** The server appends to one file for as long as it lives, so the old part is moved aside under it; lines of that moment may be lost. */
function keepLogSmall(place: Place, log: Log): NodeJS.Timeout {
  const check = () =>
    cutLog(place).catch((error: unknown) => log.warn({ error: String(error) }, "the database's log could not be cut"));
  void check();
  return setInterval(check, logCheckEveryMs).unref();
}

async function cutLog(place: Place): Promise<void> {
  const { size } = await fs.stat(place.logFile);
  if (size <= logLimitBytes) return;
  await fs.copyFile(place.logFile, `${place.logFile}.1`);
  await fs.truncate(place.logFile, 0);
}

// ---- what went wrong, as a sentence

function explainOutput(what: string, output: string, place: Place): UserError {
  if (/No space left on device|Disk quota exceeded/.test(output)) return diskFull(place);
  const library = /error while loading shared libraries: ([^:\s]+)/.exec(output)?.[1];
  if (library) {
    const hint = "install it (on Debian: apt-get install libstdc++6), or set DATABASE_URL to a PostgreSQL of yours";
    return new UserError(
      "unavailable",
      `PostgreSQL needs the system library ${library}, which this machine lacks`,
      hint,
    );
  }
  if (/Cannot allocate memory|could not map anonymous shared memory|out of memory/.test(output)) {
    return new UserError("unavailable", `${what}: there is too little memory for it.`, "it needs about 100 MB");
  }
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const told =
    lines.findLast((line) => /\b(FATAL|PANIC|error|ERROR):/.test(line)) ?? lines.at(-1) ?? "it printed nothing";
  const reason = told.replace(/^.*?\b(FATAL|PANIC|error|ERROR):\s*/, "");
  return new UserError(
    "unavailable",
    `${what}: ${reason}`,
    `its log is ${place.logFile}; DATABASE_URL can name another PostgreSQL`,
  );
}

function explainFileError(error: unknown, place: Place): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") return diskFull(place);
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    const hint = "start as the user whom it belongs to, or set ZYNDRA_DATA to another folder";
    return new UserError("forbidden", `the data folder ${place.folder} cannot be written`, hint);
  }
  if (code === "ENOTDIR" || code === "EEXIST") {
    return new UserError("bad_input", `${place.folder} is not a folder`, "set ZYNDRA_DATA to another folder");
  }
  return error;
}

function diskFull(place: Place): UserError {
  return new UserError(
    "insufficient_storage",
    `the disk that holds ${place.folder} is full`,
    "the database needs about 100 MB to start: free some space, then start again",
  );
}

// ---- files and processes

type CommandResult = { exitCode: number; output: string };

/** Runs a command in a process group of its own, so that an abort ends what it has started, too. */
function runToEnd(command: string[], environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<CommandResult> {
  return new Promise((done) => {
    const [program = "", ...args] = command;
    const child = spawn(program, args, { env: environment, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const killAll = () => child.pid !== undefined && process.kill(-child.pid, "SIGKILL");
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", (error) => (output += `\n${error.message}`));
    child.on("close", (code) => {
      signal.removeEventListener("abort", killAll);
      done({ exitCode: code ?? -1, output });
    });
    if (signal.aborted) killAll();
    signal.addEventListener("abort", killAll);
  });
}

/** The content of a file that is written once and never again: of two writers at once the first wins, and both read the same. */
async function writeOnce(file: string, make: () => string | Promise<string>): Promise<string> {
  const there = await readIfThere(file);
  if (there !== undefined) return there.trim();
  const unfinished = `${file}.new-${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    await writeSynced(unfinished, `${await make()}\n`);
    await fs.link(unfinished, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await fs.rm(unfinished, { force: true });
  }
  return (await fs.readFile(file, "utf8")).trim();
}

async function replaceFile(file: string, content: string): Promise<void> {
  const unfinished = `${file}.new-${process.pid}`;
  await writeSynced(unfinished, content);
  await fs.rename(unfinished, file);
}

async function writeSynced(file: string, content: string): Promise<void> {
  const handle = await open(file, "w", 0o600);
  await whileOpen(handle, async () => {
    await handle.writeFile(content);
    await handle.sync();
  });
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await whileOpen(handle, () => handle.sync());
}

async function whileOpen(handle: FileHandle, use: () => Promise<void>): Promise<void> {
  try {
    await use();
  } finally {
    await handle.close();
  }
}

async function readFrom(file: string, position: number): Promise<string> {
  return (await fs.readFile(file)).subarray(position).toString("utf8");
}

async function readIfThere(file: string): Promise<string | undefined> {
  return await fs.readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR" || error.code === "ESRCH") return undefined;
    throw error;
  });
}

async function listFolder(folder: string): Promise<string[]> {
  return await fs.readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
}
