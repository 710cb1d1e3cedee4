import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { PostgresBinaries } from "./binaries.ts";
import { runToEnd } from "./command.ts";
import { syncFolder } from "./durable-files.ts";
import { explainFileError, explainOutput } from "./faults.ts";
import { makePassword, superuser } from "./login.ts";
import { listFolder, readIfThere } from "./optional-files.ts";
import { isAlive } from "./pid.ts";
import type { Place } from "./place.ts";
import type { Start } from "./start.ts";
import { giveTo } from "./user.ts";

const initdbLimitMs = 120_000;

/**
 * initdb writes into a folder of its own, which is renamed when it is finished. So a killed initdb leaves nothing that could
 * be taken for a database, a finished one is never touched again, and of two that run at once the first wins.
 */
export async function ensureCluster(start: Start): Promise<void> {
  const { place, user, log } = start;
  if (await isCluster(place.cluster)) return;
  if ((await listFolder(place.cluster)).length > 0) {
    const wrong = `${place.cluster} holds files, but no database: PG_VERSION is missing`;
    throw new UserError(
      "conflict",
      wrong,
      "put the folder back from a backup, or move it away to begin with an empty database",
    );
  }
  try {
    await removeHalfMade(place, log);
    await makePassword(place);
    const unfinished = join(place.folder, `data.new-${process.pid}-${randomBytes(4).toString("hex")}`);
    await giveTo(user, place.folder, place.passwordFile);
    await runInitdb(start, unfinished);
    await syncFolder(unfinished);
    await fs.rename(unfinished, place.cluster).catch(async (error) => {
      await fs.rm(unfinished, { recursive: true, force: true });
      if (!(await isCluster(place.cluster))) throw error;
    });
    await syncFolder(place.folder);
  } catch (error) {
    throw explainFileError(error, place);
  }
  log.info({ folder: place.cluster }, "database made");
}

export async function checkMajorVersion(place: Place, binaries: PostgresBinaries): Promise<void> {
  const made = (await fs.readFile(join(place.cluster, "PG_VERSION"), "utf8")).trim();
  if (made === binaries.majorVersion) return;
  throw new UserError(
    "conflict",
    `the database in ${place.cluster} was made by PostgreSQL ${made}, this Zyndra brings PostgreSQL ${binaries.majorVersion}`,
    `start the Zyndra that made it and dump the database, or set DATABASE_URL to a PostgreSQL ${made} that serves this folder`,
  );
}

async function runInitdb({ place, binaries, user, signal }: Start, folder: string): Promise<void> {
  const args = ["-D", folder, "-U", superuser, `--pwfile=${place.passwordFile}`, "--auth=scram-sha-256"];
  // The built-in locale does not depend on the machine's C library, whose collations change between versions.
  args.push("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8");
  args.push("--wal-segsize=4", "--no-instructions"); // In MB: a new database takes 27 MB instead of 39.
  const limit = AbortSignal.any([signal, AbortSignal.timeout(initdbLimitMs)]);
  const { exitCode, output } = await runToEnd([...user.prefix, binaries.initdb, ...args], binaries.environment, limit);
  if (exitCode === 0) return;
  await fs.rm(folder, { recursive: true, force: true, maxRetries: 5 });
  signal.throwIfAborted();
  throw explainOutput("PostgreSQL could not make its database", output, place);
}

async function isCluster(folder: string): Promise<boolean> {
  return (await readIfThere(join(folder, "PG_VERSION"))) !== undefined;
}

/** Removes what a killed start left; the folders of starts that still run are theirs. */
async function removeHalfMade(place: Place, log: Log): Promise<void> {
  for (const name of await listFolder(place.folder)) {
    const maker = /^data\.new-(\d+)-/.exec(name)?.[1];
    if (maker === undefined || (Number(maker) !== process.pid && isAlive(Number(maker)))) continue;
    log.warn({ folder: name }, "half-made database removed");
    await fs.rm(join(place.folder, name), { recursive: true, force: true, maxRetries: 5 });
  }
}
