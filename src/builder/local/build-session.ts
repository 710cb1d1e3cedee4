import { delimiter, join } from "node:path";
import type { WriteLine } from "../../model/log-line.ts";
import { BuildFailure } from "./build-failure.ts";
import { type CommandOutcome, type OutputAllowance, runCommand } from "./command.ts";
import { type DependencyCache, openDependencyCache } from "./dependency-cache.ts";
import { diagnose } from "./diagnosis.ts";
import { findProgram, versionOf } from "./machine.ts";

/** One build under way: where it works, what its commands see, how they are run. */
export type BuildSession = {
  /** The unpacked commit; becomes the slug. */
  sourceDir: string;
  /** Room for what does not belong into the slug; removed at the end. */
  workDir: string;
  /** Kept from build to build, of this app alone. */
  cacheDir: string;
  cache: DependencyCache;
  /** The app's config vars, as far as rules look at them. */
  configVars: Record<string, string>;
  /** The path of Node's folder. */
  nodeBinDir: string;
  write: WriteLine;
  signal: AbortSignal;
  /** Runs one command in the source's folder. A failure ends the build with its diagnosis. */
  run(label: string, argv: readonly [string, ...string[]], options?: RunOptions): Promise<CommandOutcome>;
  /** A program on the PATH of the build. */
  find(name: string): Promise<string | undefined>;
  /** A tool's version, or undefined where it does not run. */
  version(argv: readonly [string, ...string[]]): Promise<string | undefined>;
  /** Puts a folder in front of the PATH of later commands. */
  addPath(dir: string): void;
  /** What runs at this moment, for the words of a time limit. */
  running: string | undefined;
  /** Where they came from, as far as there are any. */
  dependencies: "none" | "installed" | "cached";
};

export type RunOptions = { cwd?: string; env?: Record<string, string>; quiet?: boolean };

export type SessionInput = {
  sourceDir: string;
  workDir: string;
  cacheDir: string;
  configVars: Record<string, string>;
  nodeBinDir: string;
  env: Record<string, string>;
  write: WriteLine;
  signal: AbortSignal;
  allowance: OutputAllowance;
  silentAfterMs: number;
};

export function openSession(input: SessionInput): BuildSession {
  const { sourceDir, env, write, signal, allowance, silentAfterMs } = input;
  const session: BuildSession = {
    sourceDir,
    workDir: input.workDir,
    cacheDir: input.cacheDir,
    cache: openDependencyCache(join(input.cacheDir, "dependencies")),
    configVars: input.configVars,
    nodeBinDir: input.nodeBinDir,
    write,
    signal,
    running: undefined,
    dependencies: "none",
    async run(label, argv, options = {}) {
      session.running = label;
      const command = {
        label,
        argv,
        cwd: options.cwd ?? sourceDir,
        hiddenDirs: [sourceDir, input.workDir],
        env: { ...env, ...options.env },
        quiet: options.quiet,
      };
      const outcome = await runCommand(command, { write, allowance, silentAfterMs, signal });
      if (outcome.exitCode !== 0)
        throw new BuildFailure(diagnose({ label, exitCode: outcome.exitCode, lastLines: outcome.lastLines }));
      session.running = undefined;
      return outcome;
    },
    find: (name) => findProgram(name, env.PATH!),
    version: (argv) => versionOf(argv, env, sourceDir),
    addPath(dir) {
      env.PATH = [dir, env.PATH].join(delimiter);
    },
  };
  return session;
}
