import { mkdir, open, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../../log.ts";
import { maxLogBytes } from "./app-log.ts";
import { logFolder } from "./state.ts";

/** Appends whole lines to a log file of an app; one that is full becomes the older half first. */
export async function appendToLog(
  dataDir: string,
  appId: string,
  name: "app.log" | "router.log",
  lines: string[],
): Promise<void> {
  const folder = logFolder(dataDir, appId);
  const path = join(folder, name);
  try {
    // Not the folders above it: those of an app that was destroyed meanwhile must not come back.
    await mkdir(folder, { mode: 0o700 }).catch((error) => ignore("EEXIST", error));
    const size = await stat(path).then(
      (found) => found.size,
      () => 0,
    );
    if (size >= maxLogBytes) await rename(path, `${path}.1`);
    const file = await open(path, "a", 0o600);
    try {
      await file.appendFile(lines.join(""));
    } finally {
      await file.close();
    }
  } catch (error) {
    ignore("ENOENT", error);
  }
}

function ignore(code: string, error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== code) throw error;
}

/** A line as it stands in the files. */
export function logLine(process: string, text: string): string {
  return `${new Date().toISOString()} ${process} ${text.replace(/[\r\n]+/g, " ")}\n`;
}

export type LineLog = { write(text: string): void; close(): Promise<void> };

const flushEveryMs = 100;
/** Output beyond this in one second is dropped, and a line says so: as keeper.pl does with that of other processes. */
const rateLimitBytes = 2_000_000;

/** Writes the lines of a command that the platform itself reads into the app's log, in batches. */
export function openLineLog(dataDir: string, appId: string, process: string, log: Log): LineLog {
  const waiting: string[] = [];
  let waitingBytes = 0;
  let [second, secondBytes, dropped] = [0, 0, 0];
  let timer: NodeJS.Timeout | undefined;
  let flushing = Promise.resolve();

  function flush(): Promise<void> {
    timer = undefined;
    flushing = flushing.then(async () => {
      const lines = waiting.splice(0);
      waitingBytes = 0;
      if (lines.length === 0) return;
      await appendToLog(dataDir, appId, "app.log", lines).catch((error) => log.warn({ err: error }, "lines were lost"));
    });
    return flushing;
  }

  function sayDropped(): void {
    if (dropped === 0) return;
    waiting.push(logLine(process, `zyndra: ${dropped} lines dropped, more than 2 MB of output in a second`));
    dropped = 0;
  }

  return {
    write(text) {
      const line = logLine(process, text);
      const now = Math.floor(Date.now() / 1000);
      if (now !== second) {
        sayDropped();
        [second, secondBytes] = [now, 0];
      }
      secondBytes += line.length;
      // A disk that is slower than the command must not fill the memory either.
      if (secondBytes > rateLimitBytes || waitingBytes > rateLimitBytes) dropped++;
      else {
        waiting.push(line);
        waitingBytes += line.length;
      }
      timer ??= setTimeout(() => void flush(), flushEveryMs);
    },
    async close() {
      clearTimeout(timer);
      sayDropped();
      await flush();
    },
  };
}
