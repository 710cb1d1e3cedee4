import { EventEmitter } from "node:events";
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import type { WebSocket } from "ws";
import { encodeFrame, pieceBytes, type RunFrame } from "../../src/model/run-frames.ts";
import { passingOn } from "../../src/runtime/local/one-off.ts";
import { openSocketEnd } from "../../src/web/socket-end.ts";

/** A WebSocket whose peer reads only when it is told to. */
class UnreadSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  closedWith: number | undefined;
  readonly #waiting: (() => void)[] = [];

  send(bytes: Buffer, sent: () => void): void {
    this.bufferedAmount += bytes.length;
    this.#waiting.push(() => {
      this.bufferedAmount -= bytes.length;
      sent();
    });
  }
  /** The peer reads one message. */
  read(): void {
    this.#waiting.shift()?.();
  }
  says(frame: RunFrame): void {
    if (this.readyState === this.OPEN) this.emit("message", encodeFrame(frame), true);
  }
  close(code: number): void {
    this.closedWith ??= code;
  }
  terminate(): void {
    this.readyState = 3;
    this.emit("close");
  }
}

function attached() {
  const socket = new UnreadSocket();
  const peer = openSocketEnd(socket as unknown as WebSocket, undefined, { silentMs: 60_000 });
  socket.read();
  return { socket, peer };
}

test("output waits for a peer that does not read, however much it says that it takes", () => {
  const { socket, peer } = attached();
  socket.says({ channel: "window", bytes: 16 * 1024 * 1024 });
  let isWritten = false;
  peer.end.stdout.write(Buffer.alloc(8 * 1024 * 1024), () => {
    isWritten = true;
  });
  for (let messages = 0; messages < 256; messages++) {
    expect(isWritten).toBe(false);
    expect(socket.bufferedAmount).toBe(pieceBytes + 1);
    socket.read();
  }
  expect(socket.bufferedAmount).toBe(0);
});

test("a peer that takes more than anybody can is sent away", () => {
  const { socket, peer } = attached();
  for (let count = 0; count < 2; count++) socket.says({ channel: "window", bytes: 16 * 1024 * 1024 });
  expect(socket.closedWith).toBe(1008);
  expect(peer.gone.aborted).toBe(true);
});

test("a peer that makes us answer and never reads is sent away", () => {
  const { socket, peer } = attached();
  peer.end.stdin.resume();
  peer.end.stdin.destroy();
  for (let count = 0; count < 1_000_000 && !peer.gone.aborted; count++) {
    socket.says({ channel: "stdin", bytes: Buffer.from("x") });
  }
  expect(peer.gone.aborted).toBe(true);
  expect(socket.bufferedAmount).toBeLessThan(1_100_000);
});

test("of the sizes of a window that come faster than they are taken only the newest counts", () => {
  const taken: Buffer[] = [];
  let take = () => {};
  const input = new Writable({
    write(bytes, _, done) {
      taken.push(bytes);
      take = done;
    },
  });
  let interrupts = 0;
  const hear = passingOn({ input, interrupt: () => interrupts++ });
  for (let columns = 1; columns <= 10_000; columns++) {
    hear({ kind: "resize", size: { columns, rows: 24 } });
    hear({ kind: "interrupt" });
  }
  expect(input.writableLength).toBe(9);
  take();
  return new Promise<void>((resolve) => {
    setImmediate(() => {
      expect(taken.map((bytes) => bytes.readUInt16BE(5))).toEqual([1, 10_000]);
      expect(interrupts).toBeLessThan(500);
      resolve();
    });
  });
});
