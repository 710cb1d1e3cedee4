import type { ServerResponse } from "node:http";

/**
 * The way back to whoever asked. It is written to as long as somebody reads; after that everything is swallowed, so that
 * what was begun can come to its end.
 */
export type Answer = {
  /** Aborts when the other side is gone before the answer was whole. */
  readonly gone: AbortSignal;
  /** Resolves when the bytes were taken over, or nobody wants them any more. Never rejects. */
  write(bytes: Buffer): Promise<void>;
  end(): Promise<void>;
};

/**
 * Starts an answer of git's; its head goes out with the first byte.
 * @param stallMs a reader that takes nothing for so long counts as gone
 */
export function openAnswer(response: ServerResponse, contentType: string, stallMs: number): Answer {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort(new Error("the client is gone"));
  });
  response.on("error", () => gone.abort(new Error("the client is gone")));
  if (response.destroyed || response.socket?.destroyed) gone.abort(new Error("the client is gone"));

  const head = () => {
    if (!response.headersSent && !gone.signal.aborted) response.writeHead(200, gitHeaders(contentType));
  };
  return {
    gone: gone.signal,
    async write(bytes) {
      head();
      if (gone.signal.aborted || bytes.length === 0 || response.write(bytes)) return;
      await drained(response, gone, stallMs);
    },
    async end() {
      head();
      if (gone.signal.aborted) return;
      response.end();
      await finished(response, gone, stallMs);
    },
  };
}

/** No cache may keep what a git server says, and nginx must not hold lines back. */
export function gitHeaders(contentType: string): Record<string, string> {
  return {
    "Content-Type": contentType,
    "Cache-Control": "no-cache, max-age=0, must-revalidate",
    Pragma: "no-cache",
    Expires: "Fri, 01 Jan 1980 00:00:00 GMT",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
  };
}

async function drained(response: ServerResponse, gone: AbortController, stallMs: number): Promise<void> {
  await eventOrGone("drain", response, gone, stallMs);
}

async function finished(response: ServerResponse, gone: AbortController, stallMs: number): Promise<void> {
  if (!response.writableFinished) await eventOrGone("finish", response, gone, stallMs);
}

async function eventOrGone(
  event: "drain" | "finish",
  response: ServerResponse,
  gone: AbortController,
  stallMs: number,
): Promise<void> {
  const waited = Promise.withResolvers<void>();
  const settle = () => waited.resolve();
  const timer = setTimeout(() => response.destroy(), stallMs);
  response.once(event, settle);
  gone.signal.addEventListener("abort", settle, { once: true });
  await waited.promise;
  clearTimeout(timer);
  response.off(event, settle);
  gone.signal.removeEventListener("abort", settle);
}
