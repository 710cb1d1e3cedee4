import { lstat, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type FileContent, maxFileBytes } from "../model/app-file/file-text.ts";
import {
  type AppFiles,
  appFilesOf,
  type FilesOfFolder,
  readZyndraYml,
  wantedFiles,
} from "../model/app-file/read-app-files.ts";

/** The files of an app as they lie in a folder of this machine, read as a push would read them. */
export async function readAppFolder(folder: string): Promise<AppFiles> {
  const top = await readFolder(folder);
  if (!top) throw new Error(`${folder} is no folder`);
  const { said } = readZyndraYml(appFilesOf(top, top));
  const root = said.build?.root;
  return appFilesOf(top, root === undefined ? top : await readFolder(join(folder, root)));
}

/** What a push takes: the top of the repository that a folder lies in; outside of one the folder itself. */
export async function topOf(cwd: string): Promise<string> {
  for (let folder = cwd; folder !== dirname(folder); folder = dirname(folder)) {
    if (await lstat(join(folder, ".git")).catch(() => undefined)) return folder;
  }
  return cwd;
}

async function readFolder(folder: string): Promise<FilesOfFolder | null> {
  const names = await readdir(folder).catch(() => undefined);
  if (!names) return null;
  const found = wantedFiles.filter((name) => names.includes(name));
  const files = await Promise.all(found.map(async (name) => [name, await readContent(join(folder, name))] as const));
  return { names, files: new Map(files) };
}

async function readContent(path: string): Promise<FileContent> {
  const facts = await lstat(path);
  if (facts.isSymbolicLink()) return { unreadable: "link" };
  if (!facts.isFile()) return { unreadable: "no file" };
  return facts.size > maxFileBytes ? { unreadable: "too large" } : readFile(path);
}
