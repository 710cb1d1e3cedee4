import { followGit, runGit } from "./git.ts";
import type { Repository } from "./repos.ts";

export type WantedFiles = { names: readonly string[]; maxBytes: number; signal?: AbortSignal };

/** `names`: all that the folder has, folders too. Of the wanted ones that are there: their bytes, or why they are not read. */
export type FolderFiles = { names: string[]; files: Map<string, Uint8Array | UnreadableEntry> };

export type UnreadableEntry = { unreadable: "link" | "no file" | "too large" };

/** A folder of a hundred thousand files with long names. */
const maxListingBytes = 64 * 1024 * 1024;

/** Reads from the repository itself: nothing is unpacked, and no link is followed. */
export async function readFolder(
  repository: Repository,
  commit: string,
  folder: string,
  { names, maxBytes, signal }: WantedFiles,
): Promise<FolderFiles | null> {
  const entries = await listEntries(repository, commit, folder, signal);
  if (!entries) return null;
  const wanted = entries.filter(({ name }) => names.includes(name));
  const files = await Promise.all(
    wanted.map(async (entry) => [entry.name, await readEntry(repository, entry, maxBytes, signal)] as const),
  );
  return { names: entries.map(({ name }) => name), files: new Map(files) };
}

type TreeEntry = { mode: string; id: string; sizeBytes: number; name: string };

async function listEntries(
  { git, gitDir }: Repository,
  commit: string,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<TreeEntry[] | null> {
  const { exitCode, stdout } = await runGit(
    git,
    [`--git-dir=${gitDir}`, "ls-tree", "-l", "-z", "--full-tree", `${commit}:${folder}`],
    // 128: there is no such folder, or a link or a file of that name.
    { answers: [128], maxOutputBytes: maxListingBytes, ...(signal ? { signal } : {}) },
  );
  if (exitCode !== 0) return null;
  return stdout
    .split("\0")
    .filter((line) => line !== "")
    .map((line) => {
      // "100644 blob ID    SIZE\tNAME"; the size of a folder is "-".
      const tab = line.indexOf("\t");
      const [mode = "", , id = "", size] = line.slice(0, tab).split(/ +/);
      return { mode, id, sizeBytes: Number(size) || 0, name: line.slice(tab + 1) };
    });
}

async function readEntry(
  { git, gitDir }: Repository,
  { mode, id, sizeBytes }: TreeEntry,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | UnreadableEntry> {
  if (mode === "120000") return { unreadable: "link" };
  if (!mode.startsWith("100")) return { unreadable: "no file" };
  if (sizeBytes > maxBytes) return { unreadable: "too large" };
  const chunks: Buffer[] = [];
  await followGit(git, [`--git-dir=${gitDir}`, "cat-file", "blob", id], signal ? { signal } : {}, async (output) => {
    for await (const chunk of output as AsyncIterable<Buffer>) chunks.push(chunk);
  });
  return Buffer.concat(chunks);
}
