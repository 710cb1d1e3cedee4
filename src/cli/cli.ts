import { nextPlain, splitLeading } from "../commands/leading-flags.ts";
import { UserError } from "../errors.ts";
import { Refusal, Unreachable } from "./api-client.ts";
import { type Call, takeFlags } from "./call.ts";
import { drawNote } from "./draw.ts";
import { exitCodes, Interrupted, type World } from "./world.ts";

/** What this program does itself; all other words are sent to the server, which knows what they mean. */
export const ownCommands: OwnCommand[] = [
  {
    usage: "setup URL CODE [--name NAME]",
    summary: "Become the owner of a new Zyndra, with the code that its start prints",
    run: async (call) => (await import("./log-in.ts")).setUp(call),
  },
  {
    usage: "login URL [--token TOKEN]",
    summary: "Let this machine in, besides where it is in already; asks for the token, or reads it from standard input",
    also: ["auth:login"],
    run: async (call) => (await import("./log-in.ts")).logIn(call),
  },
  {
    usage: "logout [SERVER]",
    summary: "Forget the token of the server in use on this machine, or of another",
    also: ["auth:logout"],
    run: async (call) => (await import("./log-in.ts")).logOut(call),
  },
  {
    usage: "servers",
    summary: "List where this machine is logged in, and which server is in use",
    run: async (call) => (await import("./servers.ts")).listServers(call),
  },
  {
    usage: "servers:use SERVER",
    summary: "Choose the server that commands go to: its address, or the beginning of its name",
    run: async (call) => (await import("./servers.ts")).useServer(call),
  },
  {
    usage: "whoami",
    summary: "Show who you are, and where",
    also: ["auth:whoami", "auth"],
    run: async (call) => (await import("./log-in.ts")).whoAmI(call),
  },
  {
    usage: "git:remote APP [--remote NAME]",
    summary: "Let git push this folder's repository to an app, without asking for a password",
    also: ["remote", "remote:add"],
    run: async (call) => (await import("./git-remote.ts")).addRemote(call),
  },
  {
    usage: "git:credential",
    summary: "Answer git's question for a password; git calls it",
    hidden: true,
    run: async (call) => (await import("./git-remote.ts")).answerGit(call),
  },
  {
    usage: "open [APP]",
    summary: "Open an app in the browser, or print its address where there is none",
    also: ["apps:open", "browse"],
    run: async (call) => (await import("./open.ts")).openApp(call),
  },
  {
    usage: "validate [FOLDER | FILE] [--schema]",
    summary: "Read zyndra.yml, Procfile and app.json as a push would, and say what is wrong or what would run",
    run: async (call) => (await import("./validate.ts")).validate(call),
  },
  {
    usage: "doctor",
    summary:
      "Look whether this machine, this folder and the server are in order, and say what to do where they are not",
    run: async (call) => (await import("./doctor.ts")).examine(call),
  },
  {
    usage: "start",
    summary: "Run a Zyndra on this machine; what it keeps lies in this folder's .zyndra",
    run: async (call) => (await import("./platform-program.ts")).startPlatform(call),
  },
  {
    usage: "stop [--all]",
    summary: "End the Zyndra that runs on this folder's .zyndra; with --all its apps and database too",
    run: async (call) => (await import("./platform-program.ts")).stopPlatform(call),
  },
  {
    usage: "recover",
    summary: "Make a new token for the owner of this folder's .zyndra, who has lost theirs",
    run: async (call) => (await import("./platform-program.ts")).recoverOwner(call),
  },
  {
    usage: "completion [SHELL]",
    summary: "Print what makes bash, zsh or fish complete words, or how to have it",
    also: ["autocomplete"],
    run: async (call) => (await import("./completion.ts")).printScript(call),
  },
  {
    usage: "completion:candidates SHELL -- WORDS...",
    summary: "Say what the last word may become; shells call it",
    hidden: true,
    run: async (call) => (await import("./completion.ts")).printCandidates(call),
  },
  {
    usage: "completion:refresh",
    summary: "Renew what is kept of the server's description; completion calls it",
    hidden: true,
    run: async (call) => (await import("./completion.ts")).refresh(call),
  },
  {
    usage: "help [COMMAND]",
    summary: "List the commands, or explain one or a topic; with --all list every one",
    run: async (call) => (await import("./help.ts")).help(call),
  },
];

export type OwnCommand = {
  usage: string;
  summary: string;
  /** What it is called elsewhere; help does not show it. */
  also?: string[];
  hidden?: boolean;
  run(call: Call): Promise<number>;
};

export function nameOf({ usage }: OwnCommand): string {
  return usage.split(" ")[0]!;
}

/** The command of this program that begins a line, also with a space where a colon belongs, and the line as we would write it. */
export function findOwn(words: readonly string[]): { own: OwnCommand; words: string[] } | undefined {
  const [first = "", second, ...others] = words;
  const called = (word: string) =>
    ownCommands.find((command) => nameOf(command) === word || command.also?.includes(word));
  const spaced = second === undefined ? undefined : called(`${first}:${second}`);
  if (spaced) return { own: spaced, words: [nameOf(spaced), ...others] };
  const own = called(first);
  return own && { own, words: [nameOf(own), ...words.slice(1)] };
}

/** Runs one line of words. Answers the exit code: 0 done, 1 refused or failed, 2 wrongly typed, 130 interrupted. */
export async function runCli(world: World): Promise<number> {
  try {
    return await run(world);
  } catch (error) {
    if (error instanceof Interrupted || world.interrupted.aborted) return exitCodes.interrupted;
    return tell(world, error);
  }
}

async function run(world: World): Promise<number> {
  const { own: ownWords, others } = splitForeign(world.words);
  const { words: plain, flags } = takeFlags(
    longFlags(ownWords),
    { json: "switch", help: "switch", server: "text" },
    "leave others",
  );
  const words = [...plain, ...others];
  // Behind a command `--version` is a flag of that: which version of a database, for example.
  if (words.length === 1 && /^(--)?version$/.test(words[0]!)) {
    world.stdout.write(`zyndra ${world.version}\n`);
    return exitCodes.ok;
  }
  const override = { ...world.override, server: flags.server };
  const call: Call = { world: { ...world, override }, words, asJson: flags.json === true };
  if (flags.help || words.length === 0) return (await import("./help.ts")).help({ ...call, words: ["help", ...words] });
  const { leading, words: fromCommand } = splitLeading(words);
  const found = findOwn(fromCommand);
  if (found) return found.own.run({ ...call, words: [found.words[0]!, ...leading, ...found.words.slice(1)] });
  return (await import("./send-words.ts")).sendWords(call);
}

/**
 * What stands behind `run APP` or `run COMMAND` may be another program's: this one takes no flags of its own from there.
 * The server, which knows the apps, tells the two apart.
 */
function splitForeign(words: readonly string[]): { own: readonly string[]; others: readonly string[] } {
  const command = nextPlain(words, 0);
  if (!/^run(:detached)?$/.test(words[command] ?? "")) return { own: words, others: [] };
  const end = nextPlain(words, command + 1) + 1;
  return { own: words.slice(0, end), others: words.slice(end) };
}

/** `-h` and, alone, `-v`: what every program understands. */
function longFlags(words: readonly string[]): string[] {
  if (words.length === 1 && words[0] === "-v") return ["--version"];
  const end = words.indexOf("--");
  return words.map((word, index) => (word === "-h" && (end < 0 || index < end) ? "--help" : word));
}

/** The one place where a fault becomes words and an exit code. */
function tell(world: World, error: unknown): number {
  if (error instanceof UserError || error instanceof Refusal || error instanceof Unreachable) {
    drawNote(world, "error", error.message);
    if (error.hint !== undefined) drawNote(world, "hint", error.hint);
    return !(error instanceof Unreachable) && error.code === "bad_input" ? exitCodes.usage : exitCodes.failed;
  }
  drawNote(
    world,
    "error",
    `this program itself failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  return exitCodes.failed;
}
