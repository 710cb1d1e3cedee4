import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * What was fetched before, kept so that the next line need not wait for it. Everything in it may be gone or damaged at any
 * time; whatever cannot be read or written is as good as not there.
 */
export type Cache = { folder: string };

export async function readCache<Value>(
  { folder }: Cache,
  key: string,
): Promise<{ value: Value; ageMs: number } | undefined> {
  const path = join(folder, key);
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
    return { value: JSON.parse(text) as Value, ageMs: Date.now() - mtimeMs };
  } catch {
    return undefined;
  }
}

export async function writeCache({ folder }: Cache, key: string, value: unknown): Promise<void> {
  const path = join(folder, key);
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(unfinished, JSON.stringify(value), { mode: 0o600 });
    await rename(unfinished, path);
  } catch {
    await rm(unfinished, { force: true }).catch(() => {});
  }
}

export async function dropCache({ folder }: Cache, key: string): Promise<void> {
  await rm(join(folder, key), { force: true }).catch(() => {});
}

/** Makes what is there look as old as this. */
export async function setAge({ folder }: Cache, key: string, ageMs: number): Promise<void> {
  const at = new Date(Date.now() - ageMs);
  await utimes(join(folder, key), at, at).catch(() => {});
}

/** A name for what belongs to all of these. (No hash: loading node:crypto takes longer than all else that a command does.) */
export function cacheKey(kind: string, ...parts: string[]): string {
  return `${[kind, ...parts]
    .map((part) => part.replace(/[^\w.-]+/g, "_"))
    .join("-")
    .slice(0, 200)}.json`;
}
