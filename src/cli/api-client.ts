import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { isThisMachine } from "./settings.ts";
import { Interrupted } from "./world.ts";

/** A Zyndra to talk to. */
export type Server = { url: string; token?: string | undefined; version: string };

/** What the server refused, in its own words. */
export class Refusal extends Error {
  override name = "Refusal";
  readonly status: number;
  readonly code: string;
  readonly hint: string | undefined;
  readonly confirm: { warning: string; type: string } | undefined;

  constructor(status: number, body: RefusalBody) {
    super(body.error.message);
    this.status = status;
    this.code = body.error.code;
    this.hint = body.error.hint;
    this.confirm = body.confirm;
  }
}

/** The server could not be asked, or did not answer as a Zyndra does. */
export class Unreachable extends Error {
  override name = "Unreachable";
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

type RefusalBody = {
  error: { code: string; message: string; hint?: string };
  confirm?: { warning: string; type: string };
};

/** A command may hold the answer back for as long as the server allows a statement; more is a hang. */
const answerWithinMs = 60_000;
/** The server sends a heartbeat every 10 s. */
export const silenceMs = 30_000;
const maxAnswerBytes = 64 * 1024 * 1024;

/** Asks once. @throws Refusal, Unreachable, Interrupted */
export async function ask<Answer>(
  server: Server,
  request: { method: "GET" | "POST"; path: string; body?: unknown },
  signal: AbortSignal,
  withinMs: number = answerWithinMs,
): Promise<Answer> {
  const response = await send(server, request, signal, withinMs);
  const text = await readText(response).catch((error) => {
    throw failed(server, error, signal);
  });
  return answerIn<Answer>(server, response, text);
}

/** One message of a stream of server-sent events. */
export type Message = { id: string | undefined; event: string; data: unknown };

/** How a stream is asked for, anew after each break: `lastId` is the id of the last message that came. */
export type StreamRequest = (lastId: string | undefined) => { path: string };

export type FollowOptions = {
  signal: AbortSignal;
  /** Told once for each break that is not mended at once. */
  onBreak(): void;
  /** How long a server may stay away, in ms. */
  giveUpAfterMs?: number;
};

const firstRetryMs = 200;
const lastRetryMs = 2_000;
const giveUpAfterMs = 120_000;

/**
 * Follows a stream over breaks, until its reader has seen enough: each time it is asked for again with the last id, so that
 * the server goes on where it was.
 * @throws Refusal, Interrupted; Unreachable once the server stays away for too long
 */
export async function* follow(
  server: Server,
  request: StreamRequest,
  options: FollowOptions,
): AsyncGenerator<Message, void> {
  let lastId: string | undefined;
  let awaySinceMs: number | undefined;
  let failures = 0;
  for (;;) {
    let problem: unknown;
    try {
      const headers: Record<string, string> = lastId === undefined ? {} : { "last-event-id": lastId };
      const response = await send(
        server,
        { method: "GET", path: request(lastId).path, headers },
        options.signal,
        silenceMs,
      );
      if (response.statusCode !== 200) answerIn(server, response, await readText(response));
      awaySinceMs = undefined;
      for await (const message of messagesIn(response)) {
        failures = 0;
        if (message.id !== undefined) lastId = message.id;
        if (message.event === "error") throw new Refusal(200, { error: message.data as RefusalBody["error"] });
        yield message;
      }
    } catch (error) {
      if (error instanceof Refusal && !mayPass(error)) throw error;
      problem = error;
    }
    if (options.signal.aborted) throw new Interrupted();
    awaySinceMs ??= Date.now();
    if (problem !== undefined && Date.now() - awaySinceMs > (options.giveUpAfterMs ?? giveUpAfterMs)) throw problem;
    failures++;
    if (failures === 2) options.onBreak();
    await delay(Math.min(firstRetryMs * 2 ** (failures - 1), lastRetryMs), undefined, { signal: options.signal }).catch(
      () => {},
    );
  }
}

/** A server that restarts, is busy or has a proxy without a back end in front of it comes back. */
function mayPass({ status }: Refusal): boolean {
  return status === 429 || status >= 500;
}

/** The messages of a response as they come; one that a break has cut in half is not one. */
async function* messagesIn(response: IncomingMessage): AsyncGenerator<Message, void> {
  let rest = "";
  response.setEncoding("utf8");
  for await (const chunk of response as AsyncIterable<string>) {
    const blocks = (rest + chunk).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const message = parseMessage(block);
      if (message) yield message;
    }
  }
}

function parseMessage(block: string): Message | undefined {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const [, name = "", value = ""] = /^([a-z]+): ?(.*)$/s.exec(line) ?? [];
    if (name !== "") fields.set(name, fields.has(name) ? `${fields.get(name)}\n${value}` : value);
  }
  const data = fields.get("data");
  if (data === undefined) return undefined;
  return { id: fields.get("id"), event: fields.get("event") ?? "message", data: JSON.parse(data) };
}

/** How a server is reached, and what it is told of who asks. */
export function addressOf({ url, token, version }: Server) {
  const base = new URL(url);
  const name = base.hostname.replace(/^\[|\]$/g, "");
  return {
    isTls: base.protocol === "https:",
    // Node asks the machine's resolver, which seldom knows names below localhost (RFC 6761 §6.3 says what they are).
    hostname: name.endsWith(".localhost") ? "127.0.0.1" : name,
    serverName: name,
    port: base.port,
    pathPrefix: base.pathname.replace(/\/$/, ""),
    headers: {
      host: base.host,
      "user-agent": `zyndra-cli/${version}`,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
  };
}

type Sent = { method: string; path: string; body?: unknown; headers?: Record<string, string> };

/** Sends a request and waits for the head of the answer. The connection is given up after `silentMs` without a byte. */
async function send(server: Server, sent: Sent, signal: AbortSignal, silentMs: number): Promise<IncomingMessage> {
  const { isTls, hostname, port, pathPrefix, headers } = addressOf(server);
  const { request } = await (isTls ? import("node:https") : import("node:http"));
  const body = sent.body === undefined ? undefined : JSON.stringify(sent.body);
  const options: RequestOptions = {
    method: sent.method,
    hostname,
    port,
    path: pathPrefix + sent.path,
    agent: false,
    headers: {
      ...headers,
      accept: "application/json, text/event-stream",
      ...(body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
      ...sent.headers,
    },
    signal,
  };
  try {
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const asked: ClientRequest = request(options, resolve);
      asked.setTimeout(silentMs, () => asked.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
      asked.on("error", reject);
      asked.end(body);
    });
  } catch (error) {
    throw failed(server, error as Error, signal);
  }
}

export async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxAnswerBytes) throw new Error("the answer is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The JSON of a good answer. @throws Refusal; Unreachable where something else than a Zyndra has answered */
export function answerIn<Answer>(server: Server, response: IncomingMessage, text: string): Answer {
  const status = response.statusCode ?? 0;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {}
  if (status === 200 && json !== undefined) return json as Answer;
  if ((json as Partial<RefusalBody> | undefined)?.error?.message !== undefined)
    throw new Refusal(status, json as RefusalBody);
  const moved = response.headers.location;
  if (status >= 300 && status < 400 && moved !== undefined) {
    throw new Unreachable(
      `${server.url} sends on to ${moved}`,
      `use that address: zyndra login ${new URL(moved, server.url).origin}`,
    );
  }
  if (status >= 500) {
    throw new Refusal(status, {
      error: { code: "unavailable", message: `${server.url} answers HTTP ${status}`, hint: "try again in a moment" },
    });
  }
  throw new Unreachable(
    `${server.url} does not answer as a Zyndra does (HTTP ${status})`,
    "check the address: zyndra login URL",
  );
}

export function failed(server: Server, error: Error & { code?: string }, signal: AbortSignal): Error {
  if (signal.aborted) return new Interrupted();
  const why = reasons[error.code ?? ""] ?? error.code ?? error.message;
  if (/CERT|SIGNATURE|ISSUER/.test(error.code ?? "")) {
    return new Unreachable(
      `${server.url} cannot be trusted: ${error.message}`,
      "if it has a certificate of your own authority: NODE_EXTRA_CA_CERTS=FILE names that",
    );
  }
  const isDownHere = error.code === "ECONNREFUSED" && isThisMachine(new URL(server.url).hostname);
  return new Unreachable(
    `${server.url} cannot be reached: ${why}`,
    isDownHere
      ? "start it: zyndra start, in the folder that holds its .zyndra (in a checkout: npm start)"
      : "is it running, and is that its address? zyndra login URL chooses another",
  );
}

const reasons: Record<string, string> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "no machine has that name",
  EAI_AGAIN: "names cannot be looked up; is there a network?",
  ETIMEDOUT: "it does not answer",
  ECONNRESET: "the connection broke",
  EPIPE: "the connection broke",
  EHOSTUNREACH: "there is no way to it",
  ENETUNREACH: "there is no network to it",
  EPROTO: "it does not speak TLS there",
};
