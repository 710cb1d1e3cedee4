import * as fs from "node:fs/promises";

/** A file's content, or undefined where there is none, as in /proc for a process that has ended. */
export async function readIfThere(file: string): Promise<string | undefined> {
  return await fs.readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR" || error.code === "ESRCH") return undefined;
    throw error;
  });
}

/** The names in a folder; none where there is no folder. */
export async function listFolder(folder: string): Promise<string[]> {
  return await fs.readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
}
