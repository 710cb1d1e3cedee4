import { randomBytes } from "node:crypto";
import { appendFile, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Log } from "../log.ts";
import { clip } from "../model/names.ts";
import { checkOut, measureTree, type TreeLimits, type TreeSize } from "./check-out.ts";
import { type CommitRange, commitRange } from "./commit-range.ts";
import { type FolderFiles, readFolder, type WantedFiles } from "./folder-files.ts";
import { type GitProgram, runGit } from "./git.ts";
import { defaultSearchPath, openGitProgram } from "./git-program.ts";
import { sweepLeftovers } from "./leftovers.ts";
import { deployRef, listRefs, type MoveOutcome, moveRef, readRef, removeRef, setRef } from "./refs.ts";

/** The bare git repositories of all apps, one folder each, named by the app's id so that renaming an app moves nothing. */
export type Repos = {
  readonly git: GitProgram;
  /** Zyndra's own files for git: its configuration, its hooks. */
  readonly gitFolder: string;
  /** What every git child's environment is made of, and nothing else. */
  gitEnvironment(): Record<string, string>;

  /** The folder of an app's repository, whether it is there or not. */
  gitDir(appId: string): string;
  /** Makes the repository where it is missing; answers its folder. */
  ensureRepo(appId: string): Promise<string>;
  /** Removes it with all its history. Nothing there is no fault. */
  removeRepo(appId: string): Promise<void>;

  /** The id a ref holds, or null. `ref` is a full name, as `refs/heads/main`. */
  readRef(appId: string, ref: string): Promise<string | null>;
  /**
   * Moves a ref if it still is what the caller expects (null: not there). `already`: it was at `to` before; `changed`: it is
   * elsewhere and stays there. A lock file that a killed git left behind is removed only under `holdsLease`, by which the
   * caller says that nobody else may be moving this ref.
   */
  moveRef(
    appId: string,
    ref: string,
    to: string,
    expectedOld: string | null,
    options?: { holdsLease?: boolean },
  ): Promise<MoveOutcome>;
  /**
   * Keeps a deploy's commit from being pruned: `refs/zyndra/deploys/NUMBER`. One of a deploy that came to nothing is
   * written over. Throws where the commit is not there.
   */
  writeKeepRef(appId: string, number: number, commit: string): Promise<void>;
  removeKeepRef(appId: string, number: number): Promise<void>;
  /** The keep-refs there are, by rising number. */
  listDeployRefs(appId: string): Promise<{ number: number; commit: string }[]>;

  /** Whether `ancestor` is contained in `descendant` (a commit contains itself). False too where either is unknown. */
  isAncestor(appId: string, ancestor: string, descendant: string, quarantineEnv?: Quarantine): Promise<boolean>;
  /** What a commit says of itself. Throws where there is no such commit. */
  commitInfo(appId: string, commit: string, quarantineEnv?: Quarantine): Promise<CommitInfo>;
  /** What one commit has that the other has not, and how many files differ; null where that cannot be told any more. */
  commitRange(appId: string, from: string, to: string): Promise<CommitRange | null>;
  /** The commit meant by a branch's name, a tag's, or a full or short id, in this order; null where nothing is meant. */
  resolveCommit(appId: string, text: string): Promise<string | null>;
  objectType(appId: string, id: string, quarantineEnv?: Quarantine): Promise<ObjectType | null>;
  /** Counts a commit's files and their bytes. Throws UserError `too_large` as soon as a limit is passed. */
  measureTree(appId: string, commit: string, limits?: TreeLimits, quarantineEnv?: Quarantine): Promise<TreeSize>;
  /** Some files of one folder of a commit, by their names; null where there is no such folder. "" is the commit's own. */
  readFolder(appId: string, commit: string, folder: string, wanted: WantedFiles): Promise<FolderFiles | null>;
  /**
   * Writes a commit's files into an empty or missing folder, as `git checkout` would: `export-ignore` and `export-subst` have
   * no effect, submodules are empty folders, LFS files are pointers. Links are made, and never written through.
   */
  archiveInto(appId: string, commit: string, folder: string, signal: AbortSignal): Promise<void>;

  /** Removes what killed git processes left: quarantines, unfinished packs, locks and indexes that nobody has touched for so long. */
  sweepQuarantine(options?: { olderThanMs?: number }): Promise<{ removed: number }>;
  /** Packs a repository and prunes what no ref has held for two days. */
  tidy(appId: string, signal: AbortSignal): Promise<void>;
};

/** The variables by which git finds objects that are still in quarantine. */
export type Quarantine = Record<string, string> | undefined;
export type ObjectType = "commit" | "tag" | "tree" | "blob";
export type CommitInfo = { subject: string; authorName: string; tree: string };

/** Opens the room. Throws UserError where git is missing or older than 2.31. */
export async function openRepos(options: {
  /** The platform's data folder; repositories lie in its `repos/`, git's configuration in its `git/`. */
  dataDir: string;
  /** git itself: a path, or a name that is looked for. */
  gitPath?: string;
  /** Folders in which git and perl are looked for, as in PATH. */
  searchPath?: string;
  log: Log;
}): Promise<Repos> {
  const folder = join(options.dataDir, "repos");
  const gitFolder = join(options.dataDir, "git");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const git = await openGitProgram({
    gitPath: options.gitPath ?? "git",
    searchPath: options.searchPath ?? defaultSearchPath,
    folder: gitFolder,
  });
  options.log.debug({ version: git.version, folder }, "repositories opened");

  const gitDir = (appId: string) => join(folder, `${checkedAppId(appId)}.git`);
  const inRepo = (appId: string) => ({ git, gitDir: gitDir(appId) });

  return {
    git,
    gitFolder,
    gitEnvironment: () => ({ ...git.environment }),
    gitDir,
    ensureRepo: (appId) => ensureRepo(git, gitDir(appId)),
    removeRepo: (appId) => removeRepo(gitDir(appId)),
    readRef: (appId, ref) => readRef(inRepo(appId), ref),
    moveRef: (appId, ref, to, expectedOld, moveOptions) =>
      moveRef(inRepo(appId), ref, checkedId(to), expectedOld && checkedId(expectedOld), moveOptions),
    writeKeepRef: (appId, number, commit) => setRef(inRepo(appId), deployRef(number), checkedId(commit)),
    removeKeepRef: (appId, number) => removeRef(inRepo(appId), deployRef(number)),
    listDeployRefs: (appId) => listDeployRefs(inRepo(appId)),
    isAncestor: (appId, ancestor, descendant, env) => isAncestor(inRepo(appId), ancestor, descendant, env),
    commitInfo: (appId, commit, env) => commitInfo(inRepo(appId), commit, env),
    commitRange: (appId, from, to) => commitRange(inRepo(appId), checkedId(from), checkedId(to)),
    resolveCommit: (appId, text) => resolveCommit(inRepo(appId), text),
    objectType: (appId, id, env) => objectType(inRepo(appId), id, env),
    measureTree: (appId, commit, limits, env) => measureTree(inRepo(appId), checkedId(commit), limits, env),
    readFolder: (appId, commit, folder, wanted) => readFolder(inRepo(appId), checkedId(commit), folder, wanted),
    archiveInto: (appId, commit, into, signal) => checkOut(inRepo(appId), checkedId(commit), into, signal),
    sweepQuarantine: (sweep) => sweepLeftovers(folder, sweep?.olderThanMs, options.log),
    tidy: (appId, signal) => tidy(inRepo(appId), signal),
  };
}

/** One repository, and the git to ask it with. */
export type Repository = { git: GitProgram; gitDir: string };

async function ensureRepo(git: GitProgram, gitDir: string): Promise<string> {
  if (await isFolder(gitDir)) return gitDir;
  // Made aside and renamed, so that nobody meets half a repository and two makers do not disturb each other.
  const draft = `${gitDir}.new-${randomBytes(6).toString("hex")}`;
  try {
    await runGit(git, ["init", "--quiet", "--bare", "--template=", draft]);
    await appendFile(join(draft, "config"), repositoryConfig);
    await rename(draft, gitDir);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!(await isFolder(gitDir))) throw error;
  }
  return gitDir;
}

/** Stands in the repository too: a git that were started without our configuration must refuse branches, not take them. */
const repositoryConfig = "[receive]\n\tprocReceiveRefs = refs/heads\n\tshallowUpdate = false\n";

async function removeRepo(gitDir: string): Promise<void> {
  // Renamed first: a git that still runs in it loses its way at once instead of meeting it half empty.
  const doomed = `${gitDir}.removed-${randomBytes(6).toString("hex")}`;
  try {
    await rename(gitDir, doomed);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  // All that stand aside: a removal before may have been cut short, and what is said to be gone must be.
  const folder = dirname(gitDir);
  const aside = (await readdir(folder)).filter((name) => name.startsWith(`${basename(gitDir)}.removed-`));
  const options = { recursive: true, force: true, maxRetries: 3, retryDelay: 100 };
  await Promise.all(aside.map((name) => rm(join(folder, name), options)));
}

async function listDeployRefs(repository: Repository): Promise<{ number: number; commit: string }[]> {
  const refs = await listRefs(repository, deployRef("*"));
  return refs
    .map(({ ref, id }) => ({ number: Number(ref.slice(deployRef("").length)), commit: id }))
    .filter(({ number }) => Number.isSafeInteger(number))
    .sort((left, right) => left.number - right.number);
}

async function isAncestor(
  { git, gitDir }: Repository,
  ancestor: string,
  descendant: string,
  environment: Quarantine,
): Promise<boolean> {
  const { exitCode } = await runGit(
    git,
    [`--git-dir=${gitDir}`, "merge-base", "--is-ancestor", checkedId(ancestor), checkedId(descendant)],
    // 128: one of the two is not there.
    { answers: [1, 128], environment },
  );
  return exitCode === 0;
}

async function commitInfo({ git, gitDir }: Repository, commit: string, environment: Quarantine): Promise<CommitInfo> {
  const { stdout } = await runGit(
    git,
    [`--git-dir=${gitDir}`, "log", "-1", "--no-show-signature", "--format=%T%x00%an%x00%s", checkedId(commit), "--"],
    { environment },
  );
  const [tree, authorName, subject] = stdout.replace(/\n$/, "").split("\0");
  return { subject: clip(subject ?? "", 100), authorName: clip(authorName ?? "", 60), tree: tree ?? "" };
}

async function resolveCommit(repository: Repository, text: string): Promise<string | null> {
  if (!/^[^\x00-\x20\x7f~^:?*[\\]{1,250}$/.test(text) || text.includes("..") || text.includes("@{")) return null;
  const names = [`refs/heads/${text}`, `refs/tags/${text}`];
  const refs = await listRefs(repository, ...names);
  // git itself would take the tag; whoever types a name here means the branch.
  const named = names.map((name) => refs.find(({ ref }) => ref === name)?.id).find(Boolean);
  const id = named ?? (/^[0-9a-f]{4,64}$/i.test(text) ? text : null);
  if (!id) return null;
  const { stdout } = await runGit(
    repository.git,
    [`--git-dir=${repository.gitDir}`, "cat-file", "--batch-check=%(objectname) %(objecttype)"],
    { input: `${id}^{commit}\n` },
  );
  return /^([0-9a-f]+) commit$/m.exec(stdout)?.[1] ?? null;
}

async function objectType(
  { git, gitDir }: Repository,
  id: string,
  environment: Quarantine,
): Promise<ObjectType | null> {
  const { exitCode, stdout } = await runGit(git, [`--git-dir=${gitDir}`, "cat-file", "-t", checkedId(id)], {
    answers: [128],
    environment,
  });
  return exitCode === 0 ? (stdout.trim() as ObjectType) : null;
}

async function tidy({ git, gitDir }: Repository, signal: AbortSignal): Promise<void> {
  // Two days: a push writes its objects a moment before the ref that keeps them.
  await runGit(git, [`--git-dir=${gitDir}`, "gc", "--quiet", "--prune=2.days.ago"], { signal, timeoutMs: 30 * 60_000 });
}

async function isFolder(path: string): Promise<boolean> {
  const facts = await stat(path).catch(() => null);
  return facts?.isDirectory() ?? false;
}

/** A repository's folder is named by this: one plain path segment, whoever asks. */
function checkedAppId(appId: string): string {
  if (!/^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$/.test(appId)) throw new Error(`"${clip(appId)}" is no app id`);
  return appId;
}

/** Ids stand on command lines: nothing else may. */
function checkedId(id: string): string {
  if (!/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) throw new Error(`"${clip(id)}" is no full object id`);
  return id;
}
