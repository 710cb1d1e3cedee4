import { setTimeout as delay } from "node:timers/promises";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import pg from "pg";
import type { Log } from "../log.ts";
import * as schema from "./schema.ts";

/** The database or a transaction of it: functions of this room take one first, so a transaction is just another. */
export type Db = NodePgDatabase<typeof schema>;

export type Database = {
  readonly url: string;
  readonly db: Db;
  transaction<T>(run: (tx: Db) => Promise<T>): Promise<T>;
  /** Tries again while the database cannot be reached, until the signal aborts. For work that may be written twice. */
  persist<T>(write: (db: Database) => Promise<T>, signal: AbortSignal): Promise<T>;
  close(): Promise<void>;
};

const connectTimeoutMs = 5_000;
const statementTimeoutMs = 30_000;
const retryEveryMs = 300;

/** Opens a pool of connections. A connection that breaks is replaced; a query on it fails. */
export function openDatabase(url: string, log: Log, options: { maxConnections?: number } = {}): Database {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.maxConnections ?? 20,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    // A server that says nothing at all does not keep its own limit.
    query_timeout: statementTimeoutMs + 5_000,
    idleTimeoutMillis: 30_000,
    application_name: "zyndra",
    keepAlive: true,
  });
  const onBroken = (error: Error) => log.warn({ err: error }, "a database connection broke");
  pool.on("error", onBroken);
  // The pool's own handler does not cover a client that is checked out: its break would end the process.
  pool.on("connect", (client) => client.on("error", () => {}));
  const db = drizzle(pool, { schema });
  const database: Database = {
    url,
    db,
    transaction: (run) => db.transaction((tx) => run(tx as unknown as Db)),
    async persist(write, signal) {
      for (;;) {
        try {
          return await write(database);
        } catch (error) {
          if (!isPassing(error) || signal.aborted) throw error;
          log.warn({ err: error }, "the database could not be reached, trying again");
          await delay(retryEveryMs, undefined, { signal });
        }
      }
    },
    close: () => pool.end(),
  };
  return database;
}

/** SQLSTATE classes and socket errors that pass by themselves: connection lost, server restarting, deadlock. */
export function isPassing(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const code = String((at as { code?: unknown }).code ?? "");
    if (
      /^(08...|57P0[123]|53300|40001|40P01|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/.test(
        code,
      )
    )
      return true;
    if (
      /Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error/.test(
        at.message,
      )
    )
      return true;
    if (at instanceof AggregateError && at.errors.some(isPassing)) return true;
  }
  return false;
}

/** The name of the unique constraint that a write ran into, if that is what happened. */
export function clashOn(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const fault = at as { code?: unknown; constraint?: unknown };
    if (fault.code === "23505") return String(fault.constraint);
  }
  return undefined;
}
