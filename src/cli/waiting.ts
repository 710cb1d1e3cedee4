import { duration } from "../model/deploy.ts";

/** The line that tells someone at a terminal what a silent program waits for, and since when. */
export type Waiting = {
  /** Shows it once `work` has taken a moment, until it is done or something else is written. */
  during<Result>(what: string, work: Promise<Result>): Promise<Result>;
  /** Takes it away, so that something else can be written in its place. */
  clear(): void;
};

/** For pipes, programs and terminals that cannot take a line back. */
export const unseen: Waiting = { during: (_, work) => work, clear() {} };

/** What is done sooner than this is not waited for. */
const firstAfterMs = 1_000;
const carriageReturn = "\r\x1b[K";

export function openWaiting(
  terminal: { write(text: string): void; columns?: number | undefined },
  everyMs = firstAfterMs,
): Waiting {
  let isShown = false;
  const clear = () => {
    if (isShown) terminal.write(carriageReturn);
    isShown = false;
  };
  return {
    clear,
    async during(what, work) {
      const startedAt = performance.now();
      const timer = setInterval(() => {
        const line = `waiting for ${what} (${duration(Math.round((performance.now() - startedAt) / 1000) * 1000)})`;
        // A line that is broken in two could not be taken back.
        terminal.write(`${carriageReturn}\x1b[2m${line.slice(0, (terminal.columns ?? 80) - 1)}\x1b[22m`);
        isShown = true;
      }, everyMs);
      timer.unref();
      try {
        return await work;
      } finally {
        clearInterval(timer);
        clear();
      }
    },
  };
}

/** Passes on what comes, and says what is waited for in between. */
export async function* waitingFor<Item>(
  waiting: Waiting,
  what: string,
  items: AsyncGenerator<Item, void>,
): AsyncGenerator<Item, void> {
  try {
    for (;;) {
      const next = await waiting.during(what, items.next());
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await items.return();
  }
}
