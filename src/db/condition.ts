import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import type { Db } from "./client.ts";
import { migrationsFolder } from "./migrate.ts";
import { apps, outbox } from "./schema.ts";

/** What the server says of itself, and how long it took to say so. */
export async function lookAtServer(
  db: Db,
): Promise<{ version: string; startedAt: Date; now: Date; latencyMs: number }> {
  await db.execute(sql`select 1`); // A new connection takes its time.
  const askedAt = performance.now();
  const { rows } = await db.execute(
    sql`select current_setting('server_version') as version,
      extract(epoch from pg_postmaster_start_time())::float8 as started, extract(epoch from clock_timestamp())::float8 as now`,
  );
  const latencyMs = performance.now() - askedAt;
  const { version, started, now } = rows[0] as { version: string; started: number; now: number };
  return {
    version: version.split(" ")[0]!,
    startedAt: new Date(started * 1000),
    now: new Date(now * 1000),
    latencyMs,
  };
}

/** How many migrations this database has seen, and how many there are. */
export async function countMigrations(db: Db): Promise<{ applied: number; known: number }> {
  const { rows } = await db.execute(sql`select count(*)::int as applied from public.migrations`);
  const journal = await readFile(join(migrationsFolder, "meta", "_journal.json"), "utf8");
  return { applied: (rows[0] as { applied: number }).applied, known: JSON.parse(journal).entries.length };
}

/** How many apps are worked on now, and how long the oldest ring has waited to be passed on. */
export async function lookAtWork(db: Db): Promise<{ held: number; oldestRingMs: number }> {
  const [held, rings] = await Promise.all([
    db.select({ count: sql<number>`count(*)::int` }).from(apps).where(sql`${apps.leaseUntil} > now()`),
    db
      .select({ ageMs: sql<number>`coalesce(extract(epoch from now() - min(${outbox.createdAt})) * 1000, 0)::float8` })
      .from(outbox),
  ]);
  return { held: held[0]!.count, oldestRingMs: rings[0]!.ageMs };
}
