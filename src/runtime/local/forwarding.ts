import { randomUUID } from "node:crypto";
import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Log } from "../../log.ts";
import { page, pages } from "./router-pages.ts";
import type { Backend } from "./routes.ts";

/** Carries one request to a backend and its answer back: streaming both ways, nothing is buffered. */
export type Forwarding = {
  forward(exchange: Exchange): void;
  /** Closes the idle connections to a backend that gets no more requests. */
  forget(backend: Backend): void;
  close(): void;
};

export type Exchange = {
  request: IncomingMessage;
  response: ServerResponse;
  /** The client asked for another protocol: its socket, and what it has sent after its request. */
  upgrade?: { socket: Duplex; head: Buffer };
  appName: string;
  /** A backend that is not among the ids tried, or undefined. */
  pick(tried: ReadonlySet<string>): Backend | undefined;
  /** Answers when there was no backend to begin with. */
  hasNone(): number;
  begin(backend: Backend): void;
  end(backend: Backend): void;
  /** Once, when all is over. Status 499: the client left before the answer's head. */
  done(result: { status: number; bytes: number; backend: Backend | undefined }): void;
};

export function openForwarding(options: { idleLimitMs: number; trustForwarded: boolean; log: Log }): Forwarding {
  // Only requests that may be sent twice travel on kept connections: a backend may close one in the moment we write.
  const kept = new Map<string, Agent>();
  const upgraded = new Set<Duplex>();

  function keptConnections(backend: Backend): Agent {
    let agent = kept.get(backend.id);
    if (!agent) {
      // Below the 5 s after which Node, and others, close an idle connection.
      agent = new Agent({
        keepAlive: true,
        keepAliveMsecs: 30_000,
        maxFreeSockets: 64,
        timeout: 4_000,
        scheduling: "lifo",
      });
      kept.set(backend.id, agent);
    }
    return agent;
  }

  function forward(exchange: Exchange): void {
    const { request, response, upgrade } = exchange;
    const tried = new Set<string>();
    let backend: Backend | undefined;
    let upstream: ClientRequest | undefined;
    let isOver = false;
    let bytes = 0;

    function finish(status: number): void {
      if (isOver) return;
      isOver = true;
      if (backend) exchange.end(backend);
      exchange.done({ status, bytes, backend });
    }

    function giveUp(status: number, say: () => number): void {
      bytes += say();
      finish(status);
    }

    function tryNext(): void {
      if (backend) exchange.end(backend);
      backend = undefined;
      const next = exchange.pick(tried);
      if (!next) {
        const unreachable = () => page(request, response, 503, pages.unreachable(exchange.appName));
        giveUp(503, tried.size === 0 ? exchange.hasNone : unreachable);
        return;
      }
      backend = next;
      tried.add(next.id);
      exchange.begin(next);
      send(next, true);
    }

    function send(to: Backend, mayReuse: boolean): void {
      const isRepeatable = !upgrade && !hasBody(request) && idempotentMethods.has(request.method ?? "");
      let asking: ClientRequest;
      try {
        asking = httpRequest({
          host: "127.0.0.1",
          port: to.port,
          method: request.method,
          path: pathOf(request),
          headers: requestHeaders(request, Boolean(upgrade), options.trustForwarded),
          agent: isRepeatable && mayReuse ? keptConnections(to) : false,
          setHost: false,
          timeout: options.idleLimitMs,
        });
      } catch {
        giveUp(400, () => page(request, response, 400, pages.badRequest()));
        return;
      }
      upstream = asking;
      let isConnected = false;
      let isAnswered = false;
      let isTooSlow = false;

      asking.once("socket", (socket) => {
        const start = () => {
          isConnected = true;
          if (upgrade || !hasBody(request)) asking.end();
          else sendBody(request, asking);
        };
        if (socket.connecting) socket.once("connect", start);
        else start();
      });
      asking.once("timeout", () => {
        isTooSlow = true;
        asking.destroy(new Error(`nothing moved for ${options.idleLimitMs} ms`));
      });
      asking.on("error", (error) => {
        if (isAnswered || isOver) return;
        if (response.destroyed) return finish(499);
        if (!isConnected) return tryNext();
        // The backend closed a kept connection as we wrote on it: it has seen nothing of the request.
        if (isRepeatable && asking.reusedSocket && mayReuse && !isTooSlow) return send(to, false);
        const { code } = error as NodeJS.ErrnoException;
        options.log.debug({ app: exchange.appName, process: to.name, code }, "backend broke off");
        if (isTooSlow) {
          return giveUp(504, () => page(request, response, 504, pages.tooSlow(exchange.appName, options.idleLimitMs)));
        }
        giveUp(502, () => page(request, response, 502, pages.brokenOff(exchange.appName)));
      });
      asking.once("response", (answer) => {
        isAnswered = true;
        relayAnswer(answer, response, (count) => {
          bytes += count;
        });
      });
      if (upgrade) {
        asking.once("upgrade", (answer, socket, head) => {
          isAnswered = true;
          response.detachSocket(upgrade.socket as Socket);
          join(upgrade, { answer, socket, head });
        });
      }
    }

    /** Two sockets become one line, until either side closes it. */
    function join(
      client: { socket: Duplex; head: Buffer },
      server: { answer: IncomingMessage; socket: Socket; head: Buffer },
    ): void {
      const [near, far] = [client.socket as Socket, server.socket];
      upgraded.add(near);
      for (const socket of [near, far]) {
        socket.setTimeout(0);
        socket.setNoDelay(true);
        socket.setKeepAlive(true, 30_000);
        socket.on("error", () => socket.destroy());
      }
      near.write(headText(server.answer));
      if (server.head.length > 0) near.write(server.head);
      if (client.head.length > 0) far.write(client.head);
      far.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
      });
      far.pipe(near);
      near.pipe(far);
      far.once("close", () => near.destroySoon());
      near.once("close", () => {
        far.destroySoon();
        upgraded.delete(near);
        finish(server.answer.statusCode ?? 101);
      });
    }

    // Whoever leaves takes the request along; after a complete answer this only ends the accounts.
    response.once("close", () => {
      if (upgrade && upgraded.has(upgrade.socket)) return;
      if (!response.writableFinished) upstream?.destroy();
      finish(response.headersSent ? response.statusCode : 499);
    });
    if (upgrade) upgrade.socket.on("error", () => upgrade.socket.destroy());
    response.on("error", () => upstream?.destroy());
    tryNext();
  }

  return {
    forward,
    forget(backend) {
      const agent = kept.get(backend.id);
      kept.delete(backend.id);
      if (agent) closeIdle(agent);
    },
    close() {
      for (const agent of kept.values()) agent.destroy();
      for (const socket of upgraded) socket.destroy();
    },
  };
}

/** RFC 9110 §9.2.2, as far as they come without a body. */
const idempotentMethods = new Set(["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "TRACE"]);

/** Of these Node expects no body unless told of one; to the others it would add an empty chunked one. */
const bodilessMethods = new Set(["GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "CONNECT"]);

/** RFC 9110 §7.6.1: what is said to the next hop only. Expect was answered by our own listener already. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "expect",
]);

const forwardedHeaders = new Set([
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "forwarded",
  "x-request-id",
]);

function hasBody(request: IncomingMessage): boolean {
  const length = request.headers["content-length"];
  return request.headers["transfer-encoding"] !== undefined || (length !== undefined && Number(length) !== 0);
}

/** Everything is passed on as it came, in its order and spelling, but for what belongs to one hop. */
function requestHeaders(request: IncomingMessage, isUpgrade: boolean, trustForwarded: boolean): string[] {
  const headers = endToEnd(request, (name) => !forwardedHeaders.has(name));
  const socket = request.socket;
  const peer = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  const told = (name: string) => (trustForwarded ? String(request.headers[name] ?? "") : "");
  const before = told("x-forwarded-for");
  headers.push("X-Forwarded-For", before ? `${before}, ${peer}` : peer);
  headers.push("X-Forwarded-Proto", told("x-forwarded-proto") || ((socket as TLSSocket).encrypted ? "https" : "http"));
  headers.push("X-Forwarded-Host", told("x-forwarded-host") || (request.headers.host ?? ""));
  const requestId = String(request.headers["x-request-id"] ?? "");
  headers.push("X-Request-Id", /^[\w.:-]{1,128}$/.test(requestId) ? requestId : randomUUID());
  if (isUpgrade) headers.push("Connection", "Upgrade", "Upgrade", String(request.headers.upgrade ?? ""));
  else if (request.headers["transfer-encoding"] !== undefined) headers.push("Transfer-Encoding", "chunked");
  else if (request.headers["content-length"] === undefined && !bodilessMethods.has(request.method ?? "")) {
    headers.push("Content-Length", "0");
  }
  return headers;
}

/** The raw headers, name and value in turn, without those of this hop; names are compared in lower case. */
function endToEnd(message: IncomingMessage, isPassedOn: (lowerName: string) => boolean = () => true): string[] {
  const named = (message.headers.connection ?? "").toLowerCase().split(",");
  const alsoHop = new Set(named.map((name) => name.trim()));
  // Without its length a body would be read as the next request, and without a Host nobody knows whose it is: a client
  // that names them in Connection does not get them taken off.
  for (const name of ["content-length", "host"]) alsoHop.delete(name);
  const kept: string[] = [];
  for (let at = 0; at < message.rawHeaders.length; at += 2) {
    const name = message.rawHeaders[at]!.toLowerCase();
    if (hopByHop.has(name) || alsoHop.has(name) || !isPassedOn(name)) continue;
    kept.push(message.rawHeaders[at]!, message.rawHeaders[at + 1]!);
  }
  return kept;
}

/** A request for a proxy (`GET http://host/path`) names the path with its host before it. */
function pathOf(request: IncomingMessage): string {
  const target = request.url ?? "/";
  if (target.startsWith("/") || target === "*") return target;
  return target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "") || "/";
}

function sendBody(request: IncomingMessage, asking: ClientRequest): void {
  request.pipe(asking, { end: false });
  // A client may want to see an answer's head before it sends any of its body.
  setImmediate(() => {
    if (asking.socket && asking.socket.bytesWritten === 0 && !asking.destroyed) asking.flushHeaders();
  });
  request.once("end", () => {
    if (request.rawTrailers.length > 0) asking.addTrailers(inPairs(request.rawTrailers));
    asking.end();
  });
  // The client broke off in the middle: a length kept short would look like a whole request.
  request.once("close", () => {
    if (!request.complete) asking.destroy();
  });
}

function relayAnswer(answer: IncomingMessage, response: ServerResponse, count: (bytes: number) => void): void {
  if (response.destroyed) {
    answer.destroy();
    return;
  }
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer));
  let isSilent = true;
  answer.on("data", (chunk: Buffer) => {
    isSilent = false;
    count(chunk.length);
  });
  answer.pipe(response, { end: false });
  // An answer that begins and then waits (server-sent events) shows its head at once.
  setImmediate(() => {
    if (isSilent && !response.writableEnded && !response.destroyed) response.flushHeaders();
  });
  answer.once("end", () => {
    if (answer.rawTrailers.length > 0) response.addTrailers(inPairs(answer.rawTrailers));
    response.end();
  });
  // A half answer must not look whole.
  answer.once("close", () => {
    if (!answer.complete) response.destroy();
  });
  answer.on("error", () => response.destroy());
}

function headText(answer: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  for (let at = 0; at < answer.rawHeaders.length; at += 2) {
    lines.push(`${answer.rawHeaders[at]}: ${answer.rawHeaders[at + 1]}`);
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}

function inPairs(raw: string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[index * 2]!, raw[index * 2 + 1]!]);
}

/** `Agent.destroy` would cut the requests that still run; these finish first and find no place to be kept. */
function closeIdle(agent: Agent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}
