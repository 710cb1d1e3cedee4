import { rm } from "node:fs/promises";
import { join } from "node:path";
import { GitFailed, runGit } from "./git.ts";
import type { Repository } from "./repos.ts";

export type MoveOutcome = "moved" | "already" | "changed";

/** The ref that keeps a deploy's commit. */
export function deployRef(number: number | string): string {
  return `refs/zyndra/deploys/${number}`;
}

export async function readRef(repository: Repository, ref: string): Promise<string | null> {
  const refs = await listRefs(repository, ref);
  return refs.find((found) => found.ref === ref)?.id ?? null;
}

/**
 * The refs that `patterns` name: a full name, what lies below one, or `*`. Asked so, and not by `rev-parse`, because
 * that takes `refs/heads/main` for `refs/heads/refs/heads/main` where only the latter is there.
 */
export async function listRefs(
  { git, gitDir }: Repository,
  ...patterns: string[]
): Promise<{ ref: string; id: string }[]> {
  for (const pattern of patterns) assertFullName(pattern);
  const { stdout } = await runGit(git, [
    `--git-dir=${gitDir}`,
    "for-each-ref",
    "--format=%(objectname) %(refname)",
    ...patterns,
  ]);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => ({ id: line.slice(0, line.indexOf(" ")), ref: line.slice(line.indexOf(" ") + 1) }));
}

/** Compare and swap; see Repos. */
export async function moveRef(
  repository: Repository,
  ref: string,
  to: string,
  expectedOld: string | null,
  options: { holdsLease?: boolean } = {},
): Promise<MoveOutcome> {
  const { git, gitDir } = repository;
  assertFullName(ref);
  const move = ["update-ref", "--no-deref", ref, to, expectedOld ?? "0".repeat(to.length)];
  try {
    await runGit(git, [`--git-dir=${gitDir}`, ...move]);
    return expectedOld === to ? "already" : "moved";
  } catch (error) {
    if (!(error instanceof GitFailed)) throw error;
    if (options.holdsLease && /Unable to create '.*\.lock': File exists/.test(error.stderr)) {
      await rm(join(gitDir, `${ref}.lock`), { force: true });
      return moveRef(repository, ref, to, expectedOld);
    }
    const current = await readRef(repository, ref);
    if (current === to) return "already";
    if (current !== expectedOld) return "changed";
    throw error;
  }
}

/** Makes a ref hold this, whatever it held. */
export async function setRef({ git, gitDir }: Repository, ref: string, to: string): Promise<void> {
  assertFullName(ref);
  await runGit(git, [`--git-dir=${gitDir}`, "update-ref", "--no-deref", ref, to]);
}

/** Removes a ref, whatever it holds. Nothing there is no fault. */
export async function removeRef({ git, gitDir }: Repository, ref: string): Promise<void> {
  assertFullName(ref);
  await runGit(git, [`--git-dir=${gitDir}`, "update-ref", "--no-deref", "-d", ref]);
}

function assertFullName(ref: string): void {
  if (
    !/^refs\/[^\x00-\x20\x7f~^:?[\\]+$/.test(ref) ||
    ref.split("/").some((part) => part === "" || part.startsWith("."))
  ) {
    throw new Error(`"${ref}" is no full ref name`);
  }
}
