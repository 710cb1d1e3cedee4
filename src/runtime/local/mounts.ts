import { lstat, mkdir, readdir, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { appHome, type VolumeMount } from "../../model/addons.ts";
import type { Cause } from "../../model/cause.ts";
import { namesIn } from "./state.ts";
import { volumeFolder } from "./volumes.ts";

/** What an app's files and its volumes are linked by: where they lie, and which volumes there are. */
export type Mounts = { dataDir: string; slugDir: string; volumes: readonly VolumeMount[] };

/** In a slug, a file for each link that was made in it: links of the commit's own are never touched. */
const marksFolder = ".zyndra-volumes";

/**
 * An app's own folder is `/app` elsewhere and its slug here, so what is mounted below `/app` becomes a link in the slug. Answers
 * what is in the way, if something is. Safe to run again; links of other volumes stay as they are.
 */
export async function linkVolumes({ dataDir, slugDir, volumes }: Mounts): Promise<Cause | undefined> {
  const places = linkedPlaces(volumes);
  for (const place of places) {
    const inTheWay = await findInTheWay(slugDir, place);
    if (inTheWay !== undefined) return inTheWayCause(place, inTheWay);
  }
  for (const place of places) await makeLink(dataDir, slugDir, place);
  return undefined;
}

/**
 * Takes away the links of volumes that are mounted no more. An empty folder takes the place of each: a program that looked for
 * it at its start finds it still.
 */
export async function unlinkOthers({ slugDir, volumes }: Omit<Mounts, "dataDir">): Promise<void> {
  const wanted = new Set(linkedPlaces(volumes).map(({ path }) => path));
  for (const mark of await namesIn(join(slugDir, marksFolder))) {
    const path = Buffer.from(mark, "base64url").toString("utf8");
    if (wanted.has(path)) continue;
    if ((await kindOf(join(slugDir, path))) === "link") {
      await rm(join(slugDir, path));
      await mkdir(join(slugDir, path), { mode: 0o700 });
    }
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
 * The path of what keeps a link from its place: files of the commit, or something else than a folder on the way there, which
 * could lead out of the slug. An empty folder gives way.
 */
async function findInTheWay(slugDir: string, { path }: Place): Promise<string | undefined> {
  for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
    const parent = path.slice(0, end);
    const kind = await kindOf(join(slugDir, parent));
    if (kind === "nothing") return undefined;
    if (kind !== "folder") return parent;
  }
  const kind = await kindOf(join(slugDir, path));
  if (kind === "nothing" || (kind === "link" && (await isMarked(slugDir, path)))) return undefined;
  return kind === "folder" && (await isEmpty(join(slugDir, path))) ? undefined : path;
}

async function makeLink(dataDir: string, slugDir: string, { addonId, path }: Place): Promise<void> {
  const link = join(slugDir, path);
  const target = volumeFolder(dataDir, addonId);
  const kind = await kindOf(link);
  if (kind === "link" && (await readlink(link)) === target) return;
  await mkdir(join(slugDir, marksFolder), { recursive: true, mode: 0o700 });
  await writeFile(join(slugDir, marksFolder, markOf(path)), "");
  await mkdir(dirname(link), { recursive: true });
  if (kind === "folder") await rm(link, { recursive: true, force: true });
  // Renamed into place: where there was a link, there is one at every moment.
  const made = join(slugDir, marksFolder, `.${markOf(path)}-${process.pid}-${performance.now()}`);
  await symlink(target, made);
  await rename(made, link);
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
async function isEmpty(folder: string): Promise<boolean> {
  return (await readdir(folder)).every((name) => name === ".gitkeep" || name === ".keep");
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
