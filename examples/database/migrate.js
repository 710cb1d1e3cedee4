import { readdirSync, readFileSync } from "node:fs";
import pg from "pg";

if (!process.env.DATABASE_URL) {
  const app = process.env.ZYNDRA_APP ?? "APP";
  console.error(`DATABASE_URL is not set, this app has no database yet: zyndra addons:create postgres --app ${app}`);
  process.exit(1);
}

// Runs before a new release serves. It may run again after a crash, so each file is applied once, in a transaction of its own.
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
await client.query("select pg_advisory_lock(1)");
await client.query("create table if not exists migrations (name text primary key, at timestamptz not null default now())");
const { rows } = await client.query("select name from migrations");
const done = new Set(rows.map((row) => row.name));

for (const name of readdirSync("migrations").sort()) {
  if (done.has(name)) continue;
  await client.query("begin");
  await client.query(readFileSync(`migrations/${name}`, "utf8"));
  await client.query("insert into migrations (name) values ($1)", [name]);
  await client.query("commit");
  console.log(`migrated ${name}`);
}
await client.end();
