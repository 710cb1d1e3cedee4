import { execFile } from "node:child_process";
import { UserError } from "../errors.ts";
import type { Server } from "./api-client.ts";
import { readNamedApp } from "./named-app.ts";
import { findKnown, loadSettings, parseServerUrl, type Settings } from "./settings.ts";
import type { World } from "./world.ts";

/** What a line of words is about, where the words do not say it: the server, and the folder's app. */
export type Where = {
  server: Server;
  defaultApp: string | undefined;
  /** What named it: for those who wonder. */
  defaultAppFrom: "ZYNDRA_APP" | "the remote zyndra" | "zyndra.yml" | undefined;
};

/**
 * The server: `--server` wins, then ZYNDRA_URL; else the one that this folder's remote points to, if it is known here; else
 * the one in use. The app: ZYNDRA_APP, then the remote's, if its server is the one that is meant, then what `zyndra.yml` names.
 * @throws UserError where there is no server, or no token for it
 */
export async function findWhere(world: World): Promise<Where & { server: Server & { token: string } }> {
  const { server, ...where } = await findServer(world);
  if (server.token !== undefined) return { ...where, server: { ...server, token: server.token } };
  throw new UserError("unauthenticated", `this machine has no token for ${server.url}`, `zyndra login ${server.url}`);
}

/** Like findWhere, also where nobody is logged in yet. */
export async function findServer(world: World): Promise<Where> {
  const [settings, remote] = await Promise.all([loadSettings(world.configFolder), readRemote(world.cwd)]);
  const url = meantUrl(world, settings, remote);
  if (url === undefined) {
    throw new UserError(
      "unauthenticated",
      "this machine is not logged in anywhere",
      "zyndra login URL with a token; on a new Zyndra: zyndra setup URL CODE",
    );
  }
  const server = { url, token: tokenFor(world, settings, url), version: world.version };
  return { server, ...(await findApp(world, remote?.url === url ? remote.app : undefined)) };
}

function meantUrl({ override }: World, settings: Settings, remote: Remote | undefined): string | undefined {
  if (override.server !== undefined) return findKnown(settings, override.server) ?? parseServerUrl(override.server);
  if (override.url !== undefined) return parseServerUrl(override.url);
  return remote && settings.servers[remote.url] ? remote.url : settings.current;
}

/**
 * A token in the environment goes with the address in it, or with the server in use: never to whichever a folder names, and
 * to one that was typed only where nothing else is known for it.
 */
function tokenFor({ override }: World, settings: Settings, url: string): string | undefined {
  const stored = settings.servers[url]?.token;
  if (override.url !== undefined) return (parseServerUrl(override.url) === url ? override.token : undefined) ?? stored;
  if (url === settings.current) return override.token ?? stored;
  return stored ?? (override.server === undefined ? undefined : override.token);
}

async function findApp(
  world: World,
  ofRemote: string | undefined,
): Promise<Pick<Where, "defaultApp" | "defaultAppFrom">> {
  if (world.override.app !== undefined) return { defaultApp: world.override.app, defaultAppFrom: "ZYNDRA_APP" };
  if (ofRemote !== undefined) return { defaultApp: ofRemote, defaultAppFrom: "the remote zyndra" };
  const named = await readNamedApp(world.cwd);
  return { defaultApp: named?.app, defaultAppFrom: named && "zyndra.yml" };
}

type Remote = { url: string; app: string };

/** Server and app of the remote `zyndra` of the current folder, if it is in a repository that has one. */
export async function readRemote(cwd: string): Promise<Remote | undefined> {
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
