import type { IncomingMessage } from "node:http";
import type { Log } from "../../log.ts";
import { appendToLog, logLine } from "./log-file.ts";

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
      .then(() => Promise.all(batches.map(([appId, lines]) => appendToLog(dataDir, appId, "router.log", lines))))
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
      lines.push(logLine("router", textOf(line)));
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
