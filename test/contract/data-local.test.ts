import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type EmbeddedPostgres, startEmbeddedPostgres, stopEmbeddedPostgres } from "../../src/db/embedded/postgres.ts";
import { openLog } from "../../src/log.ts";
import type { DatabaseAccess, VolumeAccess } from "../../src/model/addons.ts";
import { localData } from "../../src/runtime/local/data.ts";
import { alwaysOpen } from "../../src/runtime/local/databases.ts";
import type { AddonSpec } from "../../src/runtime/runtime.ts";
import { codeOf, describeData, never, query, urlOf } from "./data.ts";

let dataDir: string;
let server: EmbeddedPostgres;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "zyndra-data-"));
  server = await startEmbeddedPostgres({ dataDir, log: openLog("silent") });
});

afterAll(async () => {
  if (dataDir === undefined) return;
  await stopEmbeddedPostgres(dataDir);
  await rm(dataDir, { recursive: true, force: true });
});

const spec = (kind: AddonSpec["kind"]): AddonSpec => ({ id: randomUUID(), projectId: randomUUID(), kind });

describeData("local", async () => ({
  data: localData({ dataDir, postgres: alwaysOpen({ url: server.url, isOurs: true }) }),
  closed: ["zyndra", "postgres", "template1"],
  close: async () => {},
}));

describeData("local, on a PostgreSQL of somebody else's", async () => {
  const url = await entrusted("createdb createrole");
  return {
    data: localData({ dataDir, postgres: alwaysOpen({ url, isOurs: false }) }),
    closed: [new URL(url).pathname.slice(1)],
    close: async () => {},
  };
});

describe("data of the runtime local, besides", () => {
  test("a server whose login may make no databases is refused with what its administrator types", async () => {
    const url = await entrusted("createdb");
    const data = localData({ dataDir, postgres: alwaysOpen({ url, isOurs: false }) });
    await expect(data.mayMake("postgres", 0)).rejects.toMatchObject({
      code: "forbidden",
      message: expect.stringMatching(/^the login "trusted_\w+" of Zyndra's DATABASE_URL may not make databases/),
      hint: expect.stringMatching(/ALTER ROLE "trusted_\w+" CREATEDB CREATEROLE$/),
    });
  });

  test("a server on which the platform's database is not its own is refused before anything is made", async () => {
    const url = await entrusted("createdb createrole");
    await query(server.url, `alter database "${new URL(url).pathname.slice(1)}" owner to current_user`);
    const data = localData({ dataDir, postgres: alwaysOpen({ url, isOurs: false }) });
    const addon = spec("postgres");
    await expect(data.ensure(addon, await data.newAccess(addon), never)).rejects.toMatchObject({
      code: "forbidden",
      hint: expect.stringContaining("REVOKE CONNECT ON DATABASE"),
    });
    expect(await data.inspect(addon)).toEqual({});
  });

  test("where the server's connections would not be enough for one more, it is refused", async () => {
    const data = localData({ dataDir, postgres: alwaysOpen({ url: server.url, isOurs: true }) });
    const names = Array.from({ length: 40 }, () => `zyndra_${randomUUID().replaceAll("-", "")}`);
    for (const name of names) await query(server.url, `create database "${name}" strategy file_copy`);
    await expect(data.mayMake("postgres", 0)).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringMatching(/^there are \d+ databases on Zyndra's PostgreSQL, .* enough for 40$/),
    });
    await data.mayMake("volume", 50);
    for (const name of names) await query(server.url, `drop database "${name}"`);
    await data.mayMake("postgres", 39);
    // Those count, too, that are asked for and not made yet.
    await expect(data.mayMake("postgres", 40)).rejects.toMatchObject({
      message: expect.stringContaining("there are 40 databases"),
    });
  });

  test("passwords are asked for by every way in, and stand in none of the server's logs", async () => {
    const rules = await query(server.url, "select distinct auth_method as method from pg_hba_file_rules");
    expect(rules).toEqual([{ method: "scram-sha-256" }]);
    await query(server.url, "alter system set log_statement = 'all'");
    await query(server.url, "select pg_reload_conf()");
    const data = localData({ dataDir, postgres: alwaysOpen({ url: server.url, isOurs: true }) });
    const addon = spec("postgres");
    const access = (await data.newAccess(addon)) as DatabaseAccess;
    await data.ensure(addon, access, never);
    await query(urlOf(access), "select 'what customers write'");
    await codeOf(query(urlOf(access), "select 'what customers write' from nowhere"));
    const log = await readFile(join(dataDir, "postgres", "server.log"), "utf8");
    expect(log).toContain(`create role "${access.user}"`);
    expect(log).not.toContain(access.password);
    expect(log).not.toContain("what customers write");
    await data.destroy(addon, never);
    await query(server.url, "alter system reset log_statement");
    await query(server.url, "select pg_reload_conf()");
  });

  test("a volume is a folder for its owner alone, keeps its files, and is measured", async () => {
    const data = localData({ dataDir, postgres: undefined });
    const addon = spec("volume");
    const access = (await data.newAccess(addon)) as VolumeAccess;
    await data.ensure(addon, access, never);
    expect(access.folder).toBe(join(dataDir, "volumes", addon.id));
    expect((await stat(access.folder!)).mode & 0o777).toBe(0o700);
    await writeFile(join(access.folder!, "hat.png"), Buffer.alloc(300_000));
    await data.ensure(addon, access, never);
    expect((await data.inspect(addon)).sizeBytes).toBeGreaterThanOrEqual(300_000);
    await data.destroy(addon, never);
    await expect(stat(access.folder!)).rejects.toThrow("ENOENT");
  });

  test("an add-on is reached where its server and the data folder are now, with its old password", async () => {
    const data = localData({ dataDir, postgres: alwaysOpen({ url: server.url, isOurs: true }) });
    const database = spec("postgres");
    const access = (await data.newAccess(database)) as DatabaseAccess;
    expect(data.reach(database, { ...access, port: 1, host: "elsewhere" })).toEqual(access);
    const volume = spec("volume");
    expect(data.reach(volume, { folder: "/elsewhere" })).toEqual(await data.newAccess(volume));
  });
});

/** A database, and a login that is no superuser and owns it, as a hosted PostgreSQL gives one. */
async function entrusted(rights: string): Promise<string> {
  const name = `trusted_${randomUUID().slice(0, 8)}`;
  await query(server.url, `create role "${name}" login ${rights} password 'trusted'`);
  await query(server.url, `create database "${name}" owner "${name}"`);
  const url = new URL(server.url);
  [url.username, url.password, url.pathname] = [name, "trusted", `/${name}`];
  return url.href;
}
