import { type FSWatcher, watch } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { AppLogLine, AppLogOptions } from "../runtime.ts";
import { logFolder } from "./state.ts";

/** The log files of an app; each has an older half beside it, NAME.1. Lines are `2026-11-23T17:00:00.123Z web.1 text`. */
const logNames = ["app.log", "router.log"];

/** At this size a log file becomes the older half, and a new one is begun. */
export const maxLogBytes = 5 * 1024 * 1024;

/** Should the file system not tell of a change. */
const pollMs = 1_000;
const chunkBytes = 64 * 1024;

/** See Processes.logs. */
export async function* readAppLog(
  dataDir: string,
  appId: string,
  options: AppLogOptions,
  signal: AbortSignal,
): AsyncIterable<AppLogLine> {
  const folder = logFolder(dataDir, appId);
  const wanted = wantedLines(options);
  const files = await Promise.all(logNames.map((name) => openTail(join(folder, name), options.lines, wanted)));
  try {
    const kept = byTime(files.flatMap(({ lines }) => lines));
    yield* options.lines > 0 ? kept.slice(-options.lines) : [];
    if (!options.follow) return;
    const bell = openBell(folder, signal);
    try {
      while (!signal.aborted) {
        const fresh = await Promise.all(files.map((file) => file.readOn()));
        yield* byTime(fresh.flat().filter(wanted.has));
        await bell.rung();
      }
    } finally {
      bell.close();
    }
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

type WantedLines = {
  has(line: AppLogLine): boolean;
  /** Whether no line before this one can be wanted. */
  endBefore(line: AppLogLine): boolean;
};

/** Processes write into one file each for itself, so that lines may stand in another order than they were written. */
const disorderMs = 10_000;

function wantedLines({ process, source, since, isWanted }: AppLogOptions): WantedLines {
  return {
    has: (line) =>
      (!process || line.process === process || line.process.startsWith(`${process}.`)) &&
      (!source || (source === "router") === (line.process === "router")) &&
      (!since || line.at >= since) &&
      (!isWanted || isWanted(line.text)),
    endBefore: ({ at }) => since !== undefined && at.getTime() < since.getTime() - disorderMs,
  };
}

/** Reads one line of a log file; undefined for what is none, such as a line that a full disk cut. */
export function parseLogLine(line: string): AppLogLine | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) (.*)$/s.exec(line);
  return match ? { at: new Date(match[1]!), process: match[2]!, text: match[3]! } : undefined;
}

type Tail = {
  lines: AppLogLine[];
  /** What has been written since, also across the moment the file became the older half. */
  readOn(): Promise<AppLogLine[]>;
  close(): Promise<void>;
};

/** The last wanted lines of a log file and its older half, and a place to read on from. */
async function openTail(path: string, count: number, wanted: WantedLines): Promise<Tail> {
  let file = await openIfThere(path);
  let position = file ? (await file.stat()).size : 0;
  let rest = Buffer.alloc(0);
  const lines = file ? await lastLines(file, position, count, wanted) : [];
  if (lines.length < count) {
    const older = await openIfThere(`${path}.1`);
    if (older) {
      lines.unshift(...(await lastLines(older, (await older.stat()).size, count - lines.length, wanted)));
      await older.close();
    }
  }

  async function readToEnd(): Promise<AppLogLine[]> {
    const found: AppLogLine[] = [];
    for (let read = -1; file && read !== 0; ) {
      const buffer = Buffer.allocUnsafe(chunkBytes);
      read = (await file.read(buffer, 0, chunkBytes, position)).bytesRead;
      position += read;
      const bytes = Buffer.concat([rest, buffer.subarray(0, read)]);
      const end = bytes.lastIndexOf(10) + 1;
      rest = Buffer.from(bytes.subarray(end));
      found.push(...parseLines(bytes.subarray(0, end)));
      // A reader that is slower than the writer gets its lines in portions.
      if (found.length > 10_000) break;
    }
    return found;
  }

  return {
    lines,
    async readOn() {
      const found = await readToEnd();
      const current = await openIfThere(path);
      if (!current) return found;
      const isSame = file !== undefined && (await current.stat()).ino === (await file.stat()).ino;
      if (isSame) {
        await current.close();
        return found;
      }
      // What was written to the old one between our last look and its end.
      found.push(...(await readToEnd()));
      await file?.close();
      [file, position, rest] = [current, 0, Buffer.alloc(0)];
      return [...found, ...(await readToEnd())];
    },
    async close() {
      await file?.close();
    },
  };
}

/** Reads from the end backwards until there are enough. */
async function lastLines(
  file: FileHandle,
  sizeBytes: number,
  count: number,
  wanted: WantedLines,
): Promise<AppLogLine[]> {
  let found: AppLogLine[] = [];
  let head = Buffer.alloc(0);
  let isPast = false;
  for (let end = sizeBytes; end > 0 && found.length < count && !isPast; ) {
    const start = Math.max(0, end - chunkBytes);
    const buffer = Buffer.allocUnsafe(end - start);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    const bytes = Buffer.concat([buffer.subarray(0, bytesRead), head]);
    // The first line of a chunk belongs to the chunk before, except at the file's beginning.
    const firstEnd = start === 0 ? 0 : bytes.indexOf(10) + 1;
    head = Buffer.from(bytes.subarray(0, firstEnd));
    if (start > 0 && firstEnd === 0) head = Buffer.from(bytes);
    else {
      const lines = parseLines(bytes.subarray(firstEnd));
      found = [...lines.filter(wanted.has), ...found];
      isPast = lines[0] !== undefined && wanted.endBefore(lines[0]);
    }
    end = start;
  }
  return count > 0 ? found.slice(-count) : [];
}

function parseLines(bytes: Buffer): AppLogLine[] {
  return bytes
    .toString("utf8")
    .split("\n")
    .flatMap((line) => parseLogLine(line) ?? []);
}

function byTime(lines: AppLogLine[]): AppLogLine[] {
  return lines.toSorted((a, b) => a.at.getTime() - b.at.getTime());
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Rings when something changes in a folder, every `pollMs`, and for good when the signal aborts. */
function openBell(folder: string, signal: AbortSignal): { rung(): Promise<void>; close(): void } {
  let ring = Promise.withResolvers<void>();
  const strike = () => ring.resolve();
  const timer = setInterval(strike, pollMs);
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(folder, strike);
    watcher.on("error", () => watcher?.close());
  } catch {
    // No folder yet, or no watches left: the clock does.
  }
  signal.addEventListener("abort", strike, { once: true });
  return {
    async rung() {
      if (!signal.aborted) await ring.promise;
      ring = Promise.withResolvers<void>();
    },
    close() {
      clearInterval(timer);
      watcher?.close();
      signal.removeEventListener("abort", strike);
    },
  };
}
