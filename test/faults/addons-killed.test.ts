import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stopEmbeddedPostgres } from "../../src/db/embedded/postgres.ts";
import { stopEverything } from "../../src/platform.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { askOver, claimSpawned, type SpawnedPlatform, spawnPlatform } from "../support/spawned-platform.ts";

/** A platform that is killed while add-ons are made and removed: the next start does the rest, and nothing is there twice or left over. */
let dataDir: string;
let env: Record<string, string>;
let platform: SpawnedPlatform;
let token: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "zyndra-addons-"));
  env = { ZYNDRA_DATA: dataDir, PORT: String(await freePort()), ZYNDRA_LEASE_SECONDS: "2" };
  platform = await spawnPlatform(env);
  token = await claimSpawned(platform);
  for (const app of ["shop", "blog"]) await ask("apps:create", { app });
});

afterEach(async () => {
  await platform.kill9();
  await stopEverything(dataDir);
  await rm(dataDir, { recursive: true, force: true });
});

const ask = (name: string, input: object) => askOver(platform.url, token, name, input);
const within = { withinMs: 45_000 };
const killAfter = async (ms: number) => {
  await delay(ms);
  await platform.kill9();
  platform = await spawnPlatform(env);
};

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

/** What the server has of add-ons: databases and logins. */
async function onServer(): Promise<{ databases: number; logins: number }> {
  const read = async (name: string) => (await readFile(join(dataDir, "addons", "postgres", name), "utf8")).trim();
  const admin = `postgres://zyndra:${await read("password")}@127.0.0.1:${await read("port")}/postgres`;
  const [row] = await query(
    admin,
    `select (select count(*)::int from pg_database where datname like 'zyndra\\_%') as databases,
       (select count(*)::int from pg_roles where rolname like 'zyndra\\_%') as logins`,
  );
  return row as { databases: number; logins: number };
}

const states = async () =>
  ((await ask("addons:list", {})) as { name: string; state: string }[]).map(({ name, state }) => `${name} ${state}`);

async function varOf(app: string, name: string): Promise<string> {
  const vars = (await ask("config:list", { app, reveal: true })) as { name: string; value: string }[];
  return vars.find((each) => each.name === name)!.value;
}

test.each([0, 20, 80])("killed with -9 %i ms after a database was asked for", async (ms) => {
  await ask("addons:create", { engine: "postgres", app: "shop", name: "db" });
  await ask("volumes:create", { name: "files", app: "shop" });
  await killAfter(ms);
  await eventually(async () => expect(await states()).toEqual(["db available", "files available"]), within);
  const url = await varOf("shop", "DATABASE_URL");
  expect(await query(url, "select 1 as one")).toEqual([{ one: 1 }]);
  expect(await onServer()).toEqual({ databases: 1, logins: 1 });
  expect(await readdir(join(dataDir, "volumes"))).toHaveLength(1);

  // Once more, with what is in it: the password and the content stay.
  await query(url, "create table hats ()");
  await killAfter(0);
  expect(await varOf("shop", "DATABASE_URL")).toBe(url);
  expect(await query(url, "select count(*)::int as hats from hats")).toEqual([{ hats: 0 }]);
});

test.each([0, 20, 60])(
  "killed with -9 %i ms after they were to be removed, while a program is connected",
  async (ms) => {
    await ask("addons:create", { engine: "postgres", app: "shop", name: "db" });
    await ask("volumes:create", { name: "files", app: "shop" });
    await eventually(async () => expect(await states()).toEqual(["db available", "files available"]), within);
    const client = new pg.Client({ connectionString: await varOf("shop", "DATABASE_URL") });
    client.on("error", () => {});
    await client.connect();
    await writeFile(join(await varOf("shop", "FILES_PATH"), "hat.png"), "a picture");
    for (const name of ["db", "files"]) await ask("addons:destroy", { name, force: true });
    await killAfter(ms);
    await eventually(async () => expect(await states()).toEqual([]), within);
    expect(await onServer()).toEqual({ databases: 0, logins: 0 });
    expect(await readdir(join(dataDir, "volumes"))).toEqual([]);
    await client.end().catch(() => {});
  },
);

test.each([0, 60, 250])("killed with -9 %i ms after an app was to go: what is shared stays", async (ms) => {
  await ask("addons:create", { engine: "postgres", app: "shop", name: "own" });
  await ask("addons:create", { engine: "postgres", app: "shop", name: "shared", as: "SHARED" });
  await ask("addons:attach", { name: "shared", app: "blog" });
  await ask("volumes:create", { name: "files", app: "shop" });
  await eventually(
    async () => expect(await states()).toEqual(["files available", "own available", "shared available"]),
    within,
  );
  const url = await varOf("blog", "DATABASE_URL");
  await query(url, "create table hats ()");
  await ask("apps:destroy", { app: "shop" });
  await killAfter(ms);
  await eventually(async () => expect(await states()).toEqual(["shared available"]), within);
  expect(await query(url, "select count(*)::int as hats from hats")).toEqual([{ hats: 0 }]);
  expect(await onServer()).toEqual({ databases: 1, logins: 1 });
  expect(await readdir(join(dataDir, "volumes"))).toEqual([]);
});

test("with its server killed in the middle, a database is made once that is back", async () => {
  await ask("addons:create", { engine: "postgres", app: "shop", name: "db" });
  await stopEmbeddedPostgres(join(dataDir, "addons"));
  await eventually(async () => expect(await states()).toEqual(["db available"]), within);
  expect(await query(await varOf("shop", "DATABASE_URL"), "select 1 as one")).toEqual([{ one: 1 }]);
});

test("where the server has to take another port, its databases are found there", async () => {
  await ask("addons:create", { engine: "postgres", app: "shop", name: "db" });
  await eventually(async () => expect(await states()).toEqual(["db available"]), within);
  const before = new URL(await varOf("shop", "DATABASE_URL"));
  await platform.kill9();
  await stopEmbeddedPostgres(join(dataDir, "addons"));
  await rm(join(dataDir, "addons", "postgres", "port"));
  platform = await spawnPlatform(env);
  const url = new URL(await varOf("shop", "DATABASE_URL"));
  expect(url.port).not.toBe(before.port);
  expect(url.password).toBe(before.password);
  expect(await query(url.href, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("what a login does to its server does not reach the platform's", async () => {
  await ask("addons:create", { engine: "postgres", app: "shop", name: "db" });
  await eventually(async () => expect(await states()).toEqual(["db available"]), within);
  const client = new pg.Client({ connectionString: await varOf("shop", "DATABASE_URL") });
  client.on("error", () => {});
  await client.connect();
  // Until the server has no memory left for anybody's locks.
  const taking = async () => {
    for (let from = 1; ; from += 1_000)
      await client.query(`select count(pg_advisory_lock(g)) from generate_series(${from}, ${from + 999}) g`);
  };
  await expect(taking()).rejects.toMatchObject({ code: "53200" });
  for (const app of ["shop", "blog"]) await ask("config:set", { app, vars: ["HAT=fedora"] });
  expect(await varOf("shop", "HAT")).toBe("fedora");
  await client.end();
});

test("the server of databases is started with the first of them, adopted by the next platform, and stopped with all", async () => {
  expect(await readdir(dataDir)).not.toContain("addons");
  await ask("volumes:create", { name: "files", app: "shop" });
  await ask("addons:create", { engine: "postgres", app: "shop", name: "db" });
  await eventually(async () => expect(await states()).toEqual(["db available", "files available"]), within);
  const url = await varOf("shop", "DATABASE_URL");
  const started = "select pg_postmaster_start_time() as started";
  const before = await query(url, started);
  await killAfter(0);
  expect(await query(url, started)).toEqual(before);
  await platform.kill9();
  await stopEverything(dataDir);
  await expect(query(url, started)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  platform = await spawnPlatform(env);
  expect(await varOf("shop", "DATABASE_URL")).toBe(url);
  expect(await query(url, "select 1 as one")).toEqual([{ one: 1 }]);
});
