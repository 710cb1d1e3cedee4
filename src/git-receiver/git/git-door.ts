import type { IncomingMessage, ServerResponse } from "node:http";
import { TLSSocket } from "node:tls";
import { UserError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import { appNamePattern, clip } from "../../model/names.ts";
import { EndedEarly } from "./byte-reader.ts";
import { assertFreeDisk } from "./free-disk.ts";
import { installHooks } from "./hook-relay.ts";
import { openHookServer } from "./hook-server.ts";
import { answerHook } from "./hooks.ts";
import { defaultGitLimits, type GitLimits } from "./limits.ts";
import { openOngoingPushes } from "./ongoing.ts";
import { ProtocolError } from "./pkt-line.ts";
import type { ReceiverPolicy } from "./push.ts";
import { type PushParts, servePush } from "./receive-pack.ts";
import { refusalSentence } from "./remote-lines.ts";
import { BodyFault, discardBody } from "./request-body.ts";
import { openSlots, type Slots } from "./slots.ts";
import type { PackTransport, TransportName } from "./transport.ts";
import { directTransport } from "./transport-direct.ts";
import { nodeGitServerTransport } from "./transport-node-git-server.ts";
import { type FetchParts, type GitService, serveFetch, serveRefs } from "./upload-pack.ts";

export { gitServerSettings } from "./limits.ts";

/** git over HTTP, inside somebody else's `node:http` server. */
export type GitDoor = {
  /** Takes the request if it is one of git's: answers whether it did. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
  /** Refuses what comes, tells the policy to come to an end, and waits for a while until every pusher has their answer. */
  close(): Promise<void>;
};

export type GitDoorOptions = {
  policy: ReceiverPolicy;
  git: { path: string; environment: Record<string, string> };
  /** Where the hooks are written: a folder that lasts, and from which programs may be run. */
  gitFolder: string;
  transport: TransportName;
  /**
   * The process's own environment (`process.env`), which node-git-server's children inherit: the door writes git's
   * variables into it and removes other `GIT_` ones. Everything else in it reaches git too, so it should hold no secrets.
   */
  processEnvironment: NodeJS.ProcessEnv;
  /** Where the hooks' socket may lie, best first, before the system's folder for temporary files. */
  socketFolders?: string[];
  limits?: Partial<GitLimits>;
  /** Who is at the other end, where a trusted proxy knows better than the socket. */
  peerOf?: (request: IncomingMessage) => { remoteAddress: string; secure: boolean };
  log: Log;
};

/** Opens the door. Throws UserError where git's hooks cannot run on this machine. */
export async function createGitDoor(options: GitDoorOptions): Promise<GitDoor> {
  const { policy, git, log } = options;
  const limits = { ...defaultGitLimits, ...options.limits };
  const stopping = new AbortController();
  const pushes = openOngoingPushes();
  const hooksFolder = await installHooks(options.gitFolder, git.environment);
  const hookServer = await openHookServer({
    folders: options.socketFolders ?? [],
    log,
    answerHook: (call) => answerHook(call, { policy, pushes, stopping: stopping.signal, checkMs: limits.checkMs, log }),
  });
  const pushEnvironment = () => ({ ...git.environment, ...hookVariables(hooksFolder, hookServer.path) });

  const door: Door = {
    policy,
    peerOf: options.peerOf ?? socketPeer,
    push: {
      transport: transportOf(options, pushEnvironment),
      pushes,
      slots: openSlots("pushes", { total: limits.maxPushes, perKey: limits.maxPushesPerApp }),
      limits,
      stopping: stopping.signal,
      log,
    },
    fetch: { gitPath: git.path, environment: git.environment, limits },
    fetchSlots: openSlots("fetches", { total: limits.maxFetches, perKey: limits.maxFetches }),
  };
  const serving = new Set<Promise<void>>();
  return {
    handle(request, response) {
      const route = routeOf(request);
      if (!route) return false;
      const served = serve(route, request, response, door).finally(() => serving.delete(served));
      serving.add(served);
      return true;
    },
    async close() {
      stopping.abort(new UserError("unavailable", "zyndra is restarting", "push again in a moment"));
      await settledWithin(serving, limits.closeMs);
      // Hooks that are left lose their socket, say so and fail; then git answers by itself.
      await hookServer.close();
      await settledWithin(serving, Math.min(limits.closeMs, 2_000));
    },
  };
}

type Door = {
  policy: ReceiverPolicy;
  peerOf: (request: IncomingMessage) => { remoteAddress: string; secure: boolean };
  push: PushParts;
  fetch: FetchParts;
  fetchSlots: Slots;
};

type Route = { name: string; file: "info/refs" | GitService; query: string };

/** Looks at the path as it was sent: nothing in it is decoded, joined or normalised. */
function routeOf(request: IncomingMessage): Route | null {
  const [path = "", query = ""] = (request.url ?? "").split("?", 2);
  const match = /^\/(.*)\/(info\/refs|git-upload-pack|git-receive-pack)$/s.exec(path);
  return match ? { name: match[1]!.replace(/\.git$/, ""), file: match[2] as Route["file"], query } : null;
}

/** One request of git's, from who asks to the last byte. Never rejects. */
async function serve(route: Route, request: IncomingMessage, response: ServerResponse, door: Door): Promise<void> {
  // A broken connection is noticed where the body or the answer breaks off.
  request.on("error", () => {});
  response.on("error", () => {});
  try {
    await answerRequest(route, request, response, door);
  } catch (error) {
    await answerError(error, request, response, door.push.log);
  }
}

async function answerRequest(
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
  door: Door,
): Promise<void> {
  const actor = await door.policy.authenticate({
    authorization: request.headers.authorization,
    ...door.peerOf(request),
  });
  const service = serviceOf(route, request);
  if (!appNamePattern.test(route.name)) throw unknownApp(route.name);
  const need = service === "git-upload-pack" ? "fetch" : "push";
  const repository = await door.policy.openRepository(actor, route.name, need);
  const { limits, stopping } = door.push;

  if (route.file === "info/refs") {
    // What is refused here is shown to the person; a refusal of the request that follows is not.
    if (need === "push") {
      if (stopping.aborted) throw new UserError("unavailable", "zyndra is restarting", "push again in a moment");
      await assertFreeDisk(repository.gitDir, limits.minFreeBytes);
    }
    return serveRefs(request, response, repository.gitDir, service, door.fetch);
  }
  if (need === "push") return servePush({ request, response, actor, repository }, door.push);

  const giveSlotBack = door.fetchSlots.take(repository.appId, repository.appName);
  try {
    await serveFetch(request, response, repository.gitDir, door.fetch);
  } finally {
    giveSlotBack();
  }
}

/** What is asked for, where it is asked as git does; a browser's form cannot send these content types. */
function serviceOf(route: Route, request: IncomingMessage): GitService {
  if (route.file === "info/refs") {
    const service = new URLSearchParams(route.query).get("service");
    if (request.method !== "GET") throw new MethodNotAllowed("GET");
    if (service === "git-upload-pack" || service === "git-receive-pack") return service;
    throw new UserError("forbidden", "only git's smart protocol is spoken here", "use git 1.6.6 or newer");
  }
  if (request.method !== "POST") throw new MethodNotAllowed("POST");
  const expected = `application/x-${route.file}-request`;
  if (request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase() !== expected) {
    throw new UserError("unsupported", `the Content-Type of this request must be ${expected}`);
  }
  return route.file;
}

/** The sentence of an app that is not there, for names that cannot be one either. */
function unknownApp(name: string): UserError {
  return new UserError("not_found", `No app is called "${clip(name)}"`, "`zyndra apps` lists what there is.");
}

class MethodNotAllowed extends Error {
  override name = "MethodNotAllowed";
  readonly allowed: string;

  constructor(allowed: string) {
    super(`only ${allowed} is answered here`);
    this.allowed = allowed;
  }
}

/** git shows the body of a refusal as `remote:` lines if it is plain text. */
async function answerError(
  error: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  log: Log,
): Promise<void> {
  if (response.headersSent || response.destroyed) {
    if (isOurFault(error)) log.error({ err: error }, "git request failed in the middle");
    response.destroy();
    return;
  }
  // Whoever is still sending would meet a reset instead of the answer.
  const idleMs = error instanceof BodyFault ? 200 : 5_000;
  await discardBody(request, { maxBytes: 2 * 1024 ** 2, idleMs, maxMs: 10_000 });
  const { status, sentence, headers } = describeError(error, log);
  response.writeHead(status, {
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    ...(request.complete ? {} : { Connection: "close" }),
    ...headers,
  });
  response.end(`${sentence}\n`);
}

function describeError(
  error: unknown,
  log: Log,
): { status: number; sentence: string; headers: Record<string, string> } {
  if (error instanceof UserError) {
    return { status: error.status, sentence: refusalSentence(error), headers: headersOf(error) };
  }
  if (error instanceof MethodNotAllowed) {
    return { status: 405, sentence: error.message, headers: { Allow: error.allowed } };
  }
  if (!isOurFault(error)) return { status: 400, sentence: (error as Error).message, headers: {} };
  log.error({ err: error }, "git request failed");
  return { status: 500, sentence: "zyndra failed here: try again; its log says more", headers: {} };
}

/** A challenge in the one form that every credential helper of git's understands. */
function headersOf(error: UserError): Record<string, string> {
  switch (error.code) {
    case "unauthenticated":
      return { "WWW-Authenticate": 'Basic realm="Zyndra", charset="UTF-8"' };
    case "rate_limited":
    case "unavailable":
      return { "Retry-After": "5" };
    default:
      return {};
  }
}

function isOurFault(error: unknown): boolean {
  const theirs = [UserError, BodyFault, ProtocolError, EndedEarly, MethodNotAllowed];
  return !theirs.some((kind) => error instanceof kind);
}

function transportOf(options: GitDoorOptions, environment: () => Record<string, string>): PackTransport {
  switch (options.transport) {
    case "direct":
      return directTransport({ gitPath: options.git.path, environment });
    case "node-git-server":
      return nodeGitServerTransport({ inherited: options.processEnvironment, environment });
  }
}

/** Configuration by environment (git 2.31): only receive-pack learns where the hooks are. */
function hookVariables(hooksFolder: string, socketPath: string): Record<string, string> {
  return {
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "core.hooksPath",
    GIT_CONFIG_VALUE_0: hooksFolder,
    ZYNDRA_HOOK_SOCKET: socketPath,
  };
}

function socketPeer(request: IncomingMessage): { remoteAddress: string; secure: boolean } {
  return { remoteAddress: request.socket.remoteAddress ?? "", secure: request.socket instanceof TLSSocket };
}

async function settledWithin(work: Set<Promise<void>>, limitMs: number): Promise<void> {
  const limit = Promise.withResolvers<void>();
  const timer = setTimeout(limit.resolve, limitMs);
  await Promise.race([Promise.allSettled(work), limit.promise]);
  clearTimeout(timer);
}
