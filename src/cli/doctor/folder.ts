import type { Check, Finding } from "../../checks.ts";
import { ask, Refusal, Unreachable } from "../api-client.ts";
import { readRemote, type Where } from "../where.ts";
import type { World } from "../world.ts";
import { askProgram } from "./programs.ts";

/** Whether a push from this folder will find its way. */
export function folderChecks(world: World, where: Where | undefined): Check[] {
  return [
    { name: "remote", look: (signal) => lookAtRemote(world, where, signal) },
    ...(where?.server.token !== undefined && where.defaultApp !== undefined
      ? [{ name: "app", look: () => lookAtApp(world, where, where.defaultApp!) }]
      : []),
    ...(where?.server.token !== undefined && where.defaultAppFrom === "the remote zyndra"
      ? [{ name: "git's password", look: (signal: AbortSignal) => lookAtPassword(world, where, signal) }]
      : []),
  ];
}

async function lookAtRemote(world: World, where: Where | undefined, signal: AbortSignal): Promise<Finding> {
  const { cwd } = world;
  const { ok } = await askProgram("git", ["rev-parse", "--git-dir"], { cwd, signal });
  if (!ok) return { verdict: "ok", text: "this folder is in no git repository" };
  const remote = await readRemote(cwd);
  if (remote === undefined)
    return { verdict: "ok", text: "this repository has no remote zyndra; zyndra git:remote APP adds it" };
  const text = `zyndra is ${remote.app} at ${remote.url}`;
  if (where?.server.url === remote.url && where.server.token !== undefined) return { verdict: "ok", text };
  return {
    verdict: "warning",
    text: `${text}, and commands of this folder do not go there`,
    hint: `zyndra login ${remote.url}, or zyndra git:remote APP for another server`,
  };
}

async function lookAtApp(world: World, { server, defaultAppFrom }: Where, app: string): Promise<Finding> {
  const path = `/api/apps/${encodeURIComponent(app)}`;
  try {
    const { name, url } = await ask<{ name: string; url: string }>(server, { method: "GET", path }, world.interrupted);
    return { verdict: "ok", text: `${name} (from ${defaultAppFrom}), at ${url}` };
  } catch (error) {
    if (error instanceof Unreachable)
      return { verdict: "warning", text: `whether ${app} is there, only its server knows` };
    if (!(error instanceof Refusal)) throw error;
    const hint = `zyndra git:remote APP points the remote at another one; ${defaultAppFrom} names ${app}`;
    return { verdict: "fault", text: error.message, hint };
  }
}

/** Asks git as a push would, but for the person at the terminal. */
async function lookAtPassword(world: World, { server, defaultApp }: Where, signal: AbortSignal): Promise<Finding> {
  const { protocol, host } = new URL(server.url);
  const quietly = ["GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=true", "SSH_ASKPASS=true", "git", "credential", "fill"];
  const { out } = await askProgram("env", quietly, {
    cwd: world.cwd,
    signal,
    input: `protocol=${protocol.slice(0, -1)}\nhost=${host}\n\n`,
  });
  const [, password] = /^password=(.+)$/m.exec(out) ?? [];
  if (password === server.token) return { verdict: "ok", text: "git gets it from this program" };
  return {
    verdict: "fault",
    text: password === undefined ? "git gets none, and would ask for it" : "git gets another one from somewhere else",
    hint: `zyndra git:remote ${defaultApp} sets it up again`,
  };
}
