import { execFile } from "node:child_process";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { UserError } from "../errors.ts";
import type { GitProgram } from "./git.ts";

/** proc-receive came with 2.29, configuration by environment variables with 2.31. */
export const oldestGit = "2.31";

/** Where programs are looked for when nobody says otherwise. */
export const defaultSearchPath =
  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin:/opt/local/bin";

/**
 * Finds git, asks its version and writes the one configuration file that all its children read.
 * Throws UserError where git is missing or too old.
 * @param folder where the configuration is written
 */
export async function openGitProgram(options: {
  gitPath: string;
  searchPath: string;
  folder: string;
}): Promise<GitProgram> {
  const { gitPath, searchPath, folder } = options;
  const probe = await askGit(gitPath, searchPath, ["version"]);
  const version = /^git version (\d+\.\d+(?:\.\d+)*)/.exec(probe)?.[1];
  if (!version || isOlder(version, oldestGit)) {
    throw new UserError(
      "unavailable",
      `git ${version ?? clipOneLine(probe)} is too old: Zyndra needs ${oldestGit} or newer`,
      "install a newer git, or set the path of one that is",
    );
  }
  const execPath = (await askGit(gitPath, searchPath, ["--exec-path"])).trim();

  await mkdir(folder, { recursive: true, mode: 0o700 });
  const configFile = join(folder, "config");
  await writeWhole(configFile, gitConfig(join(folder, "no-hooks")));

  const programFolders = [execPath, ...(isAbsolute(gitPath) ? [dirname(gitPath)] : []), searchPath];
  return { path: gitPath, version, environment: gitEnvironment(programFolders.join(":"), configFile) };
}

/**
 * The environment of every git child, built from nothing: no secret of the platform's reaches one, and no
 * configuration of the machine or of its user changes what it does.
 */
function gitEnvironment(path: string, configFile: string): Record<string, string> {
  return {
    PATH: path,
    HOME: "/nonexistent",
    XDG_CONFIG_HOME: "/nonexistent",
    LC_ALL: "C",
    TZ: "UTC",
    GIT_CONFIG_GLOBAL: configFile,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_NO_REPLACE_OBJECTS: "1",
    // A bare machine has no identity, and git wants one whenever it writes down who moved a ref.
    GIT_AUTHOR_NAME: "Zyndra",
    GIT_AUTHOR_EMAIL: "zyndra@localhost",
    GIT_COMMITTER_NAME: "Zyndra",
    GIT_COMMITTER_EMAIL: "zyndra@localhost",
  };
}

/**
 * What every repository keeps to. Hooks lie nowhere by default: only the git receiver says where they are, and without
 * a `proc-receive` git refuses each push of a branch, so that nothing can be pushed past the receiver.
 */
function gitConfig(noHooksFolder: string): string {
  return `# Written by Zyndra at each start; changes are lost.
[transfer]
	fsckObjects = true
	unpackLimit = 1
	hideRefs = refs/zyndra
[receive]
	procReceiveRefs = refs/heads
	advertisePushOptions = true
	advertiseAtomic = true
	shallowUpdate = false
	denyDeletes = false
	denyNonFastForwards = false
	denyCurrentBranch = ignore
	keepAlive = 5
	autogc = false
	fsckObjects = true
	unpackLimit = 1
[receive "fsck"]
	# Harmless faults of old histories, ignored by the large hosts too.
	badTimezone = ignore
	missingSpaceBeforeDate = ignore
	zeroPaddedFilemode = ignore
[uploadpack]
	allowFilter = false
	allowAnySHA1InWant = false
	keepAlive = 5
[core]
	hooksPath = ${quoted(noHooksFolder)}
	attributesFile = /dev/null
	excludesFile = /dev/null
	# Larger files are streamed: a push of zeros must not fill the memory.
	bigFileThreshold = 16m
	useReplaceRefs = false
	logAllRefUpdates = false
	protectHFS = true
	protectNTFS = true
	symlinks = true
	autocrlf = false
	fsync = objects,derived-metadata,reference
[pack]
	windowMemory = 100m
	threads = 1
[gc]
	auto = 0
[maintenance]
	auto = false
[protocol]
	allow = never
[safe]
	# The folder may belong to another user of the machine or the container; only ours are ever named.
	directory = *
	bareRepository = explicit
[init]
	defaultBranch = main
	templateDir =
[advice]
	detachedHead = false
`;
}

async function askGit(gitPath: string, searchPath: string, args: string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(gitPath, args, {
      env: { PATH: searchPath, HOME: "/nonexistent", LC_ALL: "C", GIT_CONFIG_NOSYSTEM: "1" },
      timeout: 20_000,
    });
    return stdout;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new UserError(
      "unavailable",
      missing
        ? `git is not installed: there is no program ${gitPath}`
        : `git does not start: ${clipOneLine(String(error))}`,
      "install it (apt-get install git, brew install git) and start again",
    );
  }
}

/** Whether a dotted version is lower than another. */
export function isOlder(version: string, than: string): boolean {
  const [left, right] = [version, than].map((text) => text.split(".").map(Number));
  for (let i = 0; i < right!.length; i++) {
    const difference = (left![i] ?? 0) - right![i]!;
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Other processes may be reading the file: it is replaced at once, or not at all. */
async function writeWhole(file: string, text: string): Promise<void> {
  const draft = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, file);
}

function quoted(value: string): string {
  return `"${value.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n")}"`;
}

function clipOneLine(text: string): string {
  return text.split("\n")[0]!.slice(0, 200);
}
