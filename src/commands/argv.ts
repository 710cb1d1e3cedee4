import type { z } from "zod";
import { UserError } from "../errors.ts";
import { AppName, appNamePattern, clip, nearest, noAppCalled } from "../model/names.ts";
import type { Command, Flag } from "./command.ts";
import { answerTo, answerToFlag, commandMeant, type ToType } from "./elsewhere.ts";
import { splitLeading } from "./leading-flags.ts";

export type WordOptions = {
  commands: readonly Command[];
  /** The app of the folder in which the words were typed, or of the channel. */
  defaultApp?: string | undefined;
  appNames(): Promise<readonly string[]>;
  /** Words that the door itself understands, so that a slip of the pen finds them too. */
  doorCommands?: readonly string[];
};

export type ParsedWords = {
  command: Command;
  input: Record<string, unknown>;
  /** What `--confirm` was given, on a command that asks first. */
  confirmed?: string;
};

/**
 * Typed words become a command and its input: `["ps:scale", "shop", "web=2"]`. Fields are checked by the command itself.
 * Which app is meant: `--app` wins; else the first word where it is an app's name; else the default app; else the first word.
 * @throws UserError bad_input for an unknown command or flag, and for words that have no place.
 */
export async function parseWords(words: readonly string[], options: WordOptions): Promise<ParsedWords> {
  const { leading, words: fromCommand } = splitLeading(words);
  const { typed, command, rest } = await commandMeantBy(fromCommand, options);
  const sorted = await sortWords(command, [...leading, ...rest], options);
  await refuseOtherThanApp({ typed, command, rest, ...sorted }, options);
  const placed = await placeWords({ typed, command, ...sorted }, options);
  const { confirm, ...flags } = sorted.flags;
  if (!command.confirm || confirm === undefined) return { command, input: { ...sorted.flags, ...placed } };
  return { command, input: { ...flags, ...placed }, confirmed: String(confirm) };
}

/** What a door needs to show help: the same for everyone, no secrets in it. */
export type CommandDescription = {
  name: string;
  aliases: string[];
  summary: string;
  /** `ps:scale APP CHANGES...` */
  usage: string;
  flags: { name: string; short?: string; kind: Flag["kind"]; summary: string }[];
  examples: string[];
  needs: string;
  /** Whether it asks before it is done. */
  confirm: boolean;
};

export function describeCommands(commands: readonly Command[]): CommandDescription[] {
  return commands.map((command) => ({
    name: command.name,
    aliases: command.aliases ?? [],
    summary: command.summary,
    usage: usageOf(command),
    flags: flagsOf(command)
      .filter(({ flag }) => !flag.isHidden)
      .map(({ name, flag }) => ({
        name,
        ...(flag.short === undefined ? {} : { short: flag.short }),
        kind: flag.kind,
        summary: flag.summary,
      })),
    examples: command.examples,
    needs: command.needs,
    confirm: command.confirm !== undefined,
  }));
}

// --- The command

type MeantCommand = { typed: string; command: Command; rest: string[] };

/**
 * The command, also under a name from elsewhere, and also with a space where a colon belongs: `config set shop A=1`. An app
 * called `set` wins over that.
 * @throws UserError bad_input, with what to type instead
 */
async function commandMeantBy(words: readonly string[], options: WordOptions): Promise<MeantCommand> {
  const [typed, ...rest] = words;
  if (typed === undefined) throw new UserError("bad_input", "no command was given", "zyndra help lists what there is");
  const command = commandCalled(typed, options.commands);
  const [first, ...others] = rest;
  const mayBeJoined = first !== undefined && /^[a-z]/.test(first) && !typed.includes(":");
  if (mayBeJoined && !(command && (await takesWord(command, first, options)))) {
    const joined = `${typed}:${first}`;
    const spaced = commandCalled(joined, options.commands);
    if (spaced) return { typed: joined, command: spaced, rest: others };
    const answer = answerTo(joined);
    if (answer) throw await answered(`${typed} ${first}`, answer, others, options);
  }
  if (command) return { typed, command, rest };
  const answer = answerTo(typed);
  throw answer
    ? await answered(typed, answer, rest, options)
    : unknownCommand(words, await options.appNames(), options);
}

function commandCalled(word: string, commands: readonly Command[]): Command | undefined {
  const called = (name: string) => commands.find((command) => command.name === name || command.aliases?.includes(name));
  return called(word) ?? called(commandMeant(word) ?? "");
}

/** Whether a command can do something with its first word, so that it is no part of the command's name. */
async function takesWord({ words }: Command, word: string, options: WordOptions): Promise<boolean> {
  if (words.literalRest) return true;
  return words.positional[0] === "app" ? isApp(word, options) : words.positional.length > 0;
}

/** A sentence about something that is otherwise here, with a line to type about the app that was meant. */
async function answered(typed: string, answer: ToType, rest: string[], options: WordOptions): Promise<UserError> {
  const app = await appMeant(rest, options);
  const hint = answer.type?.replace(/\bAPP\b/, app ?? "APP");
  return new UserError("bad_input", `there is no "${clip(typed)}" here: ${answer.say}`, hint);
}

async function isApp(word: string, { appNames }: WordOptions): Promise<boolean> {
  return (await appNames()).includes(word);
}

async function appMeant(words: string[], options: WordOptions): Promise<string | undefined> {
  for (const word of words) {
    const name = word.replace(/^--app=/, "");
    if (await isApp(name, options)) return name;
  }
  return options.defaultApp;
}

// --- Flags

type NamedFlag = { field: string; name: string; flag: Flag };

const appFlag: NamedFlag = { field: "app", name: "app", flag: { kind: "text", short: "a", summary: "the app" } };
const confirmFlag: NamedFlag = {
  field: "confirm",
  name: "confirm",
  flag: { kind: "text", short: "c", summary: "answers the question in advance, with the word it asks for" },
};

/** The flags of a command: its own, `--app` where it takes one, `--confirm` where it asks first. */
function flagsOf(command: Command): NamedFlag[] {
  const own = Object.entries(command.words.flags ?? {}).map(([field, flag]) => ({
    field,
    name: kebab(field),
    flag: flag!,
  }));
  const shared = [...(takesApp(command) ? [appFlag] : []), ...(command.confirm ? [confirmFlag] : [])];
  const added = shared.filter(({ field }) => !own.some((each) => each.field === field));
  const taken = new Set(own.map(({ flag }) => flag.short));
  return [...own, ...added.map((each) => (taken.has(each.flag.short) ? withoutShort(each) : each))];
}

function withoutShort({ field, name, flag }: NamedFlag): NamedFlag {
  return { field, name, flag: { kind: flag.kind, summary: flag.summary } };
}

type SortedWords = { flags: Record<string, unknown>; plain: string[] };

/** Tells flags from plain words; after `--`, and from where a literal rest begins, all words are plain. */
async function sortWords(command: Command, words: readonly string[], options: WordOptions): Promise<SortedWords> {
  const sorted: SortedWords = { flags: {}, plain: [] };
  const left = [...words];
  while (left.length > 0) {
    const word = left.shift()!;
    if (word === "--") sorted.plain.push(...left.splice(0));
    else if (word.startsWith("--")) takeLongFlag(command, word, left, sorted);
    else if (/^-[^-]/.test(word)) takeShortFlags(command, word, left, sorted);
    else if (await beginsLiteralRest(command, word, sorted, options)) sorted.plain.push(word, ...left.splice(0));
    else sorted.plain.push(word);
  }
  return sorted;
}

/** Whether a plain word is the first of a rest whose flags are another program's. */
async function beginsLiteralRest(
  command: Command,
  word: string,
  { flags, plain }: SortedWords,
  options: WordOptions,
): Promise<boolean> {
  const { positional, literalRest } = command.words;
  if (!literalRest) return false;
  const isAppSaid = await isAppFirst(command, flags, plain[0] ?? word, options);
  const wordsBefore = positional.length - 1 - (isAboutApp(command) && !isAppSaid ? 1 : 0);
  return plain.length >= wordsBefore;
}

/** `--num 50`, `--num=50`, `--tail` */
function takeLongFlag(command: Command, word: string, left: string[], sorted: SortedWords): void {
  const at = word.indexOf("=");
  const name = at < 0 ? word.slice(2) : word.slice(2, at);
  const value = at < 0 ? undefined : word.slice(at + 1);
  const named = flagsOf(command).find((each) => isCalled(each, name));
  if (!named) throw unknownFlag(command, `--${name}`, sorted);
  sorted.flags[named.field] = flagValue(named, `--${named.name}`, value, left);
}

/** A letter takes one hyphen. */
function isCalled({ name, field, flag }: NamedFlag, word: string): boolean {
  return name === word || field === word || (word.length > 1 && flag.also?.includes(word) === true);
}

/** `-t`, `-n 50`, `-n50`, `-tn 50` */
function takeShortFlags(command: Command, word: string, left: string[], sorted: SortedWords): void {
  for (let at = 1; at < word.length; at++) {
    const letter = word[at]!;
    const named = flagsOf(command).find((each) => each.flag.short === letter || each.flag.also?.includes(letter));
    if (!named) throw unknownFlag(command, `-${letter}`, sorted);
    const joined = word.slice(at + 1).replace(/^=/, "");
    if (named.flag.kind === "switch" || joined === "") {
      sorted.flags[named.field] = flagValue(named, `-${letter}`, undefined, left);
    } else {
      sorted.flags[named.field] = flagValue(named, `-${letter}`, joined, left);
      return;
    }
  }
}

function flagValue({ flag }: NamedFlag, shown: string, joined: string | undefined, left: string[]): unknown {
  if (flag.kind === "switch") {
    if (joined === undefined || joined === "true") return true;
    if (joined === "false") return false;
    throw new UserError("bad_input", `${shown} takes no value`, `${shown}: ${flag.summary}`);
  }
  const next = left[0];
  const value = joined ?? (next === undefined || /^-./.test(next) ? undefined : left.shift());
  if (value === undefined) {
    const example = flag.kind === "number" ? `${shown} 50` : `${shown} VALUE`;
    throw new UserError("bad_input", `${shown} needs a value, such as ${example}`, `${shown}: ${flag.summary}`);
  }
  if (flag.kind === "text") return value;
  if (!/^\d{1,9}$/.test(value)) {
    throw new UserError("bad_input", `${shown} needs a number, not "${clip(value)}"`, `for example: ${shown} 50`);
  }
  return Number(value);
}

function unknownFlag(command: Command, shown: string, { flags: given, plain }: SortedWords): UserError {
  const said = `${command.name} has no flag ${clip(shown)}`;
  const answer = answerToFlag(command.name, shown.replace(/^--?/, ""));
  if (answer) {
    const app = clip(String(given.app ?? (isAboutApp(command) ? plain[0] : undefined) ?? "APP"));
    const without = plain.length > 0 ? line([command.name, ...plain]) : `zyndra ${usageOf(command)}`;
    return new UserError(
      "bad_input",
      `${said}: ${answer.say}`,
      answer.type?.replace(/\bAPP\b/, app) ?? `leave it out: ${without}`,
    );
  }
  const flags = flagsOf(command);
  const near = shown.startsWith("--")
    ? nearest(
        shown.slice(2),
        flags.map((each) => each.name),
      )
    : undefined;
  const meant = near === undefined ? "" : `. Did you mean --${near}?`;
  const list = flags.map(({ name, flag }) => (flag.short ? `--${name} (-${flag.short})` : `--${name}`)).join(", ");
  return new UserError(
    "bad_input",
    `${said}${meant}`,
    list === "" ? `${command.name} takes no flags` : `it has ${list}`,
  );
}

// --- Plain words

type WordsOfCommand = SortedWords & { typed: string; command: Command };

async function placeWords(said: WordsOfCommand, options: WordOptions): Promise<Record<string, unknown>> {
  const { command, plain } = said;
  const fields: string[] = [...command.words.positional];
  const words = [...plain];
  const input: Record<string, unknown> = {};
  let appWasGuessed = false;
  if (isAboutApp(command) && !(await isAppFirst(command, said.flags, words[0], options))) {
    fields.shift();
    appWasGuessed = said.flags.app === undefined;
    if (appWasGuessed) input.app = options.defaultApp;
  } else if (said.flags.app !== undefined && fields.includes("app")) {
    fields.splice(fields.indexOf("app"), 1);
  }
  for (const [index, field] of fields.entries()) {
    const takesRest = command.words.rest === true && index === fields.length - 1;
    if (words.length > 0) input[field] = takesRest ? words.splice(0) : words.shift();
  }
  if (words.length > 0) throw tooManyWords(said, words, appWasGuessed ? await options.appNames() : undefined, options);
  if (takesApp(command) && isAboutExistingApp(command) && said.flags.app === undefined && options.defaultApp) {
    input.app ??= options.defaultApp;
  }
  return input;
}

/** Whether the first plain word names the app: `--app` and the folder's app may say it as well. */
async function isAppFirst(
  command: Command,
  flags: Record<string, unknown>,
  first: string | undefined,
  options: WordOptions,
): Promise<boolean> {
  if (flags.app !== undefined) return false;
  if (options.defaultApp === undefined || !isAboutExistingApp(command)) return true;
  return first !== undefined && (await isApp(first, options));
}

/**
 * Where nothing says which app is meant, and the words cannot say it either, that is what is asked: not what would be missing
 * if the first word were an app. A good name that no app has is left to the command, which says so.
 * @throws UserError bad_input, with the line to type
 */
async function refuseOtherThanApp(
  { typed, command, rest, flags, plain }: WordsOfCommand & { rest: string[] },
  options: WordOptions,
): Promise<void> {
  const [first] = plain;
  const [, ...fields] = command.words.positional;
  const mayNameApp = isAboutApp(command) && isAboutExistingApp(command);
  if (typed === "status" && first === undefined && flags.app === undefined && options.defaultApp === undefined) {
    const hint = "zyndra status APP; whether Zyndra itself is in order: zyndra doctor";
    throw new UserError("bad_input", "which app?", hint);
  }
  if (!mayNameApp || first === undefined || flags.app !== undefined || options.defaultApp !== undefined) return;
  const names = await options.appNames();
  if (names.includes(first)) return;
  const isComplete = plain.length > fields.filter((field) => !mayBeLeftOut(command, field)).length;
  if (appNamePattern.test(first)) {
    const isProgram = command.words.literalRest === true;
    if (fields.length === 0 || (isComplete && !isProgram)) return;
    if (nearest(first, names) !== undefined && (isComplete || !isProgram)) throw noSuchApp(first, names);
  }
  const app = names.length === 1 ? names[0]! : "APP";
  throw new UserError("bad_input", "which app?", line([typed, "-a", app, ...rest]));
}

function noSuchApp(word: string, names: readonly string[], hint = "zyndra apps lists what there is"): UserError {
  return new UserError("bad_input", noAppCalled(word, names), hint);
}

/** Also finds a slip in what was typed with a space where a colon belongs: `config sett A=1`. */
function tooManyWords(
  { typed, command, plain }: WordsOfCommand,
  left: string[],
  appNames: readonly string[] | undefined,
  options: WordOptions,
): UserError {
  const [first = "", ...others] = plain;
  const topic = `${typed}:`;
  const ofTopic = options.commands.flatMap(({ name }) => (name.startsWith(topic) ? [name.slice(topic.length)] : []));
  const near = nearest(first, ofTopic);
  if (near !== undefined) {
    const meant = line([topic + near, ...others]);
    return new UserError("bad_input", `${typed} does not take "${clip(first)}". Did you mean: ${meant}`);
  }
  const usage = `usage: zyndra ${usageOf(command)}`;
  // One word more than there are places for without an app: the first was to be one.
  if (appNames && left.length === 1) {
    return noSuchApp(first, appNames, `zyndra apps lists what there is; without one it is about ${options.defaultApp}`);
  }
  return new UserError("bad_input", `${command.name} has no place for "${clip(left[0]!)}"`, usage);
}

/** These are about a whole platform and take no words: never guessed from a line that has some. */
const aboutPlatform = new Set(["start", "stop", "recover"]);

/** The nearest command is shown complete, as it would have to be typed. */
function unknownCommand(words: readonly string[], appNames: readonly string[], options: WordOptions): UserError {
  const [typed = "", ...rest] = words;
  if (appNames.includes(typed)) return appFirst(typed, rest, options);
  const said = `there is no command "${clip(typed)}"`;
  const called = options.commands.flatMap((command) => [command.name, ...(command.aliases ?? [])]);
  const doorCommands = (options.doorCommands ?? []).filter((word) => rest.length === 0 || !aboutPlatform.has(word));
  const near = nearest(typed, [...called, ...doorCommands]);
  if (near === undefined) return new UserError("bad_input", said, "zyndra help lists what there is");
  const name = commandCalled(near, options.commands)?.name ?? near;
  return new UserError(
    "bad_input",
    `${said}. Did you mean: ${line([near, ...rest])}${name === near ? "" : `   (${name})`}`,
  );
}

/** `shop ps`: the app and the command have changed places. */
function appFirst(app: string, [command, ...rest]: string[], options: WordOptions): UserError {
  const said = `"${app}" is an app, and the command comes first`;
  const isCommand =
    command !== undefined && (commandCalled(command, options.commands) ?? answerTo(command)) !== undefined;
  const isDoors = command !== undefined && options.doorCommands?.includes(command) && !aboutPlatform.has(command);
  if (!isCommand && !isDoors) return new UserError("bad_input", said, `zyndra apps:info ${app}`);
  return new UserError("bad_input", `${said}. Did you mean: ${line([command, app, ...rest])}`);
}

/** A line that can be typed. What looks like a config var keeps its value to itself: lines end up in logs and channels. */
function line(words: readonly string[]): string {
  return ["zyndra", ...words.slice(0, 12).map(shownWord)].join(" ");
}

function shownWord(word: string): string {
  const named = /^([A-Z_][A-Z0-9_]*)=/.exec(word);
  if (named) return `${named[1]}=…`;
  const short = clip(word);
  return /^[\w@%+=:,./^~-]+$/.test(short) ? short : `'${short.replaceAll("'", "'\\''")}'`;
}

/** `ps:scale APP CHANGES...`; what may be left out stands in brackets. */
function usageOf(command: Command): string {
  const { positional, rest } = command.words;
  const words = positional.map((field, index) => {
    const takesRest = rest === true && index === positional.length - 1;
    const shown = kebab(field).toUpperCase() + (takesRest ? "..." : "");
    return mayBeLeftOut(command, field) ? `[${shown}]` : shown;
  });
  return [command.name, ...words].join(" ");
}

function mayBeLeftOut(command: Command, field: string): boolean {
  const shape = command.input.shape as Record<string, z.ZodType>;
  return shape[field]?.safeParse(undefined).success === true;
}

/** A command may be about something else that belongs to an app: `addons:attach db --app shop`. */
function takesApp(command: Command): boolean {
  return "app" in command.input.shape;
}

function isAboutApp(command: Command): boolean {
  return command.words.positional[0] === "app";
}

/** A command whose app is held to the rule of new names makes one: it is never about the folder's. */
function isAboutExistingApp(command: Command): boolean {
  return (command.input.shape as Record<string, unknown>).app !== AppName;
}

function kebab(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
