import { UserError } from "../errors.ts";
import { type Call, exactly, takeFlags } from "./call.ts";
import { type Candidate, candidatesFor } from "./completion/candidates.ts";
import { howToInstall, type Shell, scriptFor, shells } from "./completion/scripts.ts";
import { askCommands } from "./described.ts";
import { paint } from "./draw.ts";
import { findServer } from "./where.ts";
import { exitCodes } from "./world.ts";

/** `completion SHELL`: the script that makes a shell complete words; without a shell, how to have it. */
export async function printScript({ world, words }: Call): Promise<number> {
  const [shell] = exactly(takeFlags(words, {}).words, 0, 1, "completion SHELL");
  if (shell !== undefined) {
    world.stdout.write(scriptFor(asShell(shell)));
    return exitCodes.ok;
  }
  world.stdout.write(
    "The Tab key completes commands, flags, apps, branches and more, once the shell has been told how.\n",
  );
  for (const name of shells) {
    world.stdout.write(`\n${paint(world.stdout, "bold", name)}\n`);
    for (const line of howToInstall[name]) world.stdout.write(`  ${line}\n`);
  }
  return exitCodes.ok;
}

/** `completion:candidates SHELL -- WORDS`: what the last word may become, as a shell's script asks for it at the Tab key. */
export async function printCandidates({ world, words }: Call): Promise<number> {
  const [, shell = "", , ...typed] = words;
  for (const candidate of await candidatesFor(world, typed))
    world.stdout.write(`${drawCandidate(asShell(shell), candidate)}\n`);
  return exitCodes.ok;
}

/** `completion:refresh`: renews what is kept of a server's description. */
export async function refresh({ world }: Call): Promise<number> {
  await askCommands(world, (await findServer(world)).server, world.interrupted);
  return exitCodes.ok;
}

function drawCandidate(shell: Shell, { value, about }: Candidate): string {
  const said = about.replace(/[\x00-\x1f\x7f-\x9f]/g, " ");
  switch (shell) {
    case "bash":
      return value;
    case "fish":
      return said === "" ? value : `${value}\t${said}`;
    case "zsh": {
      // A value that is not complete yet gets no space behind it; a colon ends the value, unless it is escaped.
      const mark = /[=/]$/.test(value) ? "o" : "s";
      return `${mark}${value.replaceAll(":", "\\:")}${said === "" ? "" : `:${said}`}`;
    }
  }
}

function asShell(word: string): Shell {
  const shell = shells.find((name) => name === word);
  if (shell !== undefined) return shell;
  throw new UserError(
    "bad_input",
    `"${word}" is not a shell that can be told how to complete`,
    `these can: ${shells.join(", ")}`,
  );
}
