import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { WriteLine } from "../../model/log-line.ts";
import { buildMark, endProcesses } from "./leftovers.ts";
import { LastLines, OutputLines, plainText } from "./output-lines.ts";

/** One command of a build. */
export type Command = {
  /** As the log and a failure call it: `npm ci`. */
  label: string;
  /** The program's absolute path, then its arguments. */
  argv: readonly [string, ...string[]];
  cwd: string;
  env: Record<string, string>;
  /** Folders of ours that the reader need not see, inner ones first: paths below them are shown relative to them. */
  hiddenDirs: string[];
  /** What it prints is of no interest unless it fails. */
  quiet?: boolean;
};

export type CommandOutcome = {
  /** The exit code; 128 + the signal's number where a signal ended it, as a shell would say. */
  exitCode: number;
  signal: NodeJS.Signals | null;
  /** The newest lines of both outputs. */
  lastLines: string[];
};

/** What the log of one build still takes: a flood of output must not fill the platform's memory or database. */
export type OutputAllowance = { lines: number; characters: number };

export const fullAllowance = (): OutputAllowance => ({ lines: 20_000, characters: 4 * 1024 * 1024 });

const keptLines = 200;
/** How long a pipe may stay open after its program ended: a background child may hold it for ever. */
const pipeGraceMs = 500;

export type CommandCall = {
  write: WriteLine;
  allowance: OutputAllowance;
  /** After so long without a line the log says what is waited for, and again each three times as long. */
  silentAfterMs: number;
  signal: AbortSignal;
};

/**
 * Runs one command in a process group of its own, its output as lines of the log. Aborting ends the group and every
 * process with the build's mark, then rejects with the signal's reason.
 */
export async function runCommand(command: Command, call: CommandCall): Promise<CommandOutcome> {
  call.signal.throwIfAborted();
  const [program, ...args] = command.argv;
  const child = spawn(program, args, {
    cwd: command.cwd,
    env: command.env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const last = new LastLines(keptLines);
  const silence = watchSilence(command.label, call);
  const show = withoutNeedlessBlanks((text) => writeWithin(call, text));
  const clean = (rawLine: string) => withoutFolders(plainText(rawLine), command.hiddenDirs);
  const take = (rawLine: string) => {
    silence.heard();
    if (isAboutLostFile(rawLine)) return;
    last.add(rawLine);
    if (!command.quiet && hasAllowance(call)) show(clean(rawLine));
  };
  const pipes = [followPipe(child.stdout, take), followPipe(child.stderr, take)];
  try {
    const [code, signal] = await exited(child, call.signal);
    await Promise.race([Promise.all(pipes), delay(pipeGraceMs, undefined, { ref: false })]);
    return {
      exitCode: code ?? 128 + (signalNumbers[signal!] ?? 0),
      signal,
      lastLines: last.all().map((line) => withoutFolders(line, command.hiddenDirs)),
    };
  } catch (error) {
    if (call.signal.aborted && child.pid)
      await endProcesses({ mark: command.env[buildMark] ?? "none", groups: [child.pid] });
    throw error;
  } finally {
    silence.stop();
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

const signalNumbers: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};

async function exited(
  child: ReturnType<typeof spawn>,
  signal: AbortSignal,
): Promise<[number | null, NodeJS.Signals | null]> {
  try {
    return (await once(child, "exit", { signal })) as [number | null, NodeJS.Signals | null];
  } catch (error) {
    if (!signal.aborted) throw error;
    // A program that cannot be started any more reports its own error, which nobody waits for here.
    child.on("error", () => {});
    throw signal.reason;
  }
}

/** A line is split and handed on before the next chunk is read, so a program that floods waits in its pipe. */
async function followPipe(pipe: Readable, take: (text: string) => void): Promise<void> {
  const lines = new OutputLines(take);
  try {
    for await (const chunk of pipe) lines.push(chunk as Buffer);
  } catch {
    // The pipe is destroyed when its program has ended and something else still holds it.
  }
  lines.end();
}

/** `file:///data/builds/1/source/app.js:3` → `app.js:3` */
function withoutFolders(line: string, dirs: string[]): string {
  return dirs.reduce(
    (text, dir) => text.replaceAll(`file://${dir}/`, "").replaceAll(`${dir}/`, "").replaceAll(dir, "."),
    line,
  );
}

/** npm points to files that no reader of this log can open. */
function isAboutLostFile(line: string): boolean {
  return /^npm (?:error|ERR!)(?: A complete log of this run can be found in| For a full report see:|\s+\/\S+-(?:debug-\d+\.log|report\.txt)$)/.test(
    line,
  );
}

/** Blank lines are kept where they part two others, one at a time. */
function withoutNeedlessBlanks(show: (text: string) => void): (text: string) => void {
  let hasShown = false;
  let isBlankDue = false;
  return (text) => {
    if (text === "") {
      isBlankDue = hasShown;
      return;
    }
    if (isBlankDue) show("");
    show(text);
    hasShown = true;
    isBlankDue = false;
  };
}

function hasAllowance({ allowance }: CommandCall): boolean {
  return allowance.lines > 0 && allowance.characters > 0;
}

function writeWithin(call: CommandCall, text: string): void {
  const { write, allowance } = call;
  if (!hasAllowance(call)) return;
  allowance.lines -= 1;
  allowance.characters -= text.length;
  write({ kind: "output", text });
  if (hasAllowance(call)) return;
  write({ kind: "warning", text: "the build prints too much: the rest of its output is left out here" });
}

function watchSilence(label: string, { write, silentAfterMs }: CommandCall): { heard(): void; stop(): void } {
  let heardAt = performance.now();
  let nextMs = silentAfterMs;
  const timer = setInterval(
    () => {
      const silentMs = performance.now() - heardAt;
      if (silentMs < nextMs) return;
      nextMs *= 3;
      write({ kind: "text", text: `still waiting for ${label} (${Math.round(silentMs / 1_000)} s without output)` });
    },
    Math.min(1_000, silentAfterMs),
  );
  timer.unref();
  return {
    heard() {
      heardAt = performance.now();
      nextMs = silentAfterMs;
    },
    stop: () => clearInterval(timer),
  };
}
