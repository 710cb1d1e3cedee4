import { type ChildProcess, spawn } from "node:child_process";
import type { IncomingMessage, ServerResponse } from "node:http";
import { UserError } from "../../errors.ts";
import { openAnswer } from "./answer.ts";
import type { GitLimits } from "./limits.ts";
import { flushPacket, packet } from "./pkt-line.ts";
import { openBody } from "./request-body.ts";

export type GitService = "git-upload-pack" | "git-receive-pack";

export type FetchParts = {
  gitPath: string;
  environment: Record<string, string>;
  limits: GitLimits;
};

/** The first request of every fetch and push: which refs are there, and what can be asked for. */
export async function serveRefs(
  request: IncomingMessage,
  response: ServerResponse,
  gitDir: string,
  service: GitService,
  parts: FetchParts,
): Promise<void> {
  // receive-pack knows no protocol but the first, and clients take it as it comes.
  const protocol = service === "git-upload-pack" ? protocolOf(request) : {};
  const child = startService([service.slice(4), "--stateless-rpc", "--advertise-refs", gitDir], protocol, parts);
  child.stdin!.end();
  const isVersion2 = /(?:^|:)version=2(?::|$)/.test(protocol.GIT_PROTOCOL ?? "");
  const preamble = isVersion2 ? Buffer.alloc(0) : Buffer.concat([packet(`# service=${service}\n`), flushPacket]);
  await relay(child, response, `application/x-${service}-advertisement`, preamble, parts.limits);
}

/** A fetch or a clone: git answers, and ends when its reader goes. */
export async function serveFetch(
  request: IncomingMessage,
  response: ServerResponse,
  gitDir: string,
  parts: FetchParts,
): Promise<void> {
  const body = openBody(request, parts.limits.bodyIdleMs);
  const child = startService(["upload-pack", "--stateless-rpc", gitDir], protocolOf(request), parts);
  const [fed, relayed] = await Promise.allSettled([
    feed(body, child, parts.limits.maxFetchBytes),
    relay(child, response, "application/x-git-upload-pack-result", Buffer.alloc(0), parts.limits),
  ]);
  // What the sender did wrong explains what git then said.
  if (fed.status === "rejected") throw fed.reason;
  if (relayed.status === "rejected") throw relayed.reason;
}

function startService(args: string[], protocol: Record<string, string>, parts: FetchParts): ChildProcess {
  const child = spawn(parts.gitPath, args, {
    env: { ...parts.environment, ...protocol },
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  child.stdin.on("error", () => {});
  child.stderr.resume();
  return child;
}

/** The version a client asks for; anything that is not of this form is no request for one. */
function protocolOf(request: IncomingMessage): { GIT_PROTOCOL?: string } & Record<string, string> {
  const asked = request.headers["git-protocol"];
  const isWellFormed =
    typeof asked === "string" &&
    /^[0-9a-zA-Z-]+(?:=[0-9a-zA-Z-]+)?(?::[0-9a-zA-Z-]+(?:=[0-9a-zA-Z-]+)?){0,9}$/.test(asked);
  return isWellFormed ? { GIT_PROTOCOL: asked } : {};
}

async function feed(body: AsyncIterable<Buffer>, child: ChildProcess, maxBytes: number): Promise<void> {
  const input = child.stdin!;
  let seenBytes = 0;
  try {
    for await (const chunk of body) {
      seenBytes += chunk.length;
      if (seenBytes > maxBytes) throw new UserError("too_large", "the fetch asks for too much at once");
      if (input.destroyed || input.write(chunk)) continue;
      await new Promise<void>((resolve) => {
        for (const event of ["drain", "close"]) input.once(event, () => resolve());
      });
    }
  } finally {
    input.end();
  }
}

/** Passes git's output on. Rejects where git failed and nothing was sent yet. */
async function relay(
  child: ChildProcess,
  response: ServerResponse,
  contentType: string,
  preamble: Buffer,
  limits: GitLimits,
): Promise<void> {
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code));
  });
  exited.catch(() => {});
  const answer = openAnswer(response, contentType, limits.stallMs);
  const stop = () => endGroup(child);
  answer.gone.addEventListener("abort", stop, { once: true });
  if (answer.gone.aborted) stop();

  let isFirst = true;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    if (isFirst) await answer.write(preamble);
    isFirst = false;
    await answer.write(chunk);
  }
  const exitCode = await exited;
  if (isFirst && exitCode !== 0 && !answer.gone.aborted) throw new Error(`git ended with ${exitCode} and said nothing`);
  if (exitCode === 0 || !isFirst) await answer.end();
}

function endGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, "SIGTERM");
  } catch {
    child.kill("SIGTERM");
  }
}
