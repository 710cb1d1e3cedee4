import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { runCli } from "../../src/cli/cli.ts";
import { unseen } from "../../src/cli/waiting.ts";
import type { ByteOut, World } from "../../src/cli/world.ts";

/** The program's own file, for tests that start it as one. */
export const program = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export type Ran = { code: number; out: string; err: string };
export type RunOptions = Partial<Omit<World, "words" | "stdin" | "stdout" | "stderr">> & {
  stdin?: string | Readable;
  isTerminal?: boolean;
  onOutput?(ran: Ran): void;
};

/** Somebody's machine, as far as the command line sees it: an empty folder to work in, and settings that are kept. */
export type Desk = {
  folder: string;
  /** Where lines are typed. */
  work: string;
  /** Runs a line of words, with the settings that earlier lines have left. */
  zyndra(words: string | string[], options?: RunOptions): Promise<Ran>;
  /** What is kept in the settings file. */
  settings(): Promise<unknown>;
  [Symbol.asyncDispose](): Promise<void>;
};

export async function openDesk(): Promise<Desk> {
  const folder = await mkdtemp(join(tmpdir(), "zyndra-cli-"));
  const work = join(folder, "work");
  await mkdir(work);
  return {
    folder,
    work,
    zyndra: (words, options = {}) => run(folder, words, options),
    settings: async () => JSON.parse(await readFile(join(folder, "config", "zyndra", "config.json"), "utf8")),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  };
}

async function run(folder: string, words: string | string[], options: RunOptions): Promise<Ran> {
  const ran: Ran = { code: -1, out: "", err: "" };
  const out = (name: "out" | "err"): ByteOut => ({
    write(text) {
      ran[name] += text;
      options.onOutput?.(ran);
    },
    async pass(bytes) {
      this.write(Buffer.from(bytes).toString());
    },
    colours: options.isTerminal ?? false,
    columns: options.isTerminal ? 80 : undefined,
  });
  const { stdin, isTerminal: _, onOutput: __, ...more } = options;
  ran.code = await runCli({
    words: typeof words === "string" ? words.split(" ").filter(Boolean) : words,
    calledAs: "zyndra",
    version: "1.2.3",
    cwd: join(folder, "work"),
    configFolder: join(folder, "config", "zyndra"),
    cache: { folder: join(folder, "cache", "zyndra") },
    userName: "ana",
    override: {},
    searchPath: process.env.PATH!,
    self: [process.execPath, program],
    browser: undefined,
    editor: undefined,
    stdin: (stdin instanceof Readable
      ? stdin
      : Readable.from(stdin === undefined ? [] : [stdin])) as unknown as NodeJS.ReadStream,
    stdout: out("out"),
    stderr: out("err"),
    waiting: unseen,
    terminal: undefined,
    isInteractive: false,
    interrupted: new AbortController().signal,
    ...more,
  });
  return ran;
}
