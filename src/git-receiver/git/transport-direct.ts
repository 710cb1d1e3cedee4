import { spawn } from "node:child_process";
import type { PackTransport } from "./transport.ts";

/**
 * `git receive-pack --stateless-rpc`, started by ourselves, in a process group of its own so that a Ctrl-C in the
 * platform's terminal does not end it in the middle.
 */
export function directTransport(options: {
  gitPath: string;
  environment: () => Record<string, string>;
}): PackTransport {
  return ({ gitDir, pushId, commands, started }) => {
    const child = spawn(options.gitPath, ["receive-pack", "--stateless-rpc", gitDir], {
      env: { ...options.environment(), ZYNDRA_PUSH: pushId },
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    const exited = Promise.withResolvers<number | null>();
    child.once("error", exited.reject);
    child.once("close", (code) => exited.resolve(code));
    // A git that ends before it has read everything says why in its answer.
    child.stdin.on("error", () => {});
    // What receive-pack says outside its side band is nothing a pusher can use.
    child.stderr.resume();
    if (child.pid !== undefined) started(child.pid);
    child.stdin.write(commands);
    return {
      input: child.stdin,
      output: child.stdout,
      exited: exited.promise,
      kill() {
        if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
        // Its whole group, index-pack and the hook's relay included.
        try {
          process.kill(-child.pid, "SIGKILL");
        } catch {
          child.kill("SIGKILL");
        }
      },
    };
  };
}
