import { createHash } from "node:crypto";
import { constants } from "node:fs";
import {
  copyFile,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { forEachLimited } from "./limited.ts";

/**
 * Installed dependencies of one app, kept by what decides them (the lock file, the package manager, …).
 *
 * An entry is a folder `KEY/` with `files/` and `index.json`; it is made under another name and renamed, so a half-made one is never
 * found. Its files are clones where the file system can clone; else they are hard links shared with the slugs, except
 * what tools are known to rewrite in place. A file that was changed all the same shows by its time or size, and the entry is dropped.
 */
export type DependencyCache = {
  /** Puts an entry's folders into `intoDir`; false: there is none (any more), and nothing was left behind. */
  restore(key: string, intoDir: string, signal: AbortSignal): Promise<boolean>;
  /** Keeps these folders (relative paths) of `fromDir` under a key. */
  save(key: string, fromDir: string, folders: string[], signal: AbortSignal): Promise<void>;
};

/** So many lock files' worth of dependencies are kept for an app: branches, and the way back. */
const keptEntries = 3;
const parallelOperations = 16;

/** Opens the cache in a folder of its own. The folder belongs to one app and one build at a time. */
export function openDependencyCache(dir: string): DependencyCache {
  return {
    async restore(key, intoDir, signal) {
      const entry = join(dir, key);
      const index = await readIndex(entry);
      if (!index) return false;
      if ((await restoreEntry(entry, index, intoDir, signal)) === "ok") {
        await utimes(join(entry, indexFile), new Date(), new Date());
        return true;
      }
      await rm(entry, { recursive: true, force: true });
      return false;
    },

    async save(key, fromDir, folders, signal) {
      await removeUnfinished(dir);
      const unfinished = join(dir, `${unfinishedPrefix}${key}`);
      await mkdir(join(unfinished, "files"), { recursive: true, mode: 0o700 });
      const index = await indexOf(fromDir, folders, signal);
      await placeTree(index, fromDir, join(unfinished, "files"), signal);
      await recordTimes(index, join(unfinished, "files"), signal);
      await writeFile(join(unfinished, indexFile), JSON.stringify(index), { mode: 0o600 });
      await rm(join(dir, key), { recursive: true, force: true });
      await rename(unfinished, join(dir, key));
      await removeOldest(dir);
    },
  };
}

/** The key of everything that decides what an install brings. Values are hashed: none can be read back from it. */
export function cacheKey(parts: readonly (string | undefined)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part === undefined ? "-" : `+${part.length}:${part}`);
  return hash.digest("hex").slice(0, 40);
}

const indexFile = "index.json";
const unfinishedPrefix = ".unfinished-";
const formatVersion = 1;

type Index = {
  formatVersion: number;
  /** The saved folders themselves, e.g. `node_modules`. */
  folders: string[];
  /** All folders, parents first. */
  dirs: string[];
  files: FileEntry[];
  links: [path: string, target: string][];
};
type FileEntry = [path: string, sizeBytes: number, mtimeMs: number, isCopied: 0 | 1];

async function readIndex(entry: string): Promise<Index | undefined> {
  try {
    const index = JSON.parse(await readFile(join(entry, indexFile), "utf8")) as Index;
    return index.formatVersion === formatVersion ? index : undefined;
  } catch {
    return undefined;
  }
}

async function restoreEntry(
  entry: string,
  index: Index,
  intoDir: string,
  signal: AbortSignal,
): Promise<"ok" | "unusable"> {
  const places = await Promise.all(index.folders.map((folder) => isFreePlace(intoDir, folder)));
  if (!places.every(Boolean)) return "unusable";
  try {
    await checkUnchanged(index, join(entry, "files"), signal);
    await placeTree(index, join(entry, "files"), intoDir, signal);
    return "ok";
  } catch (error) {
    for (const folder of index.folders) await rm(join(intoDir, folder), { recursive: true, force: true });
    if (signal.aborted) throw error;
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") throw error;
    return "unusable";
  }
}

/** The place must be empty, and every folder above it a real one: nothing is written through a link of the commit. */
async function isFreePlace(intoDir: string, folder: string): Promise<boolean> {
  const parts = folder.split("/");
  for (let depth = 1; depth < parts.length; depth++) {
    const facts = await lstat(join(intoDir, ...parts.slice(0, depth))).catch(() => undefined);
    if (!facts?.isDirectory()) return false;
  }
  return (await lstat(join(intoDir, folder)).catch(() => undefined)) === undefined;
}

async function checkUnchanged(index: Index, filesDir: string, signal: AbortSignal): Promise<void> {
  await forEachLimited(index.files, parallelOperations, signal, async ([path, sizeBytes, mtimeMs]) => {
    const facts = await lstat(join(filesDir, path));
    if (!facts.isFile() || facts.size !== sizeBytes || facts.mtimeMs !== mtimeMs)
      throw new Error(`${path} was changed`);
  });
}

async function placeTree(index: Index, fromDir: string, intoDir: string, signal: AbortSignal): Promise<void> {
  for (const dir of index.dirs) await mkdir(join(intoDir, dir), { recursive: true });
  const place = (await canClone(index, fromDir, intoDir)) ? clone : linkOrCopy;
  await forEachLimited(index.files, parallelOperations, signal, async ([path, , , isCopied]) => {
    await (isCopied ? copy : place)(join(fromDir, path), join(intoDir, path));
  });
  for (const [path, target] of index.links) await symlink(target, join(intoDir, path));
}

async function canClone(index: Index, fromDir: string, intoDir: string): Promise<boolean> {
  const sample = index.files[0]?.[0];
  if (sample === undefined) return false;
  try {
    await copyFile(join(fromDir, sample), join(intoDir, sample), constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    return false;
  } finally {
    await rm(join(intoDir, sample), { force: true });
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!["EXDEV", "EMLINK", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    await copy(from, to);
  }
}

async function clone(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
  await keepTimes(from, to);
}

async function copy(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
  await keepTimes(from, to);
}

/** Python compares a compiled file with the time of its source. */
async function keepTimes(from: string, to: string): Promise<void> {
  const { atime, mtime } = await stat(from);
  await utimes(to, atime, mtime);
}

async function indexOf(fromDir: string, folders: string[], signal: AbortSignal): Promise<Index> {
  const index: Index = { formatVersion, folders, dirs: [], files: [], links: [] };
  for (const folder of folders) await look(folder, false);
  return index;

  async function look(dir: string, isRewritten: boolean): Promise<void> {
    signal.throwIfAborted();
    index.dirs.push(dir);
    const entries = await readdir(join(fromDir, dir), { withFileTypes: true });
    const rewritesHere =
      isRewritten ||
      (entries.some((entry) => entry.name === "package.json") && (await hasInstallScript(join(fromDir, dir))));
    for (const entry of entries) {
      const path = `${dir}/${entry.name}`;
      if (entry.isDirectory())
        await look(path, entry.name === "node_modules" ? false : rewritesHere || isWorkshop(dir, entry.name));
      else if (entry.isSymbolicLink()) index.links.push([path, await readlink(join(fromDir, path))]);
      else if (entry.isFile()) index.files.push([path, 0, 0, rewritesHere || isRewrittenFile(dir, entry.name) ? 1 : 0]);
    }
  }
}

/** Folders in which tools write at build time: `.prisma`, `.cache`, `.vite`, a virtual environment's scripts. Not pnpm's own store. */
function isWorkshop(dir: string, name: string): boolean {
  return (name.startsWith(".") && name !== ".pnpm") || (dir === ".venv" && name === "bin");
}

/** Package managers rewrite their notes in place: `node_modules/.package-lock.json`, `.modules.yaml`, `.pnpm/lock.yaml`. */
function isRewrittenFile(dir: string, name: string): boolean {
  return name.startsWith(".") || dir.endsWith("/.pnpm") || name === "pyvenv.cfg";
}

/** Packages with an install script are those that write into themselves, and may do so again. */
async function hasInstallScript(packageDir: string): Promise<boolean> {
  try {
    return /"(?:pre|post)?install"\s*:/.test(await readFile(join(packageDir, "package.json"), "utf8"));
  } catch {
    return false;
  }
}

async function recordTimes(index: Index, filesDir: string, signal: AbortSignal): Promise<void> {
  await forEachLimited(index.files, parallelOperations, signal, async (file) => {
    const facts = await lstat(join(filesDir, file[0]));
    file[1] = facts.size;
    file[2] = facts.mtimeMs;
  });
}

async function removeUnfinished(dir: string): Promise<void> {
  const names = await readdir(dir).catch(() => []);
  for (const name of names.filter((entry) => entry.startsWith(unfinishedPrefix)))
    await rm(join(dir, name), { recursive: true, force: true });
}

async function removeOldest(dir: string): Promise<void> {
  const entries = await Promise.all(
    (await readdir(dir)).map(async (name) => ({
      name,
      usedAtMs: (await stat(join(dir, name, indexFile)).catch(() => undefined))?.mtimeMs ?? 0,
    })),
  );
  entries.sort((one, other) => other.usedAtMs - one.usedAtMs);
  for (const { name } of entries.slice(keptEntries)) await rm(join(dir, name), { recursive: true, force: true });
}
