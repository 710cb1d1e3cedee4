import { spawn } from "node:child_process";
import type { Readable } from "node:stream";

/** The git of this machine, and the one environment that every git child gets. */
export type GitProgram = {
  /** Absolute path, or `git` as found on the search path. */
  path: string;
  /** e.g. `2.39.5` */
  version: string;
  environment: Record<string, string>;
};

export type GitCall = {
  signal?: AbortSignal;
  /** A quarter of a second is usual; the default is for a disk that is busy. */
  timeoutMs?: number;
  cwd?: string;
  /** Variables on top of the common environment. */
  environment?: Record<string, string>;
  /** Written to its standard input, which is then closed. */
  input?: string;
  /** Exit codes that are answers, besides 0. */
  answers?: readonly number[];
  /** More output than this is a failure. */
  maxOutputBytes?: number;
};

export type GitAnswer = { exitCode: number; stdout: string; stderr: string };

const defaultTimeoutMs = 60_000;
const defaultMaxOutputBytes = 16 * 1024 * 1024;

/** git ended in a way that is no answer. */
export class GitFailed extends Error {
  override name = "GitFailed";
  readonly exitCode: number | null;
  readonly stderr: string;

  constructor(args: readonly string[], exitCode: number | null, stderr: string, options?: { cause?: unknown }) {
    super(
      `git ${commandWord(args)} failed (${exitCode ?? "killed"}): ${stderr.trim().slice(-500) || "no message"}`,
      options,
    );
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

/** Runs one git command to its end. Throws GitFailed, or the signal's reason. */
export async function runGit(git: GitProgram, args: readonly string[], call: GitCall = {}): Promise<GitAnswer> {
  let stdout = "";
  const maxOutputBytes = call.maxOutputBytes ?? defaultMaxOutputBytes;
  let outputBytes = 0;
  const decoder = new TextDecoder();
  const { exitCode, stderr } = await followGit(git, args, call, async (output) => {
    for await (const chunk of output as AsyncIterable<Buffer>) {
      outputBytes += chunk.length;
      if (outputBytes > maxOutputBytes) throw new GitFailed(args, null, `it wrote more than ${maxOutputBytes} bytes`);
      stdout += decoder.decode(chunk, { stream: true });
    }
  });
  return { exitCode, stdout: stdout + decoder.decode(), stderr };
}

/**
 * Runs one git command and hands its output over as it comes. Where `read` throws, git is ended and the error passed on.
 * @returns the exit code and what git said beside its output.
 */
export async function followGit(
  git: GitProgram,
  args: readonly string[],
  call: GitCall,
  read: (output: Readable) => Promise<void>,
): Promise<{ exitCode: number; stderr: string }> {
  call.signal?.throwIfAborted();
  const child = spawn(git.path, args, {
    cwd: call.cwd,
    env: { ...git.environment, ...call.environment },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const ended = Promise.withResolvers<number | null>();
  child.once("error", ended.reject);
  child.once("close", (code) => ended.resolve(code));
  // Whoever comes first throws; the others must not become unhandled.
  ended.promise.catch(() => {});

  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-8_192);
  });
  // A git that ends before it has read everything is judged by its exit code.
  child.stdin.on("error", () => {});
  child.stdin.end(call.input ?? "");

  const limit = AbortSignal.timeout(call.timeoutMs ?? defaultTimeoutMs);
  const stop = call.signal ? AbortSignal.any([call.signal, limit]) : limit;
  const kill = () => child.kill("SIGKILL");
  stop.addEventListener("abort", kill, { once: true });
  try {
    await read(child.stdout);
    const exitCode = await ended.promise;
    stop.throwIfAborted();
    if (exitCode === null || (exitCode !== 0 && !call.answers?.includes(exitCode))) {
      throw new GitFailed(args, exitCode, stderr);
    }
    return { exitCode, stderr };
  } catch (error) {
    kill();
    call.signal?.throwIfAborted();
    if (limit.aborted) {
      throw new GitFailed(args, null, `it took more than ${call.timeoutMs ?? defaultTimeoutMs} ms`, { cause: error });
    }
    throw error;
  } finally {
    stop.removeEventListener("abort", kill);
  }
}

function commandWord(args: readonly string[]): string {
  return args.find((arg) => !arg.startsWith("-")) ?? "";
}
