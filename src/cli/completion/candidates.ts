import type { CommandDescription } from "../../commands/argv.ts";
import { nameOf, ownCommands } from "../cli.ts";
import { knownCommands } from "../described.ts";
import { findServer, type Where } from "../where.ts";
import type { World } from "../world.ts";
import { answerWithinMs, knownApps, knownFiles, knownRefs, knownServers, knownTypes } from "./known.ts";

/** A word that may stand where the cursor is. */
export type Candidate = { value: string; about: string };

/** As much of a command as completion needs: what may follow it, and its flags. */
type Completable = { name: string; about: string; places: Place[]; flags: CompletableFlag[] };
/** A word of its usage: `APP`, `CHANGES...`. */
type Place = { word: string; takesRest: boolean };
type CompletableFlag = { name: string; short?: string | undefined; takesValue: boolean; about: string };

/**
 * What the last of these words, which is still being typed, may become; the program's own name is not among them. What a
 * shell would read as something else than a plain word is left out: a branch can be called `$(…)`, and Enter is quickly pressed.
 */
export async function candidatesFor(world: World, words: string[]): Promise<Candidate[]> {
  const begun = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const server = typedValue(before, "server");
  const here = server === undefined ? world : { ...world, override: { ...world.override, server } };
  const where = await findServer(here).catch(() => undefined);
  const commands = [...ownCompletable(), ...(await describedCompletable(here, where))];
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
  const { command, plain, openFlag } = readWords(spot.before, spot.commands);
  if (openFlag !== undefined) return valuesFor(spot, placeOfFlag(openFlag), plain);
  if (spot.begun.startsWith("-")) return flagWords(spot, command, plain);
  if (command === undefined) {
    // An unknown word is the server's to explain.
    return plain.length > 0 ? [] : spot.commands.map(({ name, about }) => ({ value: name, about }));
  }
  const isAboutApp = command.places[0]?.word === "APP";
  const folderApp = spot.where?.defaultApp;
  if (!isAboutApp || folderApp === undefined) return valuesAt(spot, command, plain.length, plain);
  if (plain.length === 0) {
    const [apps, next] = await Promise.all([
      valuesAt(spot, command, 0, plain),
      valuesAt(spot, command, 1, [folderApp, ...plain]),
    ]);
    return [...next, ...apps];
  }
  const isNamed = (await appsOf(spot)).includes(plain[0]!);
  const complete = isNamed ? plain : [folderApp, ...plain];
  return valuesAt(spot, command, complete.length, complete);
}

async function flagWords(spot: Spot, command: Completable | undefined, plain: string[]): Promise<Candidate[]> {
  const [, joined] = /^--([\w-]+)=/.exec(spot.begun) ?? [];
  if (joined !== undefined) {
    const prefix = `--${joined}=`;
    const begun = spot.begun.slice(prefix.length);
    const values = await valuesFor({ ...spot, begun }, placeOfFlag(joined), plain);
    return values.map(({ value, about }) => ({ value: prefix + value, about }));
  }
  return [...(command?.flags ?? []), ...everyFlag].map(({ name, about }) => ({ value: `--${name}`, about }));
}

const everyFlag: CompletableFlag[] = [
  { name: "server", takesValue: true, about: "another server than the one in use" },
  { name: "json", takesValue: false, about: "data only, for programs" },
  { name: "help", takesValue: false, about: "explain the command" },
];

// --- What was typed before

/** Tells the command from the words behind it; `openFlag` is one that waits for its value. */
function readWords(
  words: readonly string[],
  commands: Completable[],
): { command?: Completable; plain: string[]; openFlag?: string } {
  let command: Completable | undefined;
  const plain: string[] = [];
  const left = [...words];
  while (left.length > 0) {
    const word = left.shift()!;
    if (word.startsWith("-") && word !== "-") {
      const flag = [...(command?.flags ?? []), ...everyFlag].find(
        ({ name, short }) => word === `--${name}` || word === `-${short}`,
      );
      if (flag?.takesValue && left.shift() === undefined)
        return { ...(command ? { command } : {}), plain, openFlag: flag.name };
    } else if (command === undefined && plain.length === 0) {
      command = commands.find(({ name }) => name === word);
      if (command === undefined) plain.push(word);
    } else plain.push(word);
  }
  return { ...(command ? { command } : {}), plain };
}

function typedValue(words: readonly string[], flag: string): string | undefined {
  const at = words.findIndex((word) => word === `--${flag}` || word.startsWith(`--${flag}=`));
  if (at < 0) return undefined;
  return words[at]!.includes("=") ? words[at]!.slice(flag.length + 3) : words[at + 1];
}

// --- What may come

function valuesAt(spot: Spot, { name, places }: Completable, index: number, plain: string[]): Promise<Candidate[]> {
  const last = places.at(-1);
  const place = places[index] ?? (last?.takesRest ? last : undefined);
  // A new app's name is nobody's yet.
  if (place === undefined || name === "apps:create" || name === "create") return Promise.resolve([]);
  return valuesFor(spot, place.word, plain);
}

/** Values are known by the word that stands for them in a usage. */
async function valuesFor(spot: Spot, place: string, plain: string[]): Promise<Candidate[]> {
  const { world, commands, begun } = spot;
  const plainly = (values: string[], about = "") => values.map((value) => ({ value, about }));
  switch (place) {
    case "APP":
      return plainly(await appsOf(spot), "app");
    case "CHANGES":
      return plainly(
        (await typesOf(spot, plain)).map((type) => `${type}=`),
        "process type",
      );
    case "PROCESS":
      return plainly(await typesOf(spot, plain), "process type");
    case "REF":
      return plainly(await knownRefs(world));
    case "SERVER":
      return plainly(await knownServers(world));
    case "COMMAND":
      return commands.map(({ name, about }) => ({ value: name, about }));
    case "SHELL":
      return plainly(["bash", "zsh", "fish"]);
    case "FILE":
      return plainly(await knownFiles(world, begun));
    default:
      return [];
  }
}

function placeOfFlag(name: string): string {
  return name.toUpperCase();
}

async function appsOf({ world, where }: Spot): Promise<string[]> {
  return where === undefined ? [] : knownApps(world, where.server);
}

async function typesOf({ world, where, before }: Spot, plain: string[]): Promise<string[]> {
  const app = typedValue(before, "app") ?? plain[0] ?? where?.defaultApp;
  return where === undefined || app === undefined ? [] : knownTypes(world, where.server, app);
}

// --- Commands as completion sees them

function ownCompletable(): Completable[] {
  return ownCommands
    .filter(({ hidden }) => !hidden)
    .map((command) => ({
      name: nameOf(command),
      about: command.summary,
      places: placesIn(command.usage),
      flags: [...command.usage.matchAll(/--([a-z-]+)( [A-Z]+)?/g)].map(([, name, value]) => ({
        name: name!,
        takesValue: value !== undefined,
        about: "",
      })),
    }));
}

async function describedCompletable(world: World, where: Where | undefined): Promise<Completable[]> {
  if (where === undefined) return [];
  const signal = AbortSignal.any([world.interrupted, AbortSignal.timeout(answerWithinMs)]);
  const described = await knownCommands(world, where.server, signal).catch((): CommandDescription[] => []);
  return described.flatMap(({ name, aliases, summary, usage, flags }) => {
    const rest = {
      about: summary,
      places: placesIn(usage),
      flags: flags.map((flag) => ({
        name: flag.name,
        short: flag.short,
        takesValue: flag.kind !== "switch",
        about: flag.summary,
      })),
    };
    return [name, ...aliases].map((word) => ({ name: word, ...rest }));
  });
}

/** `ps:scale APP CHANGES...` → APP, CHANGES and all after it. */
function placesIn(usage: string): Place[] {
  const [, ...words] = usage
    .replace(/\[?--[^\]]*\]?/g, "")
    .split(/\s+/)
    .filter((word) => word !== "");
  return words.map((word) => ({ word: word.replace(/[[\].]/g, ""), takesRest: word.includes("...") }));
}
