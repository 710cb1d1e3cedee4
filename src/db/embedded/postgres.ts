import type { Log } from "../../log.ts";
import { findBinaries } from "./binaries.ts";
import { checkMajorVersion, ensureCluster } from "./cluster.ts";
import { ensureDatabase } from "./database.ts";
import { explainFileError } from "./faults.ts";
import { keepLogSmall } from "./log-file.ts";
import { makeFolder, placeIn } from "./place.ts";
import { stopServer } from "./shutdown.ts";
import type { Start } from "./start.ts";
import { chooseServerUser } from "./user.ts";

export type EmbeddedPostgres = { url: string; pid: number; stop(): Promise<void> };

export type EmbeddedPostgresOptions = {
  /** The platform's data folder; the database lives in its `postgres/`. */
  dataDir: string;
  log: Log;
  /** Where `node_modules` is looked for; by default where this file stands. */
  packageRoot?: string;
  signal?: AbortSignal;
};

/**
 * Gives the platform a PostgreSQL server of its own: makes it on an empty folder, starts it, or adopts the one that still runs.
 * The server is a process of its own session: it outlives this process, and the next start finds it again.
 * Throws a UserError for what the caller can mend: a full disk, a taken port, another major version, a root nobody can step down from.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log, signal = new AbortController().signal } = options;
  const place = placeIn(options.dataDir);
  await makeFolder(place).catch((error) => {
    throw explainFileError(error, place);
  });
  const binaries = await findBinaries(place.folder, options.packageRoot);
  const user = await chooseServerUser(place, binaries);

  const start: Start = { place, binaries, user, log, signal };
  await ensureCluster(start);
  await checkMajorVersion(place, binaries);
  const { server, url } = await ensureDatabase(start);
  log.info({ pid: server.pid, port: server.port }, server.isAdopted ? "database adopted" : "database started");

  const logKeeper = keepLogSmall(place, log);
  return {
    url,
    pid: server.pid,
    stop: async () => {
      clearInterval(logKeeper);
      await stopServer(place);
    },
  };
}

/** Stops the server of a data folder, whoever started it; open transactions are rolled back. Answers whether one ran. */
export async function stopEmbeddedPostgres(dataDir: string): Promise<boolean> {
  const place = placeIn(dataDir);
  return stopServer(place).catch((error) => {
    throw explainFileError(error, place);
  });
}
