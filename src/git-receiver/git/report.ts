import type { Answer } from "./answer.ts";
import { ByteReader, EndedEarly } from "./byte-reader.ts";
import { band, flushPacket, packet, packetText, readPacket, sideBand } from "./pkt-line.ts";
import type { PushRequest } from "./push-request.ts";

/** What receive-pack says at its end (gitprotocol-pack, "Report Status"): how unpacking went, and what became of each ref. */
export type Report = { unpack: string; refs: RefReport[] };
export type RefReport = { ref: string; reason: string | null; options: string[] };

/** A report, and what the pusher is told beside it. */
export type FinalWord = { report: Report; lines: string[] };

/**
 * Passes receive-pack's output on as it comes, and holds back its report: `conclude` gets it (null where git gave none) and
 * says what is sent instead. Without side bands nothing but the report is sent; without `report-status` there is none.
 */
export async function relayAnswer(
  output: AsyncIterable<Buffer>,
  answer: Answer,
  request: PushRequest,
  conclude: (report: Report | null) => Promise<FinalWord>,
): Promise<void> {
  const reader = new ByteReader(output);
  const held = hasSideBand(request) ? await relayBands(reader, answer) : await readAll(reader);
  const finalWord = await conclude(await parseReport(held));
  await answer.write(encodeFinalWord(request, finalWord));
}

/** The whole answer to a push that git was never asked about. */
export function encodeFinalWord(request: PushRequest, { report, lines }: FinalWord): Buffer {
  const reportBytes = wantsReport(request) ? encodeReport(report) : Buffer.alloc(0);
  if (!hasSideBand(request)) return reportBytes;
  const messages = lines.length > 0 ? sideBand(band.message, `${lines.join("\n")}\n`) : Buffer.alloc(0);
  return Buffer.concat([messages, sideBand(band.data, reportBytes), flushPacket]);
}

/** Whether this client can be told per ref what became of it. */
export function wantsReport({ capabilities }: PushRequest): boolean {
  return capabilities.includes("report-status") || capabilities.includes("report-status-v2");
}

function hasSideBand({ capabilities }: PushRequest): boolean {
  return capabilities.includes("side-band-64k");
}

/** Sends messages on at once and answers the bytes of band 1, up to git's own end. */
async function relayBands(reader: ByteReader, answer: Answer): Promise<Buffer> {
  const held: Buffer[] = [];
  try {
    for (;;) {
      const next = await readPacket(reader);
      if (next === null) break;
      if (next === "flush" || next.length === 0) continue;
      // An empty packet of band 1 is git's sign of life.
      if (next[0] === band.data && next.length > 1) held.push(next.subarray(1));
      else await answer.write(packet(next));
    }
  } catch (error) {
    // A git that was killed stops in the middle of a packet: what is there must do.
    if (!(error instanceof EndedEarly)) throw error;
  }
  return Buffer.concat(held);
}

async function readAll(reader: ByteReader): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let part = await reader.next(); part; part = await reader.next()) parts.push(part);
  return Buffer.concat(parts);
}

async function parseReport(bytes: Buffer): Promise<Report | null> {
  const reader = new ByteReader(
    (async function* () {
      yield bytes;
    })(),
  );
  const report: Report = { unpack: "", refs: [] };
  try {
    for (;;) {
      const line = await readPacket(reader);
      if (line === null) return null;
      if (line === "flush") return report.unpack ? report : null;
      const text = packetText(line);
      const [, word, rest] = /^(unpack|ok|ng|option) (.*)$/s.exec(text) ?? [];
      if (word === "unpack") report.unpack = rest!;
      else if (word === "ok") report.refs.push({ ref: rest!, reason: null, options: [] });
      else if (word === "option") report.refs.at(-1)?.options.push(rest!);
      else if (word === "ng") {
        const [ref, ...reason] = rest!.split(" ");
        report.refs.push({ ref: ref!, reason: reason.join(" ") || "failed", options: [] });
      }
    }
  } catch {
    return null;
  }
}

function encodeReport(report: Report): Buffer {
  const lines = [`unpack ${report.unpack}\n`];
  for (const { ref, reason, options } of report.refs) {
    lines.push(reason === null ? `ok ${ref}\n` : `ng ${ref} ${reason}\n`);
    if (reason === null) lines.push(...options.map((option) => `option ${option}\n`));
  }
  return Buffer.concat([...lines.map((line) => packet(line)), flushPacket]);
}
