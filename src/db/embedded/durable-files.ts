import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { type FileHandle, open } from "node:fs/promises";
import { readIfThere } from "./optional-files.ts";

/** The content of a file that is written once and never again: of two writers at once the first wins, and both read the same. */
export async function writeOnce(file: string, make: () => string | Promise<string>): Promise<string> {
  const there = await readIfThere(file);
  if (there !== undefined) return there.trim();
  const unfinished = `${file}.new-${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    await writeSynced(unfinished, `${await make()}\n`);
    await fs.link(unfinished, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await fs.rm(unfinished, { force: true });
  }
  return (await fs.readFile(file, "utf8")).trim();
}

/** Whoever reads the file meanwhile sees the old content or the new one, whole. */
export async function replaceFile(file: string, content: string): Promise<void> {
  const unfinished = `${file}.new-${process.pid}`;
  await writeSynced(unfinished, content);
  await fs.rename(unfinished, file);
}

/** Makes the names in a folder as durable as the files behind them. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await whileOpen(handle, () => handle.sync());
}

async function writeSynced(file: string, content: string): Promise<void> {
  const handle = await open(file, "w", 0o600);
  await whileOpen(handle, async () => {
    await handle.writeFile(content);
    await handle.sync();
  });
}

async function whileOpen(handle: FileHandle, use: () => Promise<void>): Promise<void> {
  try {
    await use();
  } finally {
    await handle.close();
  }
}
