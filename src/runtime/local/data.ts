import { UserError } from "../../errors.ts";
import type { AddonAccess, DatabaseAccess } from "../../model/addons.ts";
import type { Data } from "../runtime.ts";
import {
  assertRoomForDatabase,
  destroyDatabase,
  ensureDatabase,
  inspectDatabase,
  newDatabaseAccess,
  type PostgresHome,
  type PostgresServer,
  reachDatabase,
} from "./databases.ts";
import { destroyVolume, ensureVolume, measureVolume, volumeFolder } from "./volumes.ts";

/** Databases on a PostgreSQL server that all of them share, and volumes as folders of the data folder. */
export function localData({ dataDir, postgres }: { dataDir: string; postgres: PostgresHome | undefined }): Data {
  const server = async (): Promise<PostgresServer> => {
    if (postgres) return postgres.open();
    throw new UserError("unsupported", "this Zyndra has no PostgreSQL on which databases could be made");
  };
  const folderOf = (addonId: string): AddonAccess => ({ folder: volumeFolder(dataDir, addonId) });
  return {
    async mayMake(kind, there) {
      if (kind !== "postgres") return;
      // One that was not needed yet has room, and is not started for a question.
      const running = postgres ? postgres.current() : await server();
      if (running) await assertRoomForDatabase(running, there);
    },
    newAccess: async ({ id, kind }) => (kind === "postgres" ? newDatabaseAccess(await server(), id) : folderOf(id)),
    reach({ id, kind }, access) {
      if (kind === "volume") return folderOf(id);
      const running = postgres?.current();
      return running ? reachDatabase(running, id, (access as DatabaseAccess).password) : access;
    },
    async ensure({ id, kind }, access, signal) {
      signal.throwIfAborted();
      if (kind === "postgres") await ensureDatabase(await server(), id, access as DatabaseAccess, signal);
      else await ensureVolume(dataDir, id);
    },
    async destroy({ id, kind }, signal) {
      if (kind === "postgres") await destroyDatabase(await server(), id, signal);
      else await destroyVolume(dataDir, id);
    },
    async inspect({ id, kind }) {
      if (kind === "postgres") return inspectDatabase(await server(), id);
      const sizeBytes = await measureVolume(dataDir, id);
      return sizeBytes === undefined ? {} : { sizeBytes };
    },
  };
}
