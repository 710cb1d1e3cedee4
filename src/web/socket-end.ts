import { PassThrough, Writable } from "node:stream";
import type { WebSocket } from "ws";
import {
  decodeFrame,
  encodeFrame,
  openAllowance,
  pieceBytes,
  type RunFrame,
  type RunStatus,
  windowBytes,
} from "../model/run-frames.ts";
import type { EndSignal, OtherEnd } from "../runtime/runtime.ts";

/** Somebody who is attached to a command over a WebSocket. */
export type SocketEnd = {
  end: OtherEnd;
  /** Aborts when nobody is there any more. */
  gone: AbortSignal;
  /** Sends a sign of life; who has not answered for too long counts as gone. */
  beat(): void;
  /** The last word, how it ended; what comes after the first is not said. */
  close(status: RunStatus): void;
};

/** Whoever is attached has left, or what they sent was no message of ours. */
export class PeerGone extends Error {
  override name = "PeerGone";
}

/** Of what we answer, so much may wait for a peer that does not read; output waits elsewhere. */
const maxUnreadBytes = 1024 * 1024;

export function openSocketEnd(
  socket: WebSocket,
  terminal: OtherEnd["terminal"],
  { silentMs }: { silentMs: number },
): SocketEnd {
  const gone = new AbortController();
  const outgoing = openAllowance();
  const stdin = new PassThrough();
  let incomingBytes = windowBytes;
  let hear = (_: EndSignal) => {};
  let heardAtMs = performance.now();
  let isClosed = false;

  /** Calls back once the message has left our memory, or never will. */
  const send = (frame: RunFrame, sent = () => {}) => {
    if (socket.readyState === socket.OPEN) socket.send(encodeFrame(frame), () => sent());
    else sent();
  };
  const leave = (why: string) => {
    stdin.destroy();
    gone.abort(new PeerGone(why));
  };

  /** False for what nobody should send. */
  const take = (frame: RunFrame | undefined): boolean => {
    switch (frame?.channel) {
      case "stdin":
        return takeInput(frame.bytes);
      case "close":
        if (stdin.writable) stdin.end();
        return true;
      case "window":
        return outgoing.add(frame.bytes);
      case "resize":
        hear({ kind: "resize", size: frame.size });
        return true;
      case "interrupt":
        hear({ kind: "interrupt" });
        return true;
      default:
        return false;
    }
  };
  const takeInput = (bytes: Uint8Array): boolean => {
    if (bytes.length === 0) return true;
    incomingBytes -= bytes.length;
    if (incomingBytes < 0) return false;
    const giveBack = () => {
      incomingBytes += bytes.length;
      send({ channel: "window", bytes: bytes.length });
    };
    // A command that has ended, or wants no more, takes everything.
    if (stdin.writable) stdin.write(bytes, giveBack);
    else giveBack();
    return true;
  };

  stdin.on("error", () => {});
  socket.on("error", () => {});
  socket.on("close", () => leave("the connection has ended"));
  socket.on("pong", () => {
    heardAtMs = performance.now();
  });
  socket.on("ping", () => {
    if (socket.bufferedAmount > maxUnreadBytes) socket.terminate();
  });
  socket.on("message", (data, isBinary) => {
    heardAtMs = performance.now();
    if (socket.bufferedAmount > maxUnreadBytes) return socket.terminate();
    if (isClosed || (isBinary && take(decodeFrame(data as Buffer)))) return;
    socket.close(1008, "this is no message of a run");
    leave("something else than messages of a run came");
  });
  send({ channel: "window", bytes: windowBytes });

  const output = (channel: "stdout" | "stderr") =>
    new Writable({
      write(chunk: Buffer, _, done) {
        let at = 0;
        const next = () => {
          if (at === chunk.length) return done();
          outgoing.spend(Math.min(pieceBytes, chunk.length - at), (bytes) => {
            const piece = chunk.subarray(at, at + bytes);
            at += bytes;
            // A peer may take more than its connection does: what it does not read waits in the command, not here.
            send({ channel, bytes: piece }, next);
          });
        };
        next();
      },
    });

  return {
    end: {
      stdin,
      stdout: output("stdout"),
      stderr: output("stderr"),
      ...(terminal ? { terminal } : {}),
      onSignal: (listener) => {
        hear = listener;
      },
    },
    gone: gone.signal,
    beat() {
      if (performance.now() - heardAtMs > silentMs) socket.terminate();
      else if (socket.readyState === socket.OPEN) socket.ping();
    },
    close(status) {
      if (isClosed) return;
      isClosed = true;
      send({ channel: "status", status });
      socket.close(1000);
    },
  };
}
