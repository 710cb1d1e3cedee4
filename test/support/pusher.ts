import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Somebody's checkout of an app, and the real git that pushes it. */
export type Pusher = {
  folder: string;
  /** Writes files (null removes one) and commits them; answers the commit's id. */
  commit(files: Record<string, string | null>, message?: string): Promise<string>;
  /** Runs git to its end. */
  git(...args: string[]): Promise<GitRun>;
  /** `git push zyndra …`, to its end. */
  push(...args: string[]): Promise<GitRun>;
  /** The same, while it runs. */
  startPush(...args: string[]): RunningGit;
  [Symbol.asyncDispose](): Promise<void>;
};

/** `output` is what a person sees: standard error and output in the order they came, progress lines left out. */
export type GitRun = { exitCode: number; output: string };
export type RunningGit = {
  ended: Promise<GitRun>;
  /** What has been printed so far. */
  output(): string;
  /** Resolves when what was printed matches; rejects when git ends before. */
  printed(pattern: RegExp): Promise<void>;
  kill(signal: NodeJS.Signals): void;
};

/** A new checkout whose remote `zyndra` is this address, a token included. */
export async function newPusher(remote: string, options: { name?: string } = {}): Promise<Pusher> {
  const folder = await mkdtemp(join(tmpdir(), "zyndra-pusher-"));
  const name = options.name ?? "Ana Example";
  // Nothing of the machine's own git settings: a bare machine has no identity, and no credential helper may answer.
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: name,
    GIT_AUTHOR_EMAIL: "ana@example.org",
    GIT_COMMITTER_NAME: name,
    GIT_COMMITTER_EMAIL: "ana@example.org",
  };
  const start = (args: string[]): RunningGit => startGit(folder, env, args);
  const git = (...args: string[]) => start(args).ended;
  await git("init", "--quiet", "--initial-branch=main");
  await git("remote", "add", "zyndra", remote);

  return {
    folder,
    git,
    push: (...args) => git("push", "zyndra", ...args),
    startPush: (...args) => start(["push", "zyndra", ...args]),
    async commit(files, message = "A change") {
      for (const [path, text] of Object.entries(files)) {
        if (text === null) {
          await rm(join(folder, path));
        } else {
          await mkdir(dirname(join(folder, path)), { recursive: true });
          await writeFile(join(folder, path), text);
        }
      }
      await git("add", "--all");
      const committed = await git("commit", "--quiet", "--allow-empty", "--message", message);
      if (committed.exitCode !== 0) throw new Error(committed.output);
      return (await git("rev-parse", "HEAD")).output.trim();
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

function startGit(cwd: string, env: NodeJS.ProcessEnv, args: string[]): RunningGit {
  const child = spawn("git", args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let output = "";
  let waiting: (() => void)[] = [];
  const take = (chunk: Buffer) => {
    output += chunk.toString();
    for (const look of [...waiting]) look();
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const shown = () => output.replace(/[^\n]*\r/g, "").replace(/[ \t]+$/gm, "");
  const ended = new Promise<GitRun>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) =>
      resolve({ exitCode: code ?? (signal === "SIGINT" ? 130 : 137), output: shown() }),
    );
  });
  return {
    ended,
    output: shown,
    // A terminal sends Ctrl-C to git and to all it has started.
    kill: (signal) => void process.kill(-child.pid!, signal),
    printed: (pattern) =>
      new Promise<void>((resolve, reject) => {
        const look = () => {
          if (!pattern.test(shown())) return;
          waiting = waiting.filter((each) => each !== look);
          resolve();
        };
        waiting.push(look);
        look();
        void ended.then(
          (run) => reject(new Error(`git ended (${run.exitCode}) before it printed ${pattern}:\n${run.output}`)),
          reject,
        );
      }),
  };
}
