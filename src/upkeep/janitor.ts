import { deleteOldAppEvents, deleteOrphanTopics } from "../db/events.ts";
import type { Deps } from "../deps.ts";

export type Janitor = { stop(): Promise<void> };

const everyMs = 60 * 60 * 1000;

/** Clears away what nobody needs: what killed pushes left behind, and events that are old, or of apps that are gone. */
export function startJanitor(deps: Pick<Deps, "db" | "repos" | "log">): Janitor {
  let round = Promise.resolve();
  const go = () => {
    round = round.then(() => cleanUp(deps)).catch((error) => deps.log.warn({ err: error }, "cleaning up failed"));
  };
  const timer = setInterval(go, everyMs);
  go();
  return {
    async stop() {
      clearInterval(timer);
      await round;
    },
  };
}

async function cleanUp({ db, repos, log }: Pick<Deps, "db" | "repos" | "log">): Promise<void> {
  const { removed } = await repos.sweepQuarantine();
  const topics = await deleteOrphanTopics(db.db);
  const events = await deleteOldAppEvents(db.db);
  if (removed + topics + events > 0) log.info({ removed, topics, events }, "cleaned up");
}
