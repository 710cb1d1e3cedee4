/** One message of a stream of server-sent events; `id` is handed back by a client that reconnects. */
export type StreamMessage = { id?: string; event: string; data: unknown };

export type StreamOptions = {
  /** Aborts when the platform stops: the stream ends, and the client comes again elsewhere. */
  stopping: AbortSignal;
  /** A comment is sent after this long without a message, so that both sides notice a dead connection. */
  heartbeatMs: number;
  /** Asked at each heartbeat; what it throws ends the stream. */
  stillAllowed(): Promise<void>;
  /** What the client is told of a fault. */
  errorMessage(error: unknown): StreamMessage;
};

/**
 * Answers with server-sent events, no faster than the client reads. `open` gets a signal that aborts when the client is
 * gone or the platform stops; the stream ends when its messages do.
 */
export function eventStream(
  open: (signal: AbortSignal) => AsyncIterable<StreamMessage>,
  options: StreamOptions,
): Response {
  const gone = new AbortController();
  const signal = AbortSignal.any([options.stopping, gone.signal]);
  const messages = open(signal)[Symbol.asyncIterator]();
  let next: Promise<IteratorResult<StreamMessage>> | undefined;
  let askedAtMs = performance.now();

  /** The next piece of text to send; undefined at the end. */
  const nextText = async (): Promise<string | undefined> => {
    next ??= messages.next();
    const won = await firstOf(next, options.heartbeatMs, signal);
    if (won === "aborted") return undefined;
    // By the clock, and not only in silence: who may read no longer is cut off from a busy stream as well.
    if (performance.now() - askedAtMs >= options.heartbeatMs) {
      await options.stillAllowed();
      askedAtMs = performance.now();
    }
    if (won === "late") return ": still here\n\n";
    next = undefined;
    return won.done ? undefined : messageText(won.value);
  };

  const end = () => {
    gone.abort();
    // Whatever still comes from it has no reader any more.
    next?.catch(() => {});
    messages.return?.().catch(() => {});
  };

  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode("retry: 1000\n\n"));
    },
    async pull(controller) {
      let text: string | undefined;
      try {
        text = await nextText();
      } catch (error) {
        if (gone.signal.aborted) return;
        if (!signal.aborted) controller.enqueue(encoder.encode(messageText(options.errorMessage(error))));
      }
      if (gone.signal.aborted) return;
      if (text !== undefined) {
        controller.enqueue(encoder.encode(text));
        return;
      }
      end();
      controller.close();
    },
    cancel: end,
  });
  return new Response(body, {
    // Proxies of the nginx kind would otherwise gather messages before they pass them on.
    headers: { "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" },
  });
}

/** A promise's value, or that it took too long, or that nobody waits any more. */
function firstOf<T>(promise: Promise<T>, withinMs: number, signal: AbortSignal): Promise<T | "late" | "aborted"> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      act();
    };
    const onAbort = settle(() => resolve("aborted"));
    const timer = setTimeout(
      settle(() => resolve("late")),
      withinMs,
    );
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    promise.then(
      (value) => settle(() => resolve(value))(),
      (error) => settle(() => reject(error))(),
    );
  });
}

/** The format of https://html.spec.whatwg.org/multipage/server-sent-events.html; JSON never holds a bare line break. */
function messageText({ id, event, data }: StreamMessage): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
