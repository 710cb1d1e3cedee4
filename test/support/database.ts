import { randomBytes } from "node:crypto";
import { join } from "node:path";
import pg from "pg";
import { inject } from "vitest";
import { startEmbeddedPostgres } from "../../src/db/embedded/postgres.ts";
import { migrate } from "../../src/db/migrate.ts";
import { openLog } from "../../src/log.ts";

export type TestDatabase = { url: string; [Symbol.asyncDispose](): Promise<void> };

/**
 * A fresh database for one test, on the server of this run: `await using database = await testDatabase()`.
 * With the platform's schema unless `migrated` is false.
 */
export async function testDatabase(options: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const server = await serverUrl();
  const name = `${inject("databasePrefix")}_${randomBytes(5).toString("hex")}`;
  const template = (options.migrated ?? true) ? await migratedTemplate(server) : "template1";
  await asAdmin(server, (client) => client.query(`create database "${name}" template "${template}"`));
  return {
    url: urlOf(server, name),
    [Symbol.asyncDispose]: async () => {
      await asAdmin(server, (client) => client.query(`drop database if exists "${name}" with (force)`));
    },
  };
}

/** The server of this run: the first test of the first worker starts it, all others find it running. */
function serverUrl(): Promise<string> {
  startedServer ??= startServer();
  return startedServer;
}

let startedServer: Promise<string> | undefined;

async function startServer(): Promise<string> {
  const lent = inject("databaseUrl");
  if (lent !== "") return lent;
  const dataDir = join(inject("runFolder"), "server");
  const { url } = await startEmbeddedPostgres({ dataDir, log: openLog("silent") });
  // What a power cut would take from a test is nobody's loss.
  await asAdmin(url, async (client) => {
    await client.query("alter system set fsync = off");
    await client.query("select pg_reload_conf()");
  });
  return url;
}

/** The database that is copied for every test: migrated once in a run, by whoever comes first. */
async function migratedTemplate(server: string): Promise<string> {
  madeTemplate ??= makeTemplate(server);
  return await madeTemplate;
}

let madeTemplate: Promise<string> | undefined;

async function makeTemplate(server: string): Promise<string> {
  const template = `${inject("databasePrefix")}_template`;
  const unfinished = `${template}_unfinished`;
  await asAdmin(server, async (client) => {
    await client.query("select pg_advisory_lock(hashtext($1))", [template]);
    const { rowCount } = await client.query("select from pg_database where datname = $1", [template]);
    if (rowCount === 1) return;
    await client.query(`drop database if exists "${unfinished}" with (force)`);
    await client.query(`create database "${unfinished}"`);
    await migrate(urlOf(server, unfinished));
    await client.query(`alter database "${unfinished}" rename to "${template}"`);
  });
  return template;
}

/** One connection for one errand, closed with it; session locks go with the connection. */
async function asAdmin<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

function urlOf(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}
