import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../log.ts";

/** A push may take its time: what was touched within the hour is somebody's. */
const defaultAgeMs = 60 * 60_000;

/**
 * Removes what killed processes left in and beside the repositories. git clears its own quarantine except when it is killed,
 * and keeps it for two weeks then.
 */
export async function sweepLeftovers(
  folder: string,
  olderThanMs = defaultAgeMs,
  log: Log,
): Promise<{ removed: number }> {
  const before = Date.now() - olderThanMs;
  let removed = 0;
  for (const path of await leftoversBelow(folder)) {
    if ((await newestChange(path)) > before) continue;
    await rm(path, { recursive: true, force: true });
    removed += 1;
    log.info({ path }, "leftover of a killed git removed");
  }
  return { removed };
}

async function leftoversBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await namesIn(folder)) {
    const path = join(folder, name);
    if (/\.git\.(?:new|removed)-[0-9a-f]+$/.test(name)) found.push(path);
    else if (name.endsWith(".git")) found.push(...(await leftoversOfRepo(path)));
  }
  return found;
}

async function leftoversOfRepo(gitDir: string): Promise<string[]> {
  const [top, objects, packs] = await Promise.all([
    namesIn(gitDir),
    namesIn(join(gitDir, "objects")),
    namesIn(join(gitDir, "objects/pack")),
  ]);
  return [
    ...top
      .filter((name) => /^zyndra-index-|^(?:packed-refs|shallow)\.lock$/.test(name))
      .map((name) => join(gitDir, name)),
    ...objects.filter((name) => /^(?:tmp_objdir-)?incoming-/.test(name)).map((name) => join(gitDir, "objects", name)),
    ...packs.filter((name) => /^\.?tmp[-_]/.test(name)).map((name) => join(gitDir, "objects/pack", name)),
  ];
}

/** The last time anything in it changed, in milliseconds. */
async function newestChange(path: string): Promise<number> {
  const facts = await stat(path).catch(() => null);
  if (!facts) return 0;
  if (!facts.isDirectory()) return facts.mtimeMs;
  const below = await Promise.all((await namesIn(path)).map((name) => newestChange(join(path, name))));
  return Math.max(facts.mtimeMs, ...below);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
