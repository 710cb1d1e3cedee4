import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ask, type Server } from "../api-client.ts";
import { type Cache, cacheKey, dropCache, readCache, writeCache } from "../cache.ts";
import { loadSettings } from "../settings.ts";
import type { World } from "../world.ts";

/** Who presses a key waits no longer than this for the server. */
export const answerWithinMs = 1_000;
const goodForMs = 60_000;

/** The apps that this person may see. */
export function knownApps(world: World, server: Server): Promise<string[]> {
  return fromServer(world, server, { key: appsKey(server), command: "apps:list", input: {} }, namesIn);
}

/** The process types of an app. */
export function knownTypes(world: World, server: Server, app: string): Promise<string[]> {
  const key = cacheKey("types", server.url, idOf(server), app);
  const typesIn = (data: unknown) => Object.keys((data as { formation: object }).formation);
  return fromServer(world, server, { key, command: "ps:list", input: { app } }, typesIn);
}

/** What a listing calls its rows. */
export function knownRows(world: World, server: Server, command: string, app: string | undefined): Promise<string[]> {
  const key = cacheKey("rows", server.url, idOf(server), command, app ?? "");
  return fromServer(world, server, { key, command, input: app === undefined ? {} : { app } }, namesIn);
}

/** Names, labels, or the versions of releases; nothing else of a listing is kept. */
function namesIn(data: unknown): string[] {
  const rows = data as { name?: string; label?: string; version?: number }[];
  return rows.map(({ name, label, version }) => name ?? label ?? `v${version}`);
}

/** Apps come and go by commands; who has typed one means what is there now. */
export function forgetApps(cache: Cache, server: Server): Promise<void> {
  return dropCache(cache, appsKey(server));
}

export async function knownServers({ configFolder }: World): Promise<string[]> {
  const { servers } = await loadSettings(configFolder);
  return Object.keys(servers).map((url) => url.replace(/^https?:\/\//, ""));
}

/** What can be deployed from this folder: its branches and tags, the newest first. */
export function knownRefs({ cwd }: World): Promise<string[]> {
  const args = ["for-each-ref", "--sort=-committerdate", "--format=%(refname:short)", "refs/heads", "refs/tags"];
  return new Promise((resolve) => {
    execFile("git", args, { cwd, timeout: answerWithinMs }, (error, out) => {
      resolve(error ? [] : out.split("\n").filter((name) => name !== ""));
    });
  });
}

/** The files that a begun path may become; a folder ends with a slash. */
export async function knownFiles({ cwd }: World, begun: string): Promise<string[]> {
  const folder = begun.endsWith("/") ? begun : dirname(`${begun}.`);
  const entries = await readdir(join(cwd, folder), { withFileTypes: true }).catch(() => []);
  const shown = entries.filter(({ name }) => !name.startsWith(".") || begun.endsWith(`/${name[0]}`));
  const prefix = begun.slice(0, begun.lastIndexOf("/") + 1);
  return shown.map((entry) => `${prefix}${entry.name}${entry.isDirectory() ? "/" : ""}`).sort();
}

/** Asks, unless that was done a moment ago; a server that is slow or away is as good as what it said last. */
async function fromServer(
  { cache, interrupted }: World,
  server: Server,
  { key, command, input }: { key: string; command: string; input: object },
  wordsIn: (data: unknown) => string[],
): Promise<string[]> {
  const kept = await readCache<string[]>(cache, key);
  if (kept && kept.ageMs < goodForMs) return kept.value;
  if (server.token === undefined) return kept?.value ?? [];
  try {
    const request = { method: "POST", path: `/api/commands/${encodeURIComponent(command)}`, body: { input } } as const;
    const signal = AbortSignal.any([interrupted, AbortSignal.timeout(answerWithinMs)]);
    const { data } = await ask<{ data: unknown }>(server, request, signal);
    const words = wordsIn(data);
    await writeCache(cache, key, words);
    return words;
  } catch {
    return kept?.value ?? [];
  }
}

function appsKey(server: Server): string {
  return cacheKey("apps", server.url, idOf(server));
}

/** A token's id is no secret: it tells whose answers these are. */
function idOf({ token = "" }: Server): string {
  return /^zyp_([0-9A-Za-z]+)_/.exec(token)?.[1] ?? "";
}
