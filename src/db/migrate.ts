import { fileURLToPath } from "node:url";
import { drizzle } from "drizzle-orm/node-postgres";
import { migrate as applyMigrations } from "drizzle-orm/node-postgres/migrator";
import pg from "pg";

export const migrationsFolder = fileURLToPath(new URL("../../migrations", import.meta.url));
/** Any number that nobody else locks: processes that start together migrate one after the other. */
const migrationLock = 7_096_322_401;

/** Brings a database up to this version's schema. Safe to call from several processes at once. */
export async function migrate(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: "zyndra migrations" });
  client.on("error", () => {});
  await client.connect();
  try {
    await client.query("select pg_advisory_lock($1)", [migrationLock]);
    // A migration that waits behind a long query would block everyone behind itself.
    await client.query("set lock_timeout = '5s'");
    await applyMigrations(drizzle(client), {
      migrationsFolder,
      migrationsSchema: "public",
      migrationsTable: "migrations",
    });
  } finally {
    await client.end();
  }
}
