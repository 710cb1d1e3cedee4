import WebSocket from "ws";
import { decodeFrame, encodeFrame, type RunFrame, type RunStatus, windowBytes } from "../../src/model/run-frames.ts";

/** Somebody who is attached to a command, message by message. */
export type Attached = {
  socket: WebSocket;
  send(frame: RunFrame): void;
  type(keys: string): void;
  /** All that came of a stream so far. */
  text(channel: "stdout" | "stderr"): string;
  receivedBytes(): number;
  /** How many bytes of input the other side has said that it takes. */
  granted(): number;
  /** The last word; undefined where the connection ended without. */
  status: Promise<RunStatus | undefined>;
  /** With which code and words the connection ended. */
  closed: Promise<{ code: number; reason: string }>;
};

export type AttachOptions = {
  token?: string;
  /** `columns=80&rows=24` */
  query?: string;
  headers?: Record<string, string>;
  /** Whether it takes output as it comes; yes by default. */
  reads?: boolean;
};

/** What was answered instead of opening the WebSocket. */
export class Answered extends Error {
  readonly answer: { status: number; body: { error: { code: string; message: string; hint?: string } } };

  constructor(answer: Answered["answer"]) {
    super(`answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    this.answer = answer;
  }
}

/** Attaches to a run. @throws Answered where that is refused */
export async function attachTo(url: string, runId: string, options: AttachOptions): Promise<Attached> {
  const { token, query, headers, reads = true } = options;
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/api/runs/${runId}/attach${query ? `?${query}` : ""}`, {
    headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
  });
  const texts = { stdout: "", stderr: "" };
  let [received, granted] = [0, 0];
  let status: RunStatus | undefined;
  const send = (frame: RunFrame) => {
    if (socket.readyState === socket.OPEN) socket.send(encodeFrame(frame));
  };
  socket.on("message", (data) => {
    const frame = decodeFrame(data as Buffer);
    if (frame?.channel === "status") status = frame.status;
    if (frame?.channel === "window") granted += frame.bytes;
    if (frame?.channel !== "stdout" && frame?.channel !== "stderr") return;
    texts[frame.channel] += Buffer.from(frame.bytes).toString();
    received += frame.bytes.length;
    if (reads) send({ channel: "window", bytes: frame.bytes.length });
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() })),
  );
  await new Promise<void>((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
    socket.once("unexpected-response", async (_, response) => {
      let body = "";
      for await (const chunk of response) body += chunk;
      reject(new Answered({ status: response.statusCode!, body: JSON.parse(body) }));
    });
  });
  socket.on("error", () => {});
  if (reads) send({ channel: "window", bytes: windowBytes });
  return {
    socket,
    send,
    type: (keys) => send({ channel: "stdin", bytes: Buffer.from(keys) }),
    text: (channel) => texts[channel],
    receivedBytes: () => received,
    granted: () => granted,
    status: closed.then(() => status),
    closed,
  };
}
