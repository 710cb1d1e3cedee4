import { createHash } from "node:crypto";
import { lstat, mkdir, readdir, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { appHome, type VolumeMount } from "../../model/addons.ts";
import type { Cause } from "../../model/cause.ts";
import { parseSlugFiles, slugFilesFile, unnamedFolder } from "../../model/slug.ts";
import { namesIn, readIfThere } from "./state.ts";
import { volumeFolder } from "./volumes.ts";

/** What an app's files and its volumes are linked by: where they lie, and which volumes there are. */
export type Mounts = { dataDir: string; slugDir: string; volumes: readonly VolumeMount[] };

/** In a slug, a file for each link that was made in it: links of the commit's own are never touched. */
const marksFolder = ".zyndra-volumes";

/** In a slug, what the app itself had written where a link is now: as below any mount, it is seen again once that is gone. */
const coveredFolder = ".zyndra-covered";

/** `covered` says in a sentence each what the app had written where a volume is now. */
export type Linked = { ok: true; covered: string[] } | { ok: false; cause: Cause };

/**
 * An app's own folder is `/app` elsewhere and its slug here, so what is mounted below `/app` becomes a link in the slug. Files
 * of the build in a link's place refuse it. Safe to run again; links of other volumes stay as they are.
 */
export async function linkVolumes({ dataDir, slugDir, volumes }: Mounts): Promise<Linked> {
  const places = linkedPlaces(volumes);
  for (const place of places) {
    const cause = await findInTheWay(slugDir, place);
    if (cause) return { ok: false, cause };
  }
  const covered: string[] = [];
  for (const place of places) {
    const kept = await makeLink(dataDir, slugDir, place);
    if (kept !== undefined) covered.push(coveredSentence(place, kept));
  }
  return { ok: true, covered };
}

/** Whether volumes are linked into these files. */
export async function hasLinks(slugDir: string): Promise<boolean> {
  return (await namesIn(join(slugDir, marksFolder))).length > 0;
}

/**
 * Takes away the links of volumes that are mounted no more. What they covered is there again, or else an empty folder: a
 * program that looked for it at its start finds it still.
 */
export async function unlinkOthers({ slugDir, volumes }: Omit<Mounts, "dataDir">): Promise<void> {
  const wanted = new Set(linkedPlaces(volumes).map(({ path }) => path));
  for (const mark of await namesIn(join(slugDir, marksFolder))) {
    const path = Buffer.from(mark, "base64url").toString("utf8");
    if (wanted.has(path)) continue;
    const link = join(slugDir, path);
    const kind = await kindOf(link);
    if (kind === "link") await rm(link);
    if (kind === "link" || kind === "nothing") await uncover(slugDir, path);
    await rm(join(slugDir, marksFolder, mark), { force: true });
  }
}

/** `path` is relative to the slug. */
type Place = { addonId: string; name: string; path: string };

function linkedPlaces(volumes: readonly VolumeMount[]): Place[] {
  return volumes.flatMap(({ addonId, name, path }) =>
    path.startsWith(`${appHome}/`) ? [{ addonId, name, path: path.slice(appHome.length + 1) }] : [],
  );
}

/**
 * What keeps a link from its place: files of the build, or something else than a folder on the way there, which could lead out
 * of the slug. An empty folder gives way, and so does what the app has written itself.
 */
async function findInTheWay(slugDir: string, place: Place): Promise<Cause | undefined> {
  const { path } = place;
  for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
    const parent = path.slice(0, end);
    const kind = await kindOf(join(slugDir, parent));
    if (kind === "nothing") return undefined;
    if (kind !== "folder") return inTheWayCause(place, parent);
  }
  const kind = await kindOf(join(slugDir, path));
  if (kind === "nothing" || (kind === "link" && (await isMarked(slugDir, path)))) return undefined;
  if (kind === "folder" && (await isEmpty(join(slugDir, path)))) return undefined;
  return (await isBuilt(slugDir, path)) ? inTheWayCause(place, path) : undefined;
}

/** Whether the build has left files at this path or below it; so it is where that was not written down. */
async function isBuilt(slugDir: string, path: string): Promise<boolean> {
  const text = await readIfThere(join(slugDir, slugFilesFile));
  if (text === undefined || path.split("/").includes(unnamedFolder)) return true;
  return parseSlugFiles(text).some(
    (file) => file === path || (file.startsWith(`${path}/`) && !placeholders.includes(basename(file))),
  );
}

/** Answers where the files are kept that the app had written there, if there were any. */
async function makeLink(dataDir: string, slugDir: string, { addonId, path }: Place): Promise<string | undefined> {
  const link = join(slugDir, path);
  const target = volumeFolder(dataDir, addonId);
  const kind = await kindOf(link);
  if (kind === "link" && (await readlink(link)) === target) return undefined;
  const isOurs = kind === "link" && (await isMarked(slugDir, path));
  await mkdir(join(slugDir, marksFolder), { recursive: true, mode: 0o700 });
  await writeFile(join(slugDir, marksFolder, markOf(path)), "");
  await mkdir(dirname(link), { recursive: true });
  const kept = kind === "nothing" || isOurs ? undefined : await cover(slugDir, path);
  // Renamed into place: where there was a link, there is one at every moment.
  const made = join(slugDir, marksFolder, `.${markOf(path)}-${process.pid}-${performance.now()}`);
  await symlink(target, made);
  await rename(made, link);
  const isWorthTelling = kept && !((await kindOf(kept)) === "folder" && (await isEmpty(kept)));
  return isWorthTelling ? kept.slice(slugDir.length + 1) : undefined;
}

/** Renamed, never removed: between a look and the next step, the app may write. */
async function cover(slugDir: string, path: string): Promise<string> {
  await mkdir(join(slugDir, coveredFolder), { recursive: true, mode: 0o700 });
  const name = coveredName(path);
  const isTaken = (await kindOf(join(slugDir, coveredFolder, name))) !== "nothing";
  const kept = join(slugDir, coveredFolder, isTaken ? `${name}-${Date.now()}` : name);
  await rename(join(slugDir, path), kept);
  return kept;
}

async function uncover(slugDir: string, path: string): Promise<void> {
  const place = join(slugDir, path);
  // The app may have taken away or replaced the folder around it.
  if ((await kindOf(dirname(place))) !== "folder") return;
  const kept = join(slugDir, coveredFolder, coveredName(path));
  if ((await kindOf(kept)) === "nothing") await mkdir(place, { mode: 0o700 });
  else await rename(kept, place);
}

/** One folder's name has 255 bytes at most, and is written with a time where it is taken: a path that is too long for that has a hash in its place. */
function coveredName(path: string): string {
  const readable = encodeURIComponent(path);
  return readable.length <= 200 ? readable : createHash("sha256").update(path).digest("hex");
}

function coveredSentence({ name, path }: Place, kept: string): string {
  return `what the app had written to ${path} stays in ${kept}; volume ${name} is mounted in its place`;
}

function inTheWayCause({ name, path }: Place, found: string): Cause {
  return {
    headline: `the release has files in ${found}, where volume ${name} is mounted`,
    detail: `${appHome}/${path}`,
    hint: `take them out of the commit (git rm -r --cached ${found}), or attach the volume elsewhere: zyndra volumes:attach ${name} --mount PATH, once it is detached`,
  };
}

const markOf = (path: string) => Buffer.from(path, "utf8").toString("base64url");

async function isMarked(slugDir: string, path: string): Promise<boolean> {
  return (await kindOf(join(slugDir, marksFolder, markOf(path)))) !== "nothing";
}

/** Git keeps no empty folders, so people put a file in them that says so. */
const placeholders = [".gitkeep", ".keep"];

async function isEmpty(folder: string): Promise<boolean> {
  return (await readdir(folder)).every((name) => placeholders.includes(name));
}

async function kindOf(path: string): Promise<"nothing" | "folder" | "link" | "other"> {
  try {
    const facts = await lstat(path);
    return facts.isSymbolicLink() ? "link" : facts.isDirectory() ? "folder" : "other";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return "nothing";
    throw error;
  }
}
