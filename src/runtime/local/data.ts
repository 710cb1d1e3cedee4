import { UserError } from "../../errors.ts";
import type { AddonAccess, DatabaseAccess } from "../../model/addons.ts";
import type { Data } from "../runtime.ts";
import {
  assertRoomForDatabase,
  destroyDatabase,
  ensureDatabase,
  inspectDatabase,
  newDatabaseAccess,
  type PostgresServer,
  reachDatabase,
} from "./databases.ts";
import { destroyVolume, ensureVolume, measureVolume, volumeFolder } from "./volumes.ts";

/** Databases on the platform's own PostgreSQL, and volumes as folders of its data folder. */
export function localData({ dataDir, postgres }: { dataDir: string; postgres: PostgresServer | undefined }): Data {
  const server = (): PostgresServer => {
    if (postgres) return postgres;
    throw new UserError("unsupported", "this Zyndra has no PostgreSQL on which databases could be made");
  };
  const folderOf = (addonId: string): AddonAccess => ({ folder: volumeFolder(dataDir, addonId) });
  return {
    async mayMake(kind, there) {
      if (kind === "postgres") await assertRoomForDatabase(server(), there);
    },
    newAccess: ({ id, kind }) => (kind === "postgres" ? newDatabaseAccess(server(), id) : folderOf(id)),
    reach({ id, kind }, access) {
      if (kind === "volume") return folderOf(id);
      return postgres ? reachDatabase(postgres, id, (access as DatabaseAccess).password) : access;
    },
    async ensure({ id, kind }, access, signal) {
      signal.throwIfAborted();
      if (kind === "postgres") await ensureDatabase(server(), id, access as DatabaseAccess, signal);
      else await ensureVolume(dataDir, id);
    },
    async destroy({ id, kind }, signal) {
      if (kind === "postgres") await destroyDatabase(server(), id, signal);
      else await destroyVolume(dataDir, id);
    },
    async inspect({ id, kind }) {
      if (kind === "postgres") return inspectDatabase(server(), id);
      const sizeBytes = await measureVolume(dataDir, id);
      return sizeBytes === undefined ? {} : { sizeBytes };
    },
  };
}
