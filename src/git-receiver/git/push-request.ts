import { UserError } from "../../errors.ts";
import type { ByteReader } from "./byte-reader.ts";
import { flushPacket, type Packet, ProtocolError, packet, packetText, readPacket } from "./pkt-line.ts";
import type { RefUpdate } from "./push.ts";
import { refNameFault } from "./ref-names.ts";

/**
 * What stands before the pack in the body of `git-receive-pack` (gitprotocol-pack, "Reference Update Request"):
 * shallow lines, one command for each ref with the capabilities behind the first, and the push options.
 */
export type PushRequest = {
  updates: RefUpdate[];
  /** Commits at which the pusher's history is cut off. */
  shallow: string[];
  capabilities: string[];
  options: string[];
};

/**
 * Reads it whole, up to the pack. Answers null for the empty request by which clients try whether they may push before
 * they send something large. Throws ProtocolError, EndedEarly, or
 * UserError `too_large`.
 */
export async function readPushRequest(reader: ByteReader, limits: { maxBytes: number }): Promise<PushRequest | null> {
  const budget = { leftBytes: limits.maxBytes };
  const first = await readWithin(reader, budget);
  if (first === null) throw new ProtocolError("the request is empty");
  if (first === "flush") return null;

  const request: PushRequest = { updates: [], shallow: [], capabilities: [], options: [] };
  for (let line: Packet = first; line !== "flush"; line = await expectPacket(reader, budget)) {
    readCommand(line, request);
  }
  if (request.updates.length === 0) throw new ProtocolError("the request names no ref");
  if (new Set(request.updates.map(({ ref }) => ref)).size < request.updates.length) {
    throw new ProtocolError("the request names one ref twice");
  }
  if (request.capabilities.includes("push-options")) {
    for (;;) {
      const option = await expectPacket(reader, budget);
      if (option === "flush") break;
      request.options.push(packetText(option));
    }
  }
  return request;
}

/** The same bytes again, for git, with some of the commands left out. */
export function encodePushRequest(request: PushRequest, updates: RefUpdate[]): Buffer {
  const commands = updates.map(({ oldId, newId, ref }, index) =>
    packet(`${oldId} ${newId} ${ref}${index === 0 ? `\0 ${request.capabilities.join(" ")}` : ""}`),
  );
  const options = request.capabilities.includes("push-options") ? [...request.options.map(packet), flushPacket] : [];
  return Buffer.concat([...request.shallow.map((id) => packet(`shallow ${id}`)), ...commands, flushPacket, ...options]);
}

/** Sorts a push into what git is asked to do and what is refused here, with the reason for each ref. */
export function sortUpdates(
  request: PushRequest,
  limits: { maxRefs: number },
): { accepted: RefUpdate[]; refused: Map<string, string> } {
  const refused = new Map<string, string>();
  if (request.updates.length > limits.maxRefs) {
    for (const { ref } of request.updates)
      refused.set(ref, `a push may change ${limits.maxRefs} refs, not ${request.updates.length}`);
    return { accepted: [], refused };
  }
  for (const { ref } of request.updates) {
    const fault = refNameFault(ref);
    if (fault) refused.set(ref, fault);
  }
  const accepted = request.updates.filter(({ ref }) => !refused.has(ref));
  const [firstRefused] = refused.keys();
  if (firstRefused !== undefined && request.capabilities.includes("atomic")) {
    for (const { ref } of accepted) refused.set(ref, `atomic push: ${firstRefused} is refused`);
    return { accepted: [], refused };
  }
  return { accepted, refused };
}

function readCommand(line: Buffer, request: PushRequest): void {
  const nul = line.indexOf(0);
  const text = packetText(nul < 0 ? line : line.subarray(0, nul));
  const shallow = /^shallow ([0-9a-f]{40}(?:[0-9a-f]{24})?)$/.exec(text);
  if (shallow) {
    if (request.updates.length > 0) throw new ProtocolError("a shallow line stands behind a command");
    request.shallow.push(shallow[1]!);
    return;
  }
  const command = /^([0-9a-f]{40}(?:[0-9a-f]{24})?) ([0-9a-f]{40}(?:[0-9a-f]{24})?) (.+)$/s.exec(text);
  if (!command) throw new ProtocolError(`${JSON.stringify(text.slice(0, 60))} is no command of a push`);
  const [, oldId, newId, ref] = command as unknown as [string, string, string, string];
  if (request.updates.length === 0 && nul >= 0) {
    request.capabilities = packetText(line.subarray(nul + 1))
      .split(" ")
      .filter(Boolean);
  } else if (nul >= 0) {
    throw new ProtocolError("capabilities stand behind a later command");
  }
  request.updates.push({ ref, oldId, newId });
}

async function expectPacket(reader: ByteReader, budget: { leftBytes: number }): Promise<Packet> {
  const line = await readWithin(reader, budget);
  if (line === null) throw new ProtocolError("the request ends before its commands do");
  return line;
}

async function readWithin(reader: ByteReader, budget: { leftBytes: number }): Promise<Packet | null> {
  const line = await readPacket(reader);
  budget.leftBytes -= line === null || line === "flush" ? 4 : line.length + 4;
  if (budget.leftBytes < 0)
    throw new UserError("too_large", "the push names too many refs or options", "push fewer at once");
  return line;
}
