import { spawn } from "node:child_process";

export type CommandResult = { exitCode: number; output: string };

/** Runs a command in a process group of its own, so that an abort ends what it has started, too. */
export function runToEnd(
  command: string[],
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<CommandResult> {
  return new Promise((done) => {
    const [program = "", ...args] = command;
    const child = spawn(program, args, { env: environment, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const killAll = () => child.pid !== undefined && process.kill(-child.pid, "SIGKILL");
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", (error) => (output += `\n${error.message}`));
    child.on("close", (code) => {
      signal.removeEventListener("abort", killAll);
      done({ exitCode: code ?? -1, output });
    });
    if (signal.aborted) killAll();
    signal.addEventListener("abort", killAll);
  });
}
