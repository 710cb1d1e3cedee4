import { findServer, type Where } from "../where.ts";
import type { World } from "../world.ts";
import { type Completable, type CompletableFlag, completableCommands } from "./completable.ts";
import { type Asked, appsFor, placeOfFlag, valuesFor } from "./values.ts";

/** A word that may stand where the cursor is. */
export type Candidate = { value: string; about: string };

/**
 * What the last of these words, which is still being typed, may become; the program's own name is not among them. What a
 * shell would read as something else than a plain word is left out: a branch can be called `$(…)`, and Enter is quickly pressed.
 */
export async function candidatesFor(world: World, words: string[]): Promise<Candidate[]> {
  const begun = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const server = readFlag(before, "--server");
  const here = server === undefined ? world : { ...world, override: { ...world.override, server } };
  const where = await findServer(here).catch(() => undefined);
  const commands = await completableCommands(here, where);
  const found = await wordsAt({ world: here, where, commands, begun, before });
  return found.filter(({ value }) => value.startsWith(begun) && /^[\w@%+=:,./-]+$/.test(value));
}

type Spot = {
  world: World;
  where: Where | undefined;
  commands: Completable[];
  begun: string;
  before: string[];
};

async function wordsAt(spot: Spot): Promise<Candidate[]> {
  const line = readLine(spot.before, spot.commands);
  const { command, plain, openFlag } = line;
  const named = readFlag(spot.before, "--app") ?? readFlag(spot.before, "-a");
  const app = named ?? plain[0] ?? spot.where?.defaultApp;
  const asked: Asked = { ...spot, command, app };
  if (openFlag !== undefined) return valuesFor(placeOfFlag(openFlag), asked);
  if (spot.begun.startsWith("-")) return flagWords(asked);
  if (command === undefined) {
    // An unknown word is the server's to explain.
    return plain.length > 0 ? [] : spot.commands.map(({ word, about }) => ({ value: word, about }));
  }
  if (command.places[0]?.word !== "APP") return valuesAt(command, plain.length, asked);
  if (named !== undefined) return valuesAt(command, plain.length + 1, asked);
  return valuesBehindApp(command, plain, asked);
}

/** In a folder that has an app, that may be left out: what comes first may be an app, or what follows one. */
async function valuesBehindApp(command: Completable, plain: string[], asked: Asked): Promise<Candidate[]> {
  const folderApp = asked.where?.defaultApp;
  if (folderApp === undefined) return valuesAt(command, plain.length, asked);
  if (plain.length === 0) {
    const next = valuesAt(command, 1, { ...asked, app: folderApp });
    return [...(await next), ...(await valuesAt(command, 0, asked))];
  }
  const isNamed = (await appsFor(asked)).includes(plain[0]!);
  if (isNamed) return valuesAt(command, plain.length, asked);
  return valuesAt(command, plain.length + 1, { ...asked, app: folderApp });
}

async function valuesAt({ name, places }: Completable, index: number, asked: Asked): Promise<Candidate[]> {
  const last = places.at(-1);
  const place = places[index] ?? (last?.takesRest ? last : undefined);
  // The name of what is to be made is nobody's yet.
  const isNew = name.endsWith(":create") && (place?.word === "NAME" || name === "apps:create");
  return place === undefined || isNew ? [] : valuesFor(place.word, asked);
}

async function flagWords(asked: Asked): Promise<Candidate[]> {
  const { command, begun } = asked;
  const [prefix, name] = /^--([\w-]+)=/.exec(begun) ?? [];
  if (prefix === undefined)
    return [...(command?.flags ?? []), ...everyFlag].map((flag) => ({ value: `--${flag.name}`, about: flag.about }));
  const values = await valuesFor(placeOfFlag(name!), { ...asked, begun: begun.slice(prefix.length) });
  return values.map(({ value, about }) => ({ value: prefix + value, about }));
}

const everyFlag: CompletableFlag[] = [
  { name: "server", takesValue: true, about: "another server than the one in use" },
  { name: "json", takesValue: false, about: "data only, for programs" },
  { name: "help", takesValue: false, about: "explain the command" },
];

type Line = {
  command: Completable | undefined;
  /** The words behind it that are no flags. */
  plain: string[];
  /** A flag that waits for its value. */
  openFlag: string | undefined;
};

/** Tells what was typed apart. */
function readLine(words: readonly string[], commands: Completable[]): Line {
  const line: Line = { command: undefined, plain: [], openFlag: undefined };
  const left = [...words];
  while (left.length > 0) {
    const word = left.shift()!;
    if (word.startsWith("-") && word !== "-") {
      const flags = [...(line.command?.flags ?? []), ...everyFlag];
      const flag = flags.find(({ name, short }) => word === `--${name}` || word === `-${short}`);
      if (flag?.takesValue && left.shift() === undefined) line.openFlag = flag.name;
    } else if (line.command === undefined && line.plain.length === 0) {
      line.command = commands.find((command) => command.word === word);
      if (line.command === undefined) line.plain.push(word);
    } else line.plain.push(word);
  }
  return line;
}

/** The value of a flag, as `--flag VALUE` or `--flag=VALUE`. */
function readFlag(words: readonly string[], flag: string): string | undefined {
  const at = words.findIndex((word) => word === flag || word.startsWith(`${flag}=`));
  const word = words[at];
  return word === flag ? words[at + 1] : word?.slice(flag.length + 1);
}
