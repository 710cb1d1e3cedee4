import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  parseSlugManifest,
  type SlugManifest,
  slugFilesFile,
  slugFilesText,
  slugManifestFile,
  slugManifestText,
  unnamedFolder,
} from "../../model/slug.ts";
import { removeTree } from "./remove-tree.ts";

/**
 * The digest of the slug of one build. A build is made from a commit by tools, registries and config vars of its time, and none of
 * them can be repeated exactly; so what names the slug is the build itself. The same build asked for again is the same slug,
 * and it is known where it will lie before anything is unpacked.
 */
export function slugDigest(build: { appId: string; buildId: string; commit: string }): string {
  return createHash("sha256")
    .update(JSON.stringify(["slug", 1, build.appId, build.buildId, build.commit]))
    .digest("hex");
}

/** The manifest of a finished slug; undefined where there is none, or only the remains of one. */
export async function findSlug(slugDir: string): Promise<SlugManifest | undefined> {
  try {
    const file = await open(join(slugDir, slugManifestFile), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      return parseSlugManifest(await file.readFile("utf8"));
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}

/** Makes a built folder a slug: the names of its files and its manifest are written, then the whole is renamed into place. */
export async function placeSlug(builtDir: string, slugDir: string, manifest: SlugManifest): Promise<void> {
  const appDir = join(builtDir, manifest.root ?? "");
  const filesPath = join(appDir, slugFilesFile);
  await removeTree(filesPath);
  await writeFile(filesPath, slugFilesText(await namedFiles(appDir)), { flag: "wx", mode: 0o600 });
  const manifestPath = join(builtDir, slugManifestFile);
  await removeTree(manifestPath);
  await writeFile(manifestPath, slugManifestText(manifest), { flag: "wx", mode: 0o600, flush: true });
  await mkdir(dirname(slugDir), { recursive: true, mode: 0o700 });
  await removeTree(slugDir);
  await rename(builtDir, slugDir);
}

/** All that is no folder, relative to `dir`. */
async function namedFiles(dir: string, below = ""): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(dir, below), { withFileTypes: true })) {
    const path = join(below, entry.name);
    if (!entry.isDirectory()) found.push(path);
    else if (entry.name !== unnamedFolder) found.push(...(await namedFiles(dir, path)));
  }
  return found;
}

/** The manifest goes first, so that a removal which is cut short leaves no slug behind. */
export async function removeSlug(slugDir: string): Promise<void> {
  await rm(join(slugDir, slugManifestFile), { force: true });
  await removeTree(slugDir);
}

/** What a folder's files take, each once, in bytes. */
export async function sizeOf(dir: string, signal: AbortSignal): Promise<number> {
  const seen = new Set<number>();
  let sizeBytes = 0;
  const look = async (folder: string): Promise<void> => {
    signal.throwIfAborted();
    const entries = await readdir(folder, { withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => lstat(join(folder, entry.name)));
    for (const facts of await Promise.all(files)) {
      if (facts.nlink > 1 && seen.has(facts.ino)) continue;
      seen.add(facts.ino);
      sizeBytes += facts.size;
    }
    for (const entry of entries) if (entry.isDirectory()) await look(join(folder, entry.name));
  };
  await look(dir);
  return sizeBytes;
}
