import { z } from "zod";

/**
 * How somebody who is attached to a command talks to the platform: binary messages of a WebSocket, each with a channel in its
 * first byte. 0 to 4 and 255 are those of Kubernetes' remote commands (v5.channel.k8s.io). The others are ours:
 *
 *   window      how many more bytes of a stream the sender of this message takes: of both outputs together, or of the input.
 *               Both begin with 0 and say theirs first. So one side may stop reading without stopping its ears: the beats of
 *               the connection's heart, Ctrl-C and the end pass by what waits.
 *   interrupt   Ctrl-C where the command has no terminal to make a signal of it
 */
const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4, window: 5, interrupt: 6, close: 255 } as const;

export type RunFrame =
  | { channel: "stdin" | "stdout" | "stderr"; bytes: Uint8Array }
  | { channel: "status"; status: RunStatus }
  | { channel: "resize"; size: { columns: number; rows: number } }
  | { channel: "window"; bytes: number }
  | { channel: "interrupt" }
  /** The input has ended. */
  | { channel: "close" };

/** The last message: how the command ended, or why it was ended. */
export type RunStatus = { exitCode: number } | { error: { code: string; message: string; hint?: string | undefined } };

/** How much of a stream may be on its way. */
export const windowBytes = 256 * 1024;
/** A peer that wants to have more on its way at once is none of ours. */
const maxWindowBytes = 16 * 1024 * 1024;
/** The longest piece of a stream in one message. */
export const pieceBytes = 32 * 1024;
/** No message is longer; a peer that sends a longer one is none of ours. */
export const maxMessageBytes = 128 * 1024;

export function encodeFrame(frame: RunFrame): Buffer {
  return Buffer.concat([Buffer.from([channels[frame.channel]]), payloadOf(frame)]);
}

function payloadOf(frame: RunFrame): Uint8Array {
  switch (frame.channel) {
    case "stdin":
    case "stdout":
    case "stderr":
      return frame.bytes;
    case "status":
      return Buffer.from(JSON.stringify(frame.status));
    case "resize":
      return Buffer.from(JSON.stringify(frame.size));
    case "window":
      return Buffer.from(JSON.stringify(frame.bytes));
    case "interrupt":
      return new Uint8Array();
    case "close":
      return Buffer.from([channels.stdin]);
  }
}

/** Undefined for what is none. */
export function decodeFrame(message: Uint8Array): RunFrame | undefined {
  const channel = Object.entries(channels).find(([, number]) => number === message[0])?.[0] as RunFrame["channel"];
  const payload = message.subarray(1);
  switch (channel) {
    case "stdin":
    case "stdout":
    case "stderr":
      return { channel, bytes: payload };
    case "status": {
      const status = parsed(payload, Status);
      return status && { channel, status };
    }
    case "resize": {
      const size = parsed(payload, TerminalSize);
      return size && { channel, size };
    }
    case "window": {
      const bytes = parsed(payload, WindowBytes);
      return bytes === undefined ? undefined : { channel, bytes };
    }
    case "interrupt":
      return { channel };
    case "close":
      return payload[0] === channels.stdin ? { channel } : undefined;
    default:
      return undefined;
  }
}

const side = z.number().int().min(1).max(10_000);
export const TerminalSize = z.object({ columns: side, rows: side });
const WindowBytes = z.number().int().min(0).max(maxWindowBytes);
const Status = z.union([
  z.object({ exitCode: z.number().int().min(0).max(255) }),
  z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }) }),
]);

function parsed<T>(payload: Uint8Array, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.safeParse(JSON.parse(Buffer.from(payload).toString("utf8"))).data;
  } catch {
    return undefined;
  }
}

/** How many more bytes the other side takes. Whoever wants to send some is called when that is any, with how many. */
export type Allowance = {
  spend(most: number, send: (bytes: number) => void): void;
  /** False where that is more than anybody may be sent at once. */
  add(bytes: number): boolean;
};

export function openAllowance(): Allowance {
  let left = 0;
  const waiting: { most: number; send: (bytes: number) => void }[] = [];
  const serve = () => {
    while (left > 0 && waiting.length > 0) {
      const { most, send } = waiting.shift()!;
      const bytes = Math.min(most, left);
      left -= bytes;
      send(bytes);
    }
  };
  return {
    spend(most, send) {
      waiting.push({ most, send });
      serve();
    },
    add(bytes) {
      if (left + bytes > maxWindowBytes) return false;
      left += bytes;
      serve();
      return true;
    },
  };
}
