import { realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Check, Finding } from "../../checks.ts";
import { UserError } from "../../errors.ts";
import { loadSettings, settingsPath } from "../settings.ts";
import type { World } from "../world.ts";
import { askProgram, findOnPath } from "./programs.ts";

/** What the command line itself needs. */
export function machineChecks(world: World): Check[] {
  return [
    { name: "node", look: (signal) => lookAtNode(world, signal) },
    { name: "command", look: () => lookAtCommand(world) },
    { name: "git", look: (signal) => lookAtGit(world, signal) },
    { name: "settings", look: () => lookAtSettings(world) },
  ];
}

async function lookAtNode({ cwd }: World, signal: AbortSignal): Promise<Finding> {
  const { out } = await askProgram("node", ["--version"], { cwd, signal });
  const own = `v${process.versions.node}`;
  const started = out === "" ? "no other is on the path" : out === own ? "as on the path" : `started by ${out}`;
  return { verdict: "ok", text: `Zyndra runs on Node ${own} (${process.execPath}), ${started}` };
}

/** Whether what the shell finds under this name is this very program. */
async function lookAtCommand({ calledAs, searchPath, self, version }: World): Promise<Finding> {
  const folder = join(dirname(dirname(dirname(self[1]!))), "bin");
  if (calledAs !== "zyndra") return { verdict: "ok", text: `${version}, called by npx` };
  const found = await findOnPath("zyndra", searchPath);
  if (found === undefined) {
    const hint = `export PATH="${folder}:$PATH" in your shell's start file`;
    return { verdict: "warning", text: "the shell finds no zyndra on its path", hint };
  }
  const [there, here] = await Promise.all(
    [found, join(folder, "zyndra")].map((path) => realpath(path).catch(() => path)),
  );
  if (there === here) return { verdict: "ok", text: `zyndra ${version} (${found})` };
  const hint = `remove one of them, or put ${folder} first: export PATH="${folder}:$PATH"`;
  return { verdict: "warning", text: `the shell finds another zyndra (${there}), this is ${here}`, hint };
}

async function lookAtGit({ cwd }: World, signal: AbortSignal): Promise<Finding> {
  const { ran, ok, out } = await askProgram("git", ["--version"], { cwd, signal });
  if (ran && ok) return { verdict: "ok", text: out.replace(/^git version/, "git") };
  return {
    verdict: "fault",
    text: ran ? "git does not start" : "git is not installed: nothing can be pushed",
    hint: "on Debian: apt-get install git",
  };
}

/** The file holds tokens: nobody else may read it. */
async function lookAtSettings({ configFolder }: World): Promise<Finding> {
  const path = settingsPath(configFolder);
  const facts = await stat(path).catch(() => undefined);
  try {
    const count = Object.keys((await loadSettings(configFolder)).servers).length;
    if (facts === undefined || count === 0)
      return { verdict: "ok", text: "nobody is logged in on this machine yet: zyndra login URL" };
    const text = `${path} knows ${count === 1 ? "1 server" : `${count} servers`}`;
    if ((facts.mode & 0o077) === 0) return { verdict: "ok", text };
    return { verdict: "warning", text: `${text}, and others of this machine can read it`, hint: `chmod 600 ${path}` };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { verdict: "fault", text: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
  }
}
