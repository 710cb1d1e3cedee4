import { execFile } from "node:child_process";
import { UserError } from "../errors.ts";
import type { Server } from "./api-client.ts";
import { loadSettings, parseServerUrl, type Settings } from "./settings.ts";
import type { World } from "./world.ts";

/** What a line of words is about, where the words do not say it: the server, and the folder's app. */
export type Where = { server: Server; defaultApp: string | undefined };

/**
 * The server: ZYNDRA_URL wins; else the one that this folder's remote points to, if it is known here; else the one logged
 * in to last. The folder's app counts only together with its server.
 * @throws UserError where there is no server, or no token for it
 */
export async function findWhere(world: World): Promise<Where & { server: Server & { token: string } }> {
  const { server, defaultApp } = await findServer(world);
  if (server.token !== undefined) return { server: { ...server, token: server.token }, defaultApp };
  throw new UserError("unauthenticated", `this machine has no token for ${server.url}`, `zyndra login ${server.url}`);
}

/** Like findWhere, also where nobody is logged in yet. */
export async function findServer(world: World): Promise<Where> {
  const [settings, remote] = await Promise.all([loadSettings(world.configFolder), readRemote(world.cwd)]);
  const url = world.override.url === undefined ? knownServer(settings, remote) : parseServerUrl(world.override.url);
  if (url === undefined) {
    throw new UserError(
      "unauthenticated",
      "this machine is not logged in anywhere",
      "zyndra login URL with a token; on a new Zyndra: zyndra setup URL CODE",
    );
  }
  // A token in the environment goes with the address in it, or with the server in use: never to whichever a folder names.
  const isMeant = world.override.url !== undefined || url === settings.current;
  const token = (isMeant ? world.override.token : undefined) ?? settings.servers[url]?.token;
  const defaultApp = world.override.app ?? (remote?.url === url ? remote.app : undefined);
  return { server: { url, token, version: world.version }, defaultApp };
}

function knownServer(settings: Settings, remote: Remote | undefined): string | undefined {
  return remote && settings.servers[remote.url] ? remote.url : settings.current;
}

type Remote = { url: string; app: string };

/** Server and app of the remote `zyndra` of the current folder, if it is in a repository that has one. */
async function readRemote(cwd: string): Promise<Remote | undefined> {
  const text = await new Promise<string>((resolve) => {
    execFile("git", ["config", "--get", "remote.zyndra.url"], { cwd, timeout: 5_000 }, (error, stdout) => {
      resolve(error ? "" : stdout.trim());
    });
  });
  const [, server, app] = /^(https?:\/\/.+)\/([^/]+?)(?:\.git)?\/?$/.exec(text) ?? [];
  if (server === undefined || app === undefined) return undefined;
  try {
    return { url: parseServerUrl(server.replace(/^(https?:\/\/)[^/@]*@/, "$1")), app };
  } catch {
    return undefined;
  }
}
