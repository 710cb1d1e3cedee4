import { randomBytes } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { clip } from "../model/names.ts";
import { followGit, runGit } from "./git.ts";
import type { Quarantine, Repository } from "./repos.ts";

export type TreeLimits = { maxFiles: number; maxBytes: number };
export type TreeSize = { files: number; bytes: number };

/** Far beyond any source tree; ten objects can name 10^8 paths. */
export const treeLimits: TreeLimits = { maxFiles: 100_000, maxBytes: 4 * 1024 ** 3 };

const checkOutTimeoutMs = 10 * 60_000;

/**
 * Writes a commit's files into an empty folder, through an index of its own. git's own checkout is used, not
 * `git archive | tar`: it is what guards every clone against links and odd names, and `export-*` attributes stay without effect.
 */
export async function checkOut(
  repository: Repository,
  commit: string,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const { git, gitDir } = repository;
  await measureTree(repository, commit, treeLimits, undefined, signal);
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0) throw new Error(`${folder} is not empty`);
  const indexFile = join(gitDir, `zyndra-index-${randomBytes(8).toString("hex")}`);
  try {
    await runGit(git, [`--git-dir=${gitDir}`, `--work-tree=${folder}`, "read-tree", "-m", "-u", commit], {
      cwd: folder,
      environment: { GIT_INDEX_FILE: indexFile },
      signal,
      timeoutMs: checkOutTimeoutMs,
    });
  } finally {
    await Promise.all([rm(indexFile, { force: true }), rm(`${indexFile}.lock`, { force: true })]);
  }
}

/** What is longer cannot be unpacked, built or removed by ordinary programs (Linux: 255 bytes a name, 4096 a path). */
const maxPathBytes = 1_000;
const maxNameBytes = 255;

function assertPathFits(path: string): void {
  if (path.length <= maxNameBytes / 3) return;
  const isTooLong =
    Buffer.byteLength(path) > maxPathBytes || path.split("/").some((name) => Buffer.byteLength(name) > maxNameBytes);
  if (!isTooLong) return;
  const limits = `a name has ${maxNameBytes} bytes at most, a path ${maxPathBytes}`;
  throw new UserError("too_large", `the path ${clip(path)} is too long`, limits);
}

/** Counts as git lists, and stops git at the first limit passed. */
export async function measureTree(
  { git, gitDir }: Repository,
  commit: string,
  limits: TreeLimits = treeLimits,
  environment?: Quarantine,
  signal?: AbortSignal,
): Promise<TreeSize> {
  const size: TreeSize = { files: 0, bytes: 0 };
  const short = commit.slice(0, 7);
  await followGit(
    git,
    [`--git-dir=${gitDir}`, "ls-tree", "-r", "-l", "-z", "--full-tree", commit],
    { environment, signal },
    async (output) => {
      let rest = "";
      for await (const chunk of output.setEncoding("utf8") as AsyncIterable<string>) {
        const entries = (rest + chunk).split("\0");
        rest = entries.pop()!;
        for (const entry of entries) {
          size.files += 1;
          assertPathFits(entry.slice(entry.indexOf("\t") + 1));
          // "100644 blob ID    SIZE\tPATH"; the size of a submodule is "-".
          size.bytes += Number(entry.slice(0, entry.indexOf("\t")).split(/ +/)[3]) || 0;
        }
        if (size.files > limits.maxFiles) {
          throw new UserError(
            "too_large",
            `${short} has more than ${limits.maxFiles.toLocaleString("en")} files`,
            "a build takes fewer",
          );
        }
        if (size.bytes > limits.maxBytes) {
          const megabytes = Math.floor(limits.maxBytes / 1024 ** 2).toLocaleString("en");
          throw new UserError("too_large", `the files of ${short} are larger than ${megabytes} MiB together`);
        }
      }
    },
  );
  return size;
}
