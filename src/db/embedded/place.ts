import * as fs from "node:fs/promises";
import { constants } from "node:fs/promises";
import { join, resolve } from "node:path";

/** Everything of the server, below the platform's data folder. */
export type Place = {
  folder: string;
  /** PostgreSQL's own folder; it appears whole or not at all. */
  cluster: string;
  passwordFile: string;
  portFile: string;
  logFile: string;
};

export function placeIn(dataDir: string): Place {
  const folder = join(resolve(dataDir), "postgres");
  return {
    folder,
    cluster: join(folder, "data"),
    passwordFile: join(folder, "password"),
    portFile: join(folder, "port"),
    logFile: join(folder, "server.log"),
  };
}

/** Makes the folder, for its owner alone; throws the system's error where it cannot be made or used. */
export async function makeFolder(place: Place): Promise<void> {
  await fs.mkdir(place.folder, { recursive: true, mode: 0o700 });
  await fs.access(place.folder, constants.R_OK | constants.W_OK | constants.X_OK);
}
