import { constants } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isReadByDetection, type SourceTree } from "../../model/detection.ts";
import { BuildFailure } from "./build-failure.ts";

const maxDepth = 3;
/** A lock file of a large app has a few megabytes. */
const maxTextBytes = 32 * 1024 * 1024;
const maxPaths = 20_000;

/** Looks through an unpacked commit for what detection wants to know. Symbolic links are never followed. */
export async function readSourceTree(dir: string): Promise<SourceTree> {
  const paths = new Set<string>();
  const texts = new Map<string, string>();
  await look("", 1);
  return { paths, texts };

  async function look(folder: string, depth: number): Promise<void> {
    for (const entry of await readdir(join(dir, folder), { withFileTypes: true })) {
      if (paths.size >= maxPaths) return;
      const path = `${folder}${entry.name}`;
      if (entry.isDirectory()) {
        paths.add(`${path}/`);
        if (depth < maxDepth && entry.name !== "node_modules" && entry.name !== ".git")
          await look(`${path}/`, depth + 1);
      } else {
        if (entry.isFile()) paths.add(path);
        if (isReadByDetection(path)) texts.set(path, await readSourceText(dir, path));
      }
    }
  }
}

/**
 * Reads a text file of the commit. A symbolic link is refused, wherever it points: the commit must not choose
 * which of the machine's files the platform reads. The folder of `path` must be known to be real.
 */
export async function readSourceText(dir: string, path: string): Promise<string> {
  const file = join(dir, path);
  const facts = await lstat(file);
  if (facts.isSymbolicLink()) throw new BuildFailure(causeOfLink(path));
  if (!facts.isFile())
    throw new BuildFailure({
      headline: `${path} is no plain file`,
      hint: `replace ${path} by a plain file, commit, push again`,
    });
  if (facts.size > maxTextBytes) {
    throw new BuildFailure({
      headline: `${path} is too large to be read`,
      detail: `${path} has ${facts.size} bytes, at most ${maxTextBytes} are read`,
    });
  }
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}

function causeOfLink(path: string) {
  return {
    headline: `${path} is a symbolic link`,
    detail: `Zyndra reads ${path} itself and follows no links of a commit`,
    hint: `replace the link by the file it points to (cp --remove-destination "$(readlink ${path})" ${path}), commit, push again`,
  };
}
