import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { placeIn } from "./place.ts";
import type { EmbeddedPostgresOptions } from "./postgres.ts";
import { keepEmbeddedPostgres } from "./watch.ts";

/** A server that is made and started once somebody needs it. */
export type PostgresOnDemand = {
  /** Its address; undefined before it runs for the first time since this was opened. */
  url(): string | undefined;
  /** Starts it where it does not run yet. */
  open(): Promise<string>;
  /** Settles once a server that has been needed before runs, or has not come up for now: then it is tried on and on. */
  resumed: Promise<void>;
  /** The server runs on. */
  close(): Promise<void>;
};

const waitForItMs = 10_000;
const tryAgainMs = 5_000;

/** A folder that was never used costs nothing; the server of one that was is started, or adopted, at once. */
export function openPostgresOnDemand(options: Omit<EmbeddedPostgresOptions, "signal">): PostgresOnDemand {
  const closed = new AbortController();
  let kept: Awaited<ReturnType<typeof keepEmbeddedPostgres>> | undefined;
  let opening: Promise<string> | undefined;

  const start = async (): Promise<string> => {
    kept = await keepEmbeddedPostgres({ ...options, signal: closed.signal });
    return kept.url;
  };
  const open = (): Promise<string> => {
    opening ??= start().catch((error) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  const tryUntilItRuns = async (): Promise<void> => {
    while (!closed.signal.aborted) {
      try {
        await open();
        return;
      } catch (error) {
        if (closed.signal.aborted) return;
        options.log.error({ err: error, dataDir: options.dataDir }, "an embedded database did not start");
        await sleep(tryAgainMs, undefined, { signal: closed.signal }).catch(() => {});
      }
    }
  };

  const wasUsed = existsSync(placeIn(options.dataDir).cluster);
  const running = wasUsed ? tryUntilItRuns() : Promise.resolve();
  const waited = wasUsed ? sleep(waitForItMs, undefined, { signal: closed.signal, ref: false }) : Promise.resolve();
  const firstTry = opening ?? Promise.resolve("");
  return {
    url: () => kept?.url,
    open,
    resumed: Promise.race([firstTry.then(() => {}), waited]).catch(() => {}),
    async close() {
      closed.abort();
      await running;
      await opening?.catch(() => {});
      await kept?.stopWatching();
    },
  };
}
