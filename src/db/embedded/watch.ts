import { isAlive } from "./pid.ts";
import { type EmbeddedPostgresOptions, startEmbeddedPostgres } from "./postgres.ts";

const lookEveryMs = 1_000;

/** Starts the embedded server and starts it again whenever it is gone: a machine short of memory ends it first. */
export async function keepEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<{ url: string; stopWatching(): Promise<void> }> {
  const { url, pid: firstPid } = await startEmbeddedPostgres(options);
  const stopped = new AbortController();
  let pid = firstPid;
  let looking = Promise.resolve();
  const timer = setInterval(() => {
    looking = looking.then(async () => {
      if (stopped.signal.aborted || isAlive(pid)) return;
      options.log.warn({ pid }, "the embedded database was gone; starting it again");
      pid = await startAgain(options, stopped.signal).catch(() => pid);
    });
  }, lookEveryMs);
  return {
    url,
    async stopWatching() {
      stopped.abort();
      clearInterval(timer);
      await looking;
    },
  };
}

async function startAgain(options: EmbeddedPostgresOptions, signal: AbortSignal): Promise<number> {
  try {
    return (await startEmbeddedPostgres({ ...options, signal })).pid;
  } catch (error) {
    // Whoever waits for the database tries again as well, so there is nobody to throw to.
    options.log.error({ err: error }, "the embedded database did not start again");
    throw error;
  }
}
