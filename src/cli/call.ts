import { UserError } from "../errors.ts";
import type { World } from "./world.ts";

/** One use of the program: its words without the flags that hold for all commands. */
export type Call = { world: World; words: string[] /** Data only, for programs. */; asJson: boolean };

type FlagKinds = Record<string, "switch" | "text">;
type FlagValues<Kinds extends FlagKinds> = { [Name in keyof Kinds]?: Kinds[Name] extends "switch" ? true : string };

/**
 * Takes `--name`, `--name value` and `--name=value` out of the words before a `--`.
 * @throws UserError bad_input for a flag without its value, and for an unknown one unless others are left
 */
export function takeFlags<Kinds extends FlagKinds>(
  words: readonly string[],
  kinds: Kinds,
  others: "leave others" | "refuse others" = "refuse others",
): { words: string[]; flags: FlagValues<Kinds> } {
  const flags: Record<string, string | true> = {};
  const plain: string[] = [];
  const left = [...words];
  while (left.length > 0) {
    const word = left.shift()!;
    if (word === "--") {
      plain.push(...(others === "leave others" ? [word] : []), ...left.splice(0));
      break;
    }
    const [, name = "", joined] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === "switch" && joined === undefined) flags[name] = true;
    else if (kind === "text") flags[name] = joined ?? left.shift() ?? missingValue(name);
    else if (others === "refuse others" && word.startsWith("-") && word !== "-")
      throw unknownFlag(words[0]!, word, kinds);
    else plain.push(word);
  }
  return { words: plain, flags: flags as FlagValues<Kinds> };
}

function missingValue(name: string): never {
  throw new UserError("bad_input", `--${name} needs a value`);
}

function unknownFlag(command: string, word: string, kinds: FlagKinds): UserError {
  const names = Object.keys(kinds).map((name) => `--${name}`);
  const hint = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
  return new UserError("bad_input", `${command} has no flag ${word.split("=")[0]}`, hint);
}

/** The words of one of this program's own commands. @throws UserError bad_input where there are too few or too many */
export function exactly(words: readonly string[], least: number, most: number, usage: string): string[] {
  const [, ...given] = words;
  if (given.length < least) throw new UserError("bad_input", `${words[0]} needs more words`, `usage: zyndra ${usage}`);
  if (given.length > most)
    throw new UserError("bad_input", `${words[0]} has no place for "${given[most]}"`, `usage: zyndra ${usage}`);
  return given;
}
