import { randomBytes } from "node:crypto";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../../log.ts";
import { slugFolder } from "../../model/image.ts";
import { restartRevision } from "../../model/process-types.ts";
import { parseSlugManifest, type SlugManifest, slugManifestFile } from "../../model/slug.ts";
import type { ReleaseSpec } from "../runtime.ts";
import { processEnvironment } from "./environment.ts";
import { type KeeperLimits, prepareFolder, startInstance } from "./instance.ts";
import { claimPort, releasePort } from "./ports.ts";
import { type DesiredProcess, processFolder, readIfThere } from "./state.ts";

/** What every part of the local runtime stands on. */
export type Ground = {
  dataDir: string;
  slugsDir: string;
  log: Log;
  /** Apps are reached at NAME.baseDomain. */
  baseDomain: string;
  /** Where the platform's own Node lies. */
  nodeDir: string;
  drainTimeoutMs: number;
  /** A process that is no web is healthy after being up for this long. */
  settleMs: number;
  /** A web process that listens on other ports alone for this long fails. */
  wrongPortMs: number;
  limits: KeeperLimits;
};

/** `dir` is where its commands run. */
export type Slug = { dir: string; manifest: SlugManifest };

/** The slug of a release, or undefined if its files are gone. */
export async function findSlug(ground: Ground, spec: ReleaseSpec): Promise<Slug | undefined> {
  const dir = slugFolder(ground.slugsDir, spec.image);
  const text = await readIfThere(join(dir, slugManifestFile));
  if (text === undefined) return undefined;
  const manifest = parseSlugManifest(text);
  // The real path, as programs name their files by it.
  return { dir: await realpath(join(dir, manifest.root ?? "")), manifest };
}

/** A process that is about to be started: with an id of its own, a folder, and a port if it is a web process. */
export async function newProcess(
  ground: Ground,
  { appId, restarts = {} }: ReleaseSpec,
  { name, type }: { name: string; type: string },
): Promise<DesiredProcess> {
  const id = `${name}-${randomBytes(6).toString("hex")}`;
  // The folder first: a port whose owner has no folder counts as lost.
  await prepareFolder(ground.dataDir, appId, id);
  const process = { id, name, type, revision: restartRevision(restarts, { name, type }) };
  return type === "web" ? { ...process, port: await claimPort(ground.dataDir, appId, id) } : process;
}

export async function startProcess(
  ground: Ground,
  spec: ReleaseSpec,
  slug: Slug,
  process: DesiredProcess,
): Promise<void> {
  const { id, name, type, port } = process;
  const command = spec.processTypes[type]?.command;
  if (command === undefined) throw new Error(`release v${spec.version} has no process type ${type}`);
  const env = processEnvironment({
    spec,
    slugDir: slug.dir,
    manifest: slug.manifest,
    processName: name,
    folder: processFolder(ground.dataDir, spec.appId, id),
    port,
    nodeDir: ground.nodeDir,
  });
  const facts = { id, appId: spec.appId, name, type, releaseId: spec.releaseId, version: spec.version, port };
  const limits = { ...ground.limits, stopGraceMs: spec.stopGraceMs?.[type] ?? ground.limits.stopGraceMs };
  try {
    await startInstance(ground.dataDir, facts, { command, cwd: slug.dir, env }, limits);
  } catch (error) {
    if (port !== undefined) await releasePort(ground.dataDir, port);
    throw error;
  }
}
