import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import pg from "pg";
import { stopEmbeddedPostgres } from "../../src/db/embedded/postgres.ts";

/** Ends what a test run has left: embedded servers in its folder, the folder itself, databases on a server that was lent. */
const [runFolder = "", databasePrefix = "", databaseUrl = ""] = process.argv.slice(2);

const files = await readdir(runFolder, { recursive: true });
for (const file of files.filter((name) => basename(name) === "postmaster.pid")) {
  const dataDir = join(runFolder, dirname(dirname(dirname(file))));
  await stopEmbeddedPostgres(dataDir).catch((error: Error) => console.error(error.message));
}
await rm(runFolder, { recursive: true, force: true, maxRetries: 5 });

if (databaseUrl !== "") {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query("select datname from pg_database where starts_with(datname, $1)", [
    databasePrefix,
  ]);
  for (const { datname } of rows) await client.query(`drop database if exists "${datname}" with (force)`);
  await client.end();
}
