import { spawn } from "node:child_process";
import type { CommandDescription } from "../commands/argv.ts";
import { ask, type Server } from "./api-client.ts";
import { cacheKey, readCache, setAge, writeCache } from "./cache.ts";
import type { World } from "./world.ts";

/** How long a server's description is good for: commands come with a new version only. */
const goodForMs = 24 * 60 * 60_000;
/** After this long a description that could not be renewed is tried again. */
const tryAgainMs = 60_000;

/** What the server says it can be asked for. It is kept, for those who cannot wait. */
export async function askCommands(world: World, server: Server, signal: AbortSignal): Promise<CommandDescription[]> {
  const request = { method: "GET", path: "/api/commands" } as const;
  const { commands } = await ask<{ commands: CommandDescription[] }>(server, request, signal);
  await writeCache(world.cache, keyOf(server), commands);
  return commands;
}

/** The same from what is kept, if there is any; an old one is renewed for the next time, and nobody waits for it. */
export async function knownCommands(world: World, server: Server, signal: AbortSignal): Promise<CommandDescription[]> {
  const kept = await readCache<CommandDescription[]>(world.cache, keyOf(server));
  if (kept === undefined) return askCommands(world, server, signal);
  if (kept.ageMs > goodForMs) {
    await setAge(world.cache, keyOf(server), goodForMs - tryAgainMs);
    renewInBackground(world, server);
  }
  return kept.value;
}

function renewInBackground({ self, cwd }: World, server: Server): void {
  const [node = "", ...program] = self;
  const words = [...program, "completion:refresh", "--server", server.url];
  const renewing = spawn(node, words, { cwd, detached: true, stdio: "ignore" });
  renewing.on("error", () => {});
  renewing.unref();
}

function keyOf({ url }: Server): string {
  return cacheKey("commands", url);
}
