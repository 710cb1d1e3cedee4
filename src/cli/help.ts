import type { CommandDescription } from "../commands/argv.ts";
import { answerTo, commandMeant } from "../commands/elsewhere.ts";
import { UserError } from "../errors.ts";
import { Unreachable } from "./api-client.ts";
import type { Call } from "./call.ts";
import { findOwn, type OwnCommand, ownCommands } from "./cli.ts";
import { askCommands } from "./described.ts";
import { asCalled, drawNote, paint, wrap } from "./draw.ts";
import { findServer } from "./where.ts";
import { exitCodes, type World } from "./world.ts";

/** `help [COMMAND]`, `help TOPIC`, `help --all`: what this program does itself, and what the server says that it can be asked for. */
export async function help({ world, words, asJson }: Call): Promise<number> {
  const [, ...wanted] = words;
  const own = findOwn(wanted)?.own;
  if (own) return explainOwn(world, own);
  const described = await describe(world);
  if (asJson) {
    world.stdout.write(`${JSON.stringify(described ?? [], null, 2)}\n`);
    return exitCodes.ok;
  }
  const [first, second] = wanted;
  if (first === undefined || first === "--all") return overview(world, described, first !== undefined);
  const spaced = second === undefined ? undefined : commandCalled(`${first}:${second}`, described);
  if (spaced) return explain(world, spaced);
  const command = commandCalled(first, described);
  const topic = (described ?? []).filter(({ name }) => name.startsWith(`${first}:`) && name !== command?.name);
  if (!command && topic.length === 0) throw notExplained(first, described);
  if (command) explain(world, command);
  return topic.length === 0 ? exitCodes.ok : explainTopic(world, first, topic, command !== undefined);
}

function commandCalled(word: string, described: CommandDescription[] = []): CommandDescription | undefined {
  const name = commandMeant(word) ?? word;
  return described.find((command) => command.name === name || command.aliases.includes(name));
}

function notExplained(word: string, described: CommandDescription[] | undefined): UserError {
  const answer = answerTo(word);
  if (answer) return new UserError("bad_input", `there is no "${word}" here: ${answer.say}`, answer.type);
  if (described) return new UserError("bad_input", `there is no command "${word}"`, "zyndra help lists what there is");
  const hint = "zyndra login URL, where nobody is logged in yet; zyndra doctor says what else is wrong";
  return new UserError(
    "unauthenticated",
    `the server knows whether there is a "${word}", and it cannot be asked`,
    hint,
  );
}

function explainOwn(world: World, own: OwnCommand): number {
  world.stdout.write(asCalled(world, `\nzyndra ${own.usage}\n`).slice(1));
  world.stdout.write(`${own.summary}.\n`);
  return exitCodes.ok;
}

function explainTopic(world: World, topic: string, commands: CommandDescription[], isMore: boolean): number {
  const write = (text: string) => world.stdout.write(`${text}\n`);
  write(isMore ? `\nMore about ${topic}:` : `About ${topic}:`);
  const rows = commands.map(commandRow);
  for (const line of twoColumns(rows, widthFor(rows))) write(line);
  write(`\n${world.calledAs} help ${commands[0]!.name} explains that one.`);
  return exitCodes.ok;
}

/** Undefined where no server is known yet or it does not answer: help is most needed then. */
async function describe(world: World): Promise<CommandDescription[] | undefined> {
  try {
    const { server } = await findServer(world);
    return await askCommands(world, server, world.interrupted);
  } catch (error) {
    if (error instanceof UserError && error.code === "unauthenticated") return undefined;
    if (!(error instanceof Unreachable)) throw error;
    drawNote(world, "warning", error.message);
    return undefined;
  }
}

function overview(world: World, described: CommandDescription[] | undefined, isWhole: boolean): number {
  const { stdout } = world;
  const write = (text: string) => stdout.write(`${text}\n`);
  write(`${paint(stdout, "bold", "Zyndra")} ${world.version}: git push zyndra main puts an app on the air`);
  write("");
  write(`Usage: ${world.calledAs} COMMAND WORDS...`);
  const own = ownCommands.filter((command) => !command.hidden);
  const { topics, alone } = groups(described);
  const ofServer = isWhole
    ? [...topics, alone].map((group) => group.map(commandRow))
    : [alone.map(commandRow), topics.map(topicRow)];
  const shown = [own.map(commandRow), ...ofServer].filter((rows) => rows.length > 0);
  const width = widthFor(shown.flat());
  for (const rows of shown) {
    write("");
    for (const line of twoColumns(rows, width)) write(line);
  }
  write("");
  const allNotes = topics.length > 0 && !isWhole ? [asCalled(world, topicNote(topics[0]!)), ...notes] : notes;
  for (const note of allNotes) for (const line of wrap(note, pageWidth)) write(line);
  if (described === undefined) {
    write("");
    write(asCalled(world, "The server knows the other commands: zyndra login URL first."));
  }
  return exitCodes.ok;
}

const notes = [
  "In a folder whose git remote is called zyndra, or whose zyndra.yml has a name, APP may be left out; --app APP names another.",
  "--server SERVER asks another server than the one in use. ZYNDRA_URL, ZYNDRA_TOKEN and ZYNDRA_APP win over what is stored.",
  "--json prints data only.",
  "Exit codes: 0 done, 1 refused or failed, 2 wrongly typed, 130 interrupted; of run the command's own.",
];

type Topic = CommandDescription[];

/** What begins alike stands together, in the order in which it comes. */
function groups(described: CommandDescription[] = []): { topics: Topic[]; alone: CommandDescription[] } {
  const byTopic = [...Map.groupBy(described, topicOf).values()];
  return {
    topics: byTopic.filter((group) => group.length > 1),
    alone: byTopic.filter((group) => group.length === 1).flat(),
  };
}

const topicOf = ({ name }: CommandDescription) => name.split(":")[0]!;

function commandRow({ usage, summary }: { usage: string; summary: string }): Row {
  return [`  ${usage}`, summary];
}

/** `config:  list, set, unset, get` */
function topicRow(topic: Topic): Row {
  const words = topic.flatMap(({ name }) => name.split(":")[1] ?? []);
  return [`  ${topicOf(topic[0]!)}:`, words.join(", ")];
}

function topicNote(topic: Topic): string {
  const word = topicOf(topic[0]!);
  return `zyndra help ${word} tells of all that begins with ${word}:, zyndra help --all of everything.`;
}

function explain(world: World, command: CommandDescription): number {
  const { stdout } = world;
  const write = (text: string) => stdout.write(`${text}\n`);
  write(`${paint(stdout, "bold", `${world.calledAs} ${command.usage}`)}`);
  write(`${command.summary}.`);
  if (command.aliases.length > 0) write(`Also: ${command.aliases.join(", ")}`);
  if (command.flags.length > 0) {
    write("");
    const rows = command.flags.map(({ name, short, kind, summary }): Row => {
      const value = { switch: "", text: " TEXT", number: " NUMBER" }[kind];
      return [`  ${short === undefined ? "    " : `-${short}, `}--${name}${value}`, summary];
    });
    for (const line of twoColumns(rows, widthFor(rows))) write(line);
  }
  write("");
  for (const example of command.examples) write(`  ${world.calledAs} ${example}`);
  write("");
  write(`For the role ${command.needs} and above.`);
  return exitCodes.ok;
}

type Row = [left: string, right: string];

const pageWidth = 80;
/** What is longer than this gets a line of its own. */
const widestLeft = 32;

function widthFor(rows: Row[]): number {
  return Math.min(widestLeft, Math.max(...rows.map(([left]) => left.length)));
}

function twoColumns(rows: Row[], width: number): string[] {
  return rows.flatMap(([left, right]) => {
    const [first = "", ...others] = wrap(right, pageWidth - width - 2);
    const rest = others.map((text) => " ".repeat(width + 2) + text);
    if (left.length <= width) return [`${left.padEnd(width)}  ${first}`, ...rest];
    return [left, " ".repeat(width + 2) + first, ...rest];
  });
}
