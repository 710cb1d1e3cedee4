import type { ByteReader } from "./byte-reader.ts";
import { EndedEarly } from "./byte-reader.ts";

/**
 * git's framing: four hexadecimal digits that count themselves and what follows; 0000 is a flush.
 * (gitprotocol-common, "pkt-line Format".)
 */
export type Packet = Buffer | "flush";

export const flushPacket: Buffer = Buffer.from("0000");

/** git's LARGE_PACKET_MAX without the length digits. */
export const maxPayloadBytes = 65_516;

/** The bytes are not what the protocol says. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/** Frames a payload. Throws RangeError on one that no packet can carry. */
export function packet(payload: string | Buffer): Buffer {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  if (bytes.length > maxPayloadBytes)
    throw new RangeError(`a packet carries ${maxPayloadBytes} bytes, not ${bytes.length}`);
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, "0")), bytes]);
}

/** The next packet; null at a clean end. Throws ProtocolError, or EndedEarly in the middle of one. */
export async function readPacket(reader: ByteReader): Promise<Packet | null> {
  const digits = await reader.read(4);
  if (!digits) return null;
  const text = digits.toString("latin1");
  if (!/^[0-9a-f]{4}$/i.test(text)) throw new ProtocolError(`${JSON.stringify(text)} is no packet length`);
  const length = Number.parseInt(text, 16);
  if (length === 0) return "flush";
  if (length < 4 || length > maxPayloadBytes + 4) throw new ProtocolError(`a packet cannot be ${length} bytes long`);
  if (length === 4) return Buffer.alloc(0);
  const payload = await reader.read(length - 4);
  if (!payload) throw new EndedEarly("the stream ended within a packet");
  return payload;
}

/** A packet's text without the line feed that senders may add. */
export function packetText(payload: Buffer): string {
  const end = payload.at(-1) === 0x0a ? payload.length - 1 : payload.length;
  return payload.toString("utf8", 0, end);
}

/** The side bands of an answer: 1 carries what was asked for, 2 is shown to the person, 3 ends everything. */
export const band = { data: 1, message: 2, fatal: 3 } as const;

/** Data for one band, in as many packets as it takes. */
export function sideBand(number: 1 | 2 | 3, data: Buffer | string): Buffer {
  const bytes = typeof data === "string" ? Buffer.from(data) : data;
  const packets: Buffer[] = [];
  const portion = maxPayloadBytes - 1;
  for (let at = 0; at < bytes.length; at += portion) {
    packets.push(packet(Buffer.concat([Buffer.from([number]), bytes.subarray(at, at + portion)])));
  }
  return Buffer.concat(packets);
}
