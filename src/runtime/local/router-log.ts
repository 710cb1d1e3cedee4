import { open, rename, stat } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import type { Log } from "../../log.ts";
import { maxLogBytes } from "./app-log.ts";
import { logFolder } from "./state.ts";

/** One line per request in the app's log: `GET /path 200 12ms 512B web.1`. Written in batches, never in a request's way. */
export type RouterLog = { write(appId: string, line: RouterLine): void; close(): Promise<void> };

export type RouterLine = {
  request: IncomingMessage;
  status: number;
  tookMs: number;
  /** Of the answer's body. */
  bytes: number;
  backend: string | undefined;
};

const flushEveryMs = 200;
/** What an app may have waiting to be written: beyond it lines are dropped, not kept in memory. */
const maxWaitingLines = 10_000;
const pathLimit = 200;

export function openRouterLog(dataDir: string, log: Log): RouterLog {
  const waiting = new Map<string, string[]>();
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> = Promise.resolve();

  function flush(): Promise<void> {
    timer = undefined;
    const batches = [...waiting];
    waiting.clear();
    flushing = flushing
      .then(() => Promise.all(batches.map(([appId, lines]) => append(logFolder(dataDir, appId), lines))))
      .then(
        () => {},
        (error: unknown) => log.warn({ err: error }, "request lines were lost"),
      );
    return flushing;
  }

  return {
    write(appId, line) {
      let lines = waiting.get(appId);
      if (!lines) waiting.set(appId, (lines = []));
      if (lines.length >= maxWaitingLines) return;
      lines.push(`${new Date().toISOString()} router ${textOf(line)}\n`);
      timer ??= setTimeout(() => void flush(), flushEveryMs);
      timer.unref();
    },
    async close() {
      clearTimeout(timer);
      await flush();
    },
  };
}

/** The query string is left out: people put tokens there. */
function textOf({ request, status, tookMs, bytes, backend }: RouterLine): string {
  const path = (request.url ?? "/").replace(/[?#].*$/s, "");
  const shown = path.replace(/[^\x21-\x7e]/g, (sign) => encodeURIComponent(sign));
  const clipped = shown.length > pathLimit ? `${shown.slice(0, pathLimit)}...` : shown;
  return `${request.method} ${clipped} ${status} ${tookMs}ms ${bytes}B${backend ? ` ${backend}` : ""}`;
}

async function append(folder: string, lines: string[]): Promise<void> {
  const path = join(folder, "router.log");
  try {
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
    // The app was destroyed meanwhile: its folder must not come back.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
