import type { ChildProcess } from "node:child_process";
import type { IncomingMessage, ServerResponse } from "node:http";
import { PassThrough } from "node:stream";
import { Git, type PushData, type TagData } from "node-git-server";
import type { PackTransport } from "./transport.ts";

/**
 * receive-pack by way of node-git-server, which is given nothing but what the guard has read and checked: a request made here,
 * without the headers that end its process, its first chunk the whole list of refs, for it reads no further.
 *
 * It cannot hand an environment to its children: they inherit `inherited`, the process's own, into which git's variables
 * are written before each push. Which push a hook belongs to is therefore told by its parent's process id.
 */
export function nodeGitServerTransport(options: {
  inherited: NodeJS.ProcessEnv;
  environment: () => Record<string, string>;
}): PackTransport {
  return ({ gitDir, commands, started }) => {
    const input = new PassThrough();
    const output = new PassThrough();
    const exited = Promise.withResolvers<number | null>();
    let child: ChildProcess | undefined;

    const server = new Git(() => gitDir, { autoCreate: false });
    let isAccepted = false;
    const accept = (action: PushData | TagData) => {
      // It tells of every ref, and starts one git for the first answer.
      if (isAccepted) return;
      isAccepted = true;
      action.on("error", fail);
      action.on("service", (process: ChildProcess) => {
        child = process;
        process.once("error", fail);
        process.once("close", (code) => exited.resolve(code));
        process.stdin?.on("error", () => {});
        // It goes on piping into a git that reads no more, and would never take the rest from us.
        process.stdin?.once("close", () => input.destroy());
        process.stdout?.on("error", () => {});
        process.stderr?.resume();
        if (process.pid !== undefined) started(process.pid);
      });
      adoptEnvironment(options.inherited, options.environment());
      action.accept();
    };
    const fail = (error: Error) => {
      exited.reject(error);
      output.end();
    };
    server.on("push", accept);
    server.on("tag", accept);
    input.on("error", () => {});
    output.on("error", () => {});
    server.handle(requestOf(input), responseTo(output));
    input.write(commands);
    return {
      input,
      output,
      exited: exited.promise,
      kill: () => void child?.kill("SIGKILL"),
    };
  };
}

/** Leaves no variable in it that would make git do something else. */
function adoptEnvironment(inherited: NodeJS.ProcessEnv, environment: Record<string, string>): void {
  for (const name of Object.keys(inherited)) {
    if (name.startsWith("GIT_") && !(name in environment)) delete inherited[name];
  }
  Object.assign(inherited, environment);
}

function requestOf(input: PassThrough): IncomingMessage {
  return Object.assign(input, {
    method: "POST",
    url: "/repository/git-receive-pack",
    headers: {},
  }) as unknown as IncomingMessage;
}

/** It sets headers and a status; those of the answer are the guard's. */
function responseTo(output: PassThrough): ServerResponse {
  return Object.assign(output, {
    statusCode: 200,
    setHeader: () => {},
    writeHead: () => {},
  }) as unknown as ServerResponse;
}
