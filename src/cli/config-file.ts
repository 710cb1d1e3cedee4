import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Answer } from "../commands/command.ts";
import type { Follow } from "../commands/follow.ts";
import { UserError } from "../errors.ts";
import { parseDotenv } from "../model/dotenv.ts";
import { ask, type Server } from "./api-client.ts";
import type { Call } from "./call.ts";
import { drawNote } from "./draw.ts";
import { showAnswer } from "./send-words.ts";
import { exitCodes, type World } from "./world.ts";

type Import = Extract<Follow, { kind: "config:import" }>;
type Vars = Record<string, string>;

/** No app has more config than one process's environment can hold. */
const maxFileBytes = 512 * 1024;

/** `config:import`: reads what only this machine has, and sets it. */
export async function importConfig(call: Call, server: Server, asked: Import): Promise<number> {
  const { world } = call;
  const { appName, as, detach } = asked;
  const vars = as === null ? await readVars(world, asked) : { [as]: await readValue(world, asked, as) };
  const unset = asked.replace ? await namesToUnset(call, server, asked, vars) : [];
  if (unset === "refused") return exitCodes.failed;
  return changeConfig(call, server, { appName, vars, unset, detach });
}

export type ConfigChange = { appName: string; vars: Vars; unset: string[]; detach: boolean };

/** Sets and unsets in one release, and follows that. */
export async function changeConfig(call: Call, server: Server, change: ConfigChange): Promise<number> {
  const { appName: app, vars, unset, detach } = change;
  const words = Object.entries(vars).map(([name, value]) => `${name}=${value}`);
  const [command, input] =
    words.length > 0
      ? ["config:set", { app, vars: words, unset, detach }]
      : ["config:unset", { app, names: unset, detach }];
  const path = `/api/commands/${command}`;
  const answer = await ask<Answer>(server, { method: "POST", path, body: { input } }, call.world.interrupted);
  return showAnswer(call, server, answer);
}

/** @throws UserError with all that is wrong with the file */
async function readVars(world: World, { appName, file }: Import): Promise<Vars> {
  const from = file === "-" ? "standard input" : file;
  if (file === "-" && world.isInteractive) {
    throw new UserError("bad_input", "which file is to be read?", `zyndra config:import ${appName} .env`);
  }
  const { vars, faults, warnings } = parseDotenv(await readInput(world, file));
  for (const warning of warnings) drawNote(world, "warning", `${from}, ${warning}`);
  if (faults.length > 0) throw notUsable(from, faults);
  if (Object.keys(vars).length > 0) return vars;
  throw new UserError("bad_input", `${from} sets nothing`, "it holds lines such as LOG_LEVEL=debug");
}

/** So many are shown; who mends them sees the next ones. */
const shownFaults = 20;

/** What is wrong with a file of config vars, all at once. */
export function notUsable(from: string, faults: string[]): UserError {
  const shown = faults.slice(0, shownFaults).map((fault) => `\n  ${fault}`);
  const more = faults.length > shownFaults ? `\n  and ${faults.length - shownFaults} more` : "";
  const hint = "a line is NAME=value; a value of several lines stands in quotes";
  return new UserError("bad_input", `${from} cannot be used; nothing was changed${shown.join("")}${more}`, hint);
}

/** A value on its own: typed without being shown, or the whole of a file without the line break at its end. */
async function readValue(world: World, { file }: Import, name: string): Promise<string> {
  if (file === "-" && world.isInteractive) {
    const { askSecret } = await import("./prompt.ts");
    return askSecret(world, `Value of ${name} (it is not shown): `);
  }
  return (await readInput(world, file)).replace(/\r?\n$/, "");
}

/** @throws UserError where it is not there, too large, or no text */
async function readInput(world: World, file: string): Promise<string> {
  const bytes = file === "-" ? await readAll(world.stdin) : await readNamed(resolve(world.cwd, file), file);
  const from = file === "-" ? "standard input" : file;
  if (bytes.length > maxFileBytes) throw new UserError("too_large", `${from} is larger than 512 kB`);
  try {
    // A mark at the beginning is the parser's to take off: in a value it may be meant.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UserError("bad_input", `${from} is not text in UTF-8`);
  }
}

async function readNamed(path: string, file: string): Promise<Buffer> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    const why = { ENOENT: "is not there", EISDIR: "is a folder", EACCES: "may not be read" }[error.code ?? ""];
    throw new UserError("not_found", `${file} ${why ?? `cannot be read (${error.code})`}`);
  });
}

async function readAll(stdin: NodeJS.ReadStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of stdin as AsyncIterable<Buffer | string>) {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    sizeBytes += bytes.length;
    chunks.push(bytes);
    if (sizeBytes > maxFileBytes) break;
  }
  return Buffer.concat(chunks);
}

/** What is set and not in the file, once somebody has agreed to lose it. @throws UserError where nobody can be asked */
async function namesToUnset(
  { world }: Call,
  server: Server,
  { appName, file, confirm }: Import,
  vars: Vars,
): Promise<string[] | "refused"> {
  const body = { input: { app: appName } };
  const request = { method: "POST", path: "/api/commands/config:list", body } as const;
  const { data } = await ask<{ data: { name: string; origin: string | null }[] }>(server, request, world.interrupted);
  const names = data.flatMap(({ name, origin }) => (origin === null && !(name in vars) ? [name] : []));
  if (names.length === 0 || confirm === appName) return names;
  const warning = `This unsets on ${appName}: ${names.join(", ")}.`;
  if (!world.isInteractive || file === "-") {
    throw new UserError("conflict", warning, `if that is meant, add: --confirm ${appName}`);
  }
  const { askForWord } = await import("./prompt.ts");
  return (await askForWord(world, { warning, type: appName })) ? names : "refused";
}
