import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Follow } from "../commands/follow.ts";
import { UserError } from "../errors.ts";
import { formatDotenv, parseDotenv } from "../model/dotenv.ts";
import { ask, type Server } from "./api-client.ts";
import type { Call } from "./call.ts";
import { changeConfig, notUsable } from "./config-file.ts";
import { drawNote } from "./draw.ts";
import { askForWord, askLine } from "./prompt.ts";
import { exitCodes, type World } from "./world.ts";

type Edit = Extract<Follow, { kind: "config:edit" }>;
type Vars = Record<string, string>;

/** `config:edit`: what is set, in the person's own editor; what they have changed is set in one release. */
export async function editConfig(call: Call, server: Server, { appName, detach }: Edit): Promise<number> {
  const { world } = call;
  if (!world.isInteractive) {
    throw new UserError("bad_input", "config:edit needs a terminal", `zyndra config:import ${appName} FILE needs none`);
  }
  const body = { input: { app: appName, reveal: true } };
  const request = { method: "POST", path: "/api/commands/config:export", body } as const;
  const { data } = await ask<{ data: { vars: Vars } }>(server, request, world.interrupted);
  const before = data.vars;
  const after = await edited(world, appName, before);
  const set = Object.keys(after).filter((name) => after[name] !== before[name]);
  const unset = Object.keys(before).filter((name) => !(name in after));
  if (set.length + unset.length === 0) {
    world.stdout.write("Nothing was changed.\n");
    return exitCodes.ok;
  }
  const [changed, added] = [set.filter((name) => name in before), set.filter((name) => !(name in before))];
  for (const [sign, names] of [
    ["+", added],
    ["~", changed],
    ["-", unset],
  ] as const) {
    for (const name of names) world.stdout.write(`  ${sign} ${name}\n`);
  }
  const warning = `This unsets on ${appName}: ${unset.join(", ")}.`;
  if (unset.length > 0 && !(await askForWord(world, { warning, type: appName }))) return exitCodes.failed;
  const vars = Object.fromEntries(set.map((name) => [name, after[name]!]));
  return changeConfig(call, server, { appName, vars, unset, detach });
}

/** Opens the editor, again while what it saves cannot be used. @throws Interrupted */
async function edited(world: World, appName: string, before: Vars): Promise<Vars> {
  const folder = await mkdtemp(join(tmpdir(), "zyndra-config-"));
  const file = join(folder, `${appName}.env`);
  try {
    await writeFile(file, head(appName) + formatDotenv(before), { mode: 0o600 });
    for (;;) {
      await runEditor(world, file);
      const { vars, faults, warnings } = parseDotenv(await readFile(file, "utf8"));
      for (const warning of warnings) drawNote(world, "warning", warning);
      if (faults.length === 0) return vars;
      drawNote(world, "error", notUsable("what was saved", faults).message);
      await askLine(world, "Enter opens it again; Ctrl-C leaves everything as it is: ");
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const head = (appName: string) =>
  `# The config vars of ${appName}. What is changed, added or removed here is released when you save and leave.\n`;

/** @throws UserError where it cannot be started, or ends as editors do when they are to change nothing */
async function runEditor(world: World, file: string): Promise<void> {
  const [program = "vi", ...words] = (world.editor ?? "vi").split(/\s+/).filter(Boolean);
  const code = await new Promise<number | null>((ended, failed) => {
    const editor = spawn(program, [...words, file], { stdio: "inherit" });
    editor.on("error", failed);
    editor.on("exit", ended);
  }).catch((error: NodeJS.ErrnoException) => {
    const hint = "EDITOR names another program: EDITOR=nano zyndra config:edit …";
    throw new UserError("unavailable", `the editor ${program} cannot be started (${error.code})`, hint);
  });
  if (code !== 0) throw new UserError("conflict", `${program} ended with ${code ?? "a signal"}; nothing was changed`);
}
