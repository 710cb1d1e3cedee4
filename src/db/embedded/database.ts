import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { UserError } from "../../errors.ts";
import { readPassword, superuser } from "./login.ts";
import { ensureServer, type ReadyServer } from "./server.ts";
import { type Start, startLimitMs } from "./start.ts";

const database = "zyndra";
const connectLimitMs = 5_000;

/** Answers once a server lets us in with the password of this folder, and our database is there. */
export async function ensureDatabase(start: Start): Promise<{ server: ReadyServer; url: string }> {
  const { place, signal } = start;
  const password = await readPassword(place);
  const deadlineMs = Date.now() + startLimitMs;
  const launchedPids = new Set<number>();
  for (;;) {
    const server = await ensureServer(start);
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
