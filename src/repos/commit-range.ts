import { clip } from "../model/names.ts";
import { GitFailed, runGit } from "./git.ts";
import type { Repository } from "./repos.ts";

/** What lies between two commits, seen from the first. */
export type CommitRange = {
  /** What the second has and the first has not. */
  added: CommitList;
  /** What the first has and the second has not, as after a rollback. */
  removed: CommitList;
  /** There are more commits than were counted. */
  isCut: boolean;
  /** How many files differ. */
  files: number;
};

/** The newest first, and no more than a screen of them. */
export type CommitList = { count: number; newest: { commit: string; subject: string }[] };

const listedCommits = 20;
/** Nobody counts further, and a history may be very long. */
const countedCommits = 1_000;
const withinMs = 5_000;

/** Null where one of the two is no longer kept, or the answer takes too long. */
export async function commitRange(repository: Repository, from: string, to: string): Promise<CommitRange | null> {
  try {
    const [commits, files] = await Promise.all([listBetween(repository, from, to), countFiles(repository, from, to)]);
    return {
      added: listOf(commits, ">"),
      removed: listOf(commits, "<"),
      isCut: commits.length === countedCommits,
      files,
    };
  } catch (error) {
    if (error instanceof GitFailed) return null;
    throw error;
  }
}

type Marked = { side: string; commit: string; subject: string };

async function listBetween({ git, gitDir }: Repository, from: string, to: string): Promise<Marked[]> {
  const { stdout } = await runGit(
    git,
    [
      `--git-dir=${gitDir}`,
      "log",
      "-z",
      "--left-right",
      "--no-show-signature",
      `--max-count=${countedCommits}`,
      "--format=%m%H%s",
      `${from}...${to}`,
      "--",
    ],
    { timeoutMs: withinMs },
  );
  const entries = stdout.split("\0").filter((entry) => entry !== "");
  return entries.map((entry) => ({
    side: entry[0]!,
    commit: entry.slice(1, from.length + 1),
    subject: clip(entry.slice(from.length + 1), 100),
  }));
}

function listOf(commits: Marked[], side: string): CommitList {
  const own = commits.filter((commit) => commit.side === side);
  return {
    count: own.length,
    newest: own.slice(0, listedCommits).map(({ commit, subject }) => ({ commit, subject })),
  };
}

async function countFiles({ git, gitDir }: Repository, from: string, to: string): Promise<number> {
  const { stdout } = await runGit(
    git,
    [`--git-dir=${gitDir}`, "diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to, "--"],
    { timeoutMs: withinMs },
  );
  return stdout.split("\0").length - 1;
}
