import type { IncomingMessage } from "node:http";
import WebSocket from "ws";
import { maxMessageBytes } from "../model/run-frames.ts";
import { addressOf, answerIn, failed, readText, type Server, silenceMs } from "./api-client.ts";
import { Interrupted } from "./world.ts";

/** How often to look whether the server is still heard. */
const lookEveryMs = 5_000;

/**
 * Opens a WebSocket of the server's, paused, so that nothing comes before somebody listens. It is given up when nothing is
 * heard of the server for too long.
 * @throws Refusal, Unreachable, Interrupted
 */
export async function openSocket(server: Server, path: string, signal: AbortSignal): Promise<WebSocket> {
  if (signal.aborted) throw new Interrupted();
  const { isTls, hostname, serverName, port, pathPrefix, headers } = addressOf(server);
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const url = `${isTls ? "wss" : "ws"}://${host}${port === "" ? "" : `:${port}`}${pathPrefix}${path}`;
  const socket = new WebSocket(url, {
    headers,
    ...(isTls ? { servername: serverName } : {}),
    perMessageDeflate: false,
    handshakeTimeout: silenceMs,
    maxPayload: maxMessageBytes,
  });
  const give = () => socket.terminate();
  signal.addEventListener("abort", give, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("open", () => {
        socket.pause();
        resolve();
      });
      socket.once("error", reject);
      socket.once("unexpected-response", (_, response) => reject(new Answered(response)));
    });
    socket.on("error", () => {});
    endInSilence(socket);
    return socket;
  } catch (error) {
    socket.on("error", () => {});
    if (error instanceof Answered) return await refusalIn(server, error.response, socket);
    throw failed(server, error as Error, signal);
  } finally {
    signal.removeEventListener("abort", give);
  }
}

class Answered extends Error {
  override name = "Answered";
  readonly response: IncomingMessage;

  constructor(response: IncomingMessage) {
    super("the server has answered instead of opening a WebSocket");
    this.response = response;
  }
}

async function refusalIn(server: Server, response: IncomingMessage, socket: WebSocket): Promise<never> {
  try {
    answerIn(server, response, await readText(response));
  } finally {
    socket.terminate();
  }
  throw new Error("a WebSocket was answered with 200");
}

function endInSilence(socket: WebSocket): void {
  let heardAtMs = performance.now();
  const note = () => {
    heardAtMs = performance.now();
  };
  socket.on("ping", note);
  socket.on("message", note);
  const timer = setInterval(() => {
    if (performance.now() - heardAtMs > silenceMs) socket.terminate();
  }, lookEveryMs);
  socket.on("close", () => clearInterval(timer));
}
