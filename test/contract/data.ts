import { randomUUID } from "node:crypto";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attachedVars, type DatabaseAccess } from "../../src/model/addons.ts";
import type { AddonSpec, Data } from "../../src/runtime/runtime.ts";

export type DataUnderTest = {
  data: Data;
  /** Databases that are none of an add-on's business. */
  closed: string[];
  close(): Promise<void>;
};

/** The contract of a runtime's databases and volumes, tried with real connections. */
export function describeData(name: string, create: () => Promise<DataUnderTest>): void {
  describe(`data of the runtime ${name}`, () => {
    let under: DataUnderTest;
    let data: Data;
    const made: AddonSpec[] = [];
    beforeAll(async () => {
      under = await create();
      data = under.data;
    });
    afterAll(async () => {
      for (const addon of made) await data.destroy(addon, never);
      await under?.close();
    });

    function anAddon(kind: AddonSpec["kind"] = "postgres"): AddonSpec {
      const addon = { id: randomUUID(), projectId: randomUUID(), kind };
      made.push(addon);
      return addon;
    }

    async function aDatabase() {
      const addon = anAddon();
      const access = (await data.newAccess(addon)) as DatabaseAccess;
      await data.ensure(addon, access, never);
      return { addon, access, url: urlOf(access) };
    }

    test("a new database is there, and is its login's own", async () => {
      await data.mayMake("postgres", 0);
      const { url } = await aDatabase();
      await query(url, "create table hats (name text)");
      await query(url, "insert into hats values ('fedora')");
      await query(url, "create schema shop");
      await query(url, "create extension citext");
      expect(await query(url, "select name from hats")).toEqual([{ name: "fedora" }]);
    });

    test("each is reached by a password of its own of 256 bits, and by no other", async () => {
      const [one, other] = (await Promise.all([1, 2].map(() => data.newAccess(anAddon())))) as DatabaseAccess[];
      expect(one!.password).not.toBe(other!.password);
      expect(Buffer.from(one!.password, "base64url")).toHaveLength(32);
      const { access } = await aDatabase();
      expect(await codeOf(query(urlOf({ ...access, password: "hats" }), "select 1"))).toBe("28P01");
    });

    test("made again, it keeps its password and what is in it", async () => {
      const { addon, access, url } = await aDatabase();
      await query(url, "create table hats ()");
      await data.ensure(addon, access, never);
      expect(data.reach(addon, access)).toEqual(access);
      expect(await query(url, "select count(*)::int as count from hats")).toEqual([{ count: 0 }]);
    });

    test("made twice at once, it is there once", async () => {
      const addon = anAddon();
      const access = (await data.newAccess(addon)) as DatabaseAccess;
      await Promise.all([1, 2, 3].map(() => data.ensure(addon, access, never)));
      expect(await query(urlOf(access), "select 1 as one")).toEqual([{ one: 1 }]);
    });

    test("interrupted at any point, it is finished by the next try, with the same password", async () => {
      for (const afterMs of [0, 5, 10, 20, 40, 80]) {
        const addon = anAddon();
        const access = (await data.newAccess(addon)) as DatabaseAccess;
        await data.ensure(addon, access, AbortSignal.timeout(afterMs)).catch(() => {});
        await data.ensure(addon, access, never);
        expect(await query(urlOf(access), "select 1 as one")).toEqual([{ one: 1 }]);
      }
    });

    test("a login enters no other add-on's database and none of the platform's", async () => {
      const { access } = await aDatabase();
      const other = await aDatabase();
      for (const database of [other.access.database, ...under.closed]) {
        const refused = await codeOf(query(urlOf({ ...access, database }), "select 1"));
        expect({ database, refused }).toEqual({ database, refused: "42501" });
      }
    });

    test("a login can make neither databases nor logins, and rises to nothing else", async () => {
      const { access, url } = await aDatabase();
      const other = await aDatabase();
      const neighbour = openClient(other.url);
      await neighbour.connect();
      const { rows } = await neighbour.query("select pg_backend_pid() as pid");
      for (const statement of [
        `create database hats`,
        `create role hats`,
        `alter role "${access.user}" superuser`,
        `set role "${other.access.user}"`,
        `copy (select 1) to program 'true'`,
        `select pg_read_file('/etc/passwd')`,
        `select pg_terminate_backend(${rows[0].pid})`,
      ]) {
        expect({ statement, refused: await codeOf(query(url, statement)) }).toEqual({ statement, refused: "42501" });
      }
      await neighbour.end();
    });

    test("one login holds so many connections and no more, and how many it holds is told", async () => {
      const { addon, url } = await aDatabase();
      const clients = Array.from({ length: 20 }, () => openClient(url));
      await Promise.all(clients.map((client) => client.connect()));
      expect(await codeOf(query(url, "select 1"))).toBe("53300");
      const { sizeBytes, connections } = await data.inspect(addon);
      expect(connections).toEqual({ open: 20, most: 20 });
      expect(sizeBytes).toBeGreaterThan(1_000_000);
      await Promise.all(clients.map((client) => client.end()));
    });

    test("a destroyed database is gone with its login, whoever is connected; again is no fault", async () => {
      const { addon, access, url } = await aDatabase();
      const client = openClient(url);
      await client.connect();
      await data.destroy(addon, never);
      await expect(client.query("select 1")).rejects.toThrow();
      expect(await codeOf(query(urlOf(access), "select 1"))).toMatch(/^(28P01|28000|3D000)$/);
      await data.destroy(addon, never);
      expect(await data.inspect(addon)).toEqual({});
      await client.end();
    });

    test("what its login has made of it keeps nobody from destroying it", async () => {
      for (const setting of ["is_template true", "connection limit 0"]) {
        const { addon, access, url } = await aDatabase();
        await query(url, `alter database "${access.database}" with ${setting}`);
        await data.destroy(addon, never);
        expect(await data.inspect(addon)).toEqual({});
      }
    });

    test("what another login has granted to its login keeps nobody from destroying it", async () => {
      const { addon, access } = await aDatabase();
      const other = await aDatabase();
      await query(other.url, "create table hats ()");
      await query(other.url, `grant select on hats to "${access.user}"`);
      await query(other.url, `grant connect on database "${other.access.database}" to "${access.user}"`);
      await data.destroy(addon, never);
      expect(await data.inspect(addon)).toEqual({});
      expect(await query(other.url, `select from pg_roles where rolname = '${access.user}'`)).toEqual([]);
    });

    test("interrupted while it is destroyed, the next try takes the rest away", async () => {
      for (const afterMs of [0, 5, 10, 20]) {
        const { addon, url } = await aDatabase();
        await data.destroy(addon, AbortSignal.timeout(afterMs)).catch(() => {});
        await data.destroy(addon, never);
        expect(await codeOf(query(url, "select 1"))).toMatch(/^(28P01|28000|3D000)$/);
      }
    });

    test("a volume is made, made again, and gone", async () => {
      const addon = anAddon("volume");
      await data.mayMake("volume", 0);
      const access = await data.newAccess(addon);
      await data.ensure(addon, access, never);
      await data.ensure(addon, access, never);
      expect(data.reach(addon, access)).toEqual(access);
      await data.destroy(addon, never);
      await data.destroy(addon, never);
      expect(await data.inspect(addon)).toEqual({});
    });
  });
}

export const never = new AbortController().signal;

/** As an app reads it. */
export function urlOf(access: DatabaseAccess): string {
  return attachedVars("DATABASE", access, null).DATABASE_URL!;
}

export function openClient(url: string): pg.Client {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  return client;
}

/** One statement on a connection of its own. */
export async function query(url: string, statement: string): Promise<unknown[]> {
  const client = openClient(url);
  try {
    await client.connect();
    return (await client.query(statement)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

/** The SQLSTATE with which something is refused (PostgreSQL, appendix A), or "let in". */
export async function codeOf(refused: Promise<unknown>): Promise<string> {
  return refused.then(
    () => "let in",
    (error: { code?: string }) => String(error.code ?? error),
  );
}
