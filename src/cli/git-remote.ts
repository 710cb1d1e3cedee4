import { execFile } from "node:child_process";
import type { Renamed } from "../commands/command.ts";
import { UserError } from "../errors.ts";
import { ask, type Server } from "./api-client.ts";
import { type Call, exactly, takeFlags } from "./call.ts";
import { drawNote } from "./draw.ts";
import { readNamedApp } from "./named-app.ts";
import { loadSettings, parseServerUrl } from "./settings.ts";
import { findWhere, readRemote } from "./where.ts";
import { exitCodes, type World } from "./world.ts";

const shortFlags: Record<string, string> = { "-a": "--app", "-r": "--remote" };

/** `git:remote APP`: the remote `zyndra` or another, and this program as the one who answers git's question for a password there. */
export async function addRemote({ world, words }: Call): Promise<number> {
  const { words: plain, flags } = takeFlags(
    words.map((word) => shortFlags[word] ?? word),
    { app: "text", remote: "text" },
  );
  const remote = flags.remote ?? "zyndra";
  const [word] = exactly(plain, 0, 1, "git:remote APP");
  const { server, defaultApp } = await findWhere(world);
  const app = flags.app ?? word ?? defaultApp;
  if (app === undefined) throw new UserError("bad_input", "which app?", "usage: zyndra git:remote APP");
  const branch = await currentBranch(world);
  const path = `/api/apps/${encodeURIComponent(app)}`;
  const { name } = await ask<{ name: string }>(server, { method: "GET", path }, world.interrupted);

  const url = `${server.url}/${name}.git`;
  const before = await git(world, ["config", "--local", "--get", `remote.${remote}.url`]).catch(() => undefined);
  await git(world, before === undefined ? ["remote", "add", remote, url] : ["remote", "set-url", remote, url]);
  await setHelper(world, new URL(server.url).origin);
  const was = before === undefined || before === url ? "" : ` (it was ${before})`;
  world.stdout.write(`The remote ${remote} is ${url}${was}; git asks for no password there.\n`);
  drawNote(
    world,
    "hint",
    `git push ${remote} ${branch === "main" ? "main" : `${branch}:main`} deploys what is committed`,
  );
  if (remote !== "zyndra")
    drawNote(world, "hint", `only a remote called zyndra makes this folder ${name}'s: elsewhere add -a ${name}`);
  return exitCodes.ok;
}

/** Takes this folder along when its app gets another name: its remote, where that is the app's. */
export async function followRename({ world, asJson }: Call, server: Server, { from, to }: Renamed): Promise<void> {
  const remote = await readRemote(world.cwd);
  if (remote?.url === server.url && remote.app === from) {
    try {
      const before = await git(world, ["config", "--get", "remote.zyndra.url"]);
      await git(world, ["remote", "set-url", "zyndra", before.replace(/[^/]+\/?$/, `${to}.git`)]);
      if (!asJson) world.stdout.write(`The remote zyndra of this folder is ${server.url}/${to}.git now.\n`);
    } catch (error) {
      drawNote(world, "warning", `the remote zyndra of this folder is still ${from}'s: ${(error as Error).message}`);
    }
  }
  const named = await readNamedApp(world.cwd);
  if (named?.app === from) drawNote(world, "hint", `${named.path} still names ${from}: write name: ${to}`);
}

/** Replaces whatever helpers the machine has, for this address and this repository only: an empty one clears the list. */
async function setHelper(world: World, origin: string): Promise<void> {
  const key = `credential.${origin}.helper`;
  await git(world, ["config", "--local", "--replace-all", key, ""]);
  await git(world, ["config", "--local", "--add", key, helperCommand(world)]);
}

/** A line for git's shell. Under npx the program lies in a cache that may be gone by then: npx finds it again. */
function helperCommand({ self }: World): string {
  const isCached = self.some((word) => /[\\/]_npx[\\/]/.test(word));
  const program = isCached ? ["npx", "--yes", "zyndra"] : self;
  return `!${program.map(shellWord).join(" ")} git:credential`;
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/**
 * `git:credential get`: git's protocol for helpers (gitcredentials(7)): facts as `key=value` lines, answered alike. Silent
 * where there is nothing to say, so that git goes on to ask by itself.
 */
export async function answerGit({ world, words }: Call): Promise<number> {
  const asked = words[1];
  const { readPiped } = await import("./prompt.ts");
  const facts = new Map((await readPiped(world.stdin)).split("\n").map((line) => splitAt(line, "=")));
  const origin = `${facts.get("protocol")}://${facts.get("host")}`;
  if (asked === "get") {
    const token = await tokenFor(world, origin);
    if (token !== undefined) world.stdout.write(`username=zyndra\npassword=${token}\n`);
    else drawNote(world, "hint", `this machine has no token for ${origin}: zyndra login ${origin}`);
  }
  // git says so when the token was refused.
  if (asked === "erase") drawNote(world, "hint", `${origin} refused this machine's token: zyndra login ${origin}`);
  return exitCodes.ok;
}

async function tokenFor(world: World, origin: string): Promise<string | undefined> {
  const { servers, current } = await loadSettings(world.configFolder);
  const here = (url: string) => new URL(url).origin === origin;
  const { token } = world.override;
  const chosen = world.override.url === undefined ? current : parseServerUrl(world.override.url);
  if (token !== undefined && chosen !== undefined && here(chosen)) return token;
  return Object.entries(servers).find(([url]) => here(url))?.[1].token;
}

function splitAt(line: string, separator: string): [string, string] {
  const at = line.indexOf(separator);
  return at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1)];
}

/** @throws UserError where the current folder is in no repository */
async function currentBranch(world: World): Promise<string> {
  try {
    return await git(world, ["symbolic-ref", "--short", "-q", "HEAD"]);
  } catch {
    const isRepository = await git(world, ["rev-parse", "--git-dir"]).catch(() => undefined);
    if (isRepository !== undefined) return "HEAD";
    throw new UserError(
      "conflict",
      `${world.cwd} is not in a git repository`,
      "git init -b main, commit what is there, then try again",
    );
  }
}

function git(world: World, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile("git", args, { cwd: world.cwd, timeout: 10_000 }, (error, stdout, stderr) => {
      if (!error) resolve(stdout.trim());
      else if ((error as NodeJS.ErrnoException).code === "ENOENT")
        reject(new UserError("unavailable", "git is not installed on this machine"));
      else
        reject(new UserError("unavailable", `git ${args[0]} failed: ${stderr.trim().split("\n")[0] ?? error.message}`));
    });
  });
}
