import { findAppById } from "../db/apps.ts";
import type { Deps } from "../deps.ts";
import { outboxTopic } from "../model/event.ts";
import type { HeldApp } from "./lease.ts";
import { applyWanted } from "./rollout.ts";

/** Ends the looking, and gives up what is being applied: the roll-out that comes does it. */
export type Meanwhile = { stop(): Promise<void> };

/**
 * Applies what is changed about the app without a release (scale, maintenance, a restart) while a deploy of it builds or runs
 * a command: an app in trouble does not wait for that. Not in a roll-out, where what is live is not what runs.
 */
export function applyMeanwhile(deps: Deps, held: HeldApp): Meanwhile {
  const over = new AbortController();
  const signal = AbortSignal.any([held.signal, over.signal]);
  let looking = Promise.resolve();
  let willLook = false;
  const look = () => {
    if (willLook) return;
    willLook = true;
    looking = looking.then(async () => {
      willLook = false;
      await catchUp(deps, { ...held, signal }).catch((error) => {
        if (!signal.aborted)
          deps.log.warn({ err: error, app: held.app.name }, "a change waits for the deploy that runs");
      });
    });
  };
  const unwatch = deps.events.watch(outboxTopic, look);
  look();
  return {
    async stop() {
      unwatch();
      over.abort(new Error("the roll-out begins"));
      await looking;
    },
  };
}

async function catchUp(deps: Deps, held: HeldApp): Promise<void> {
  if (held.signal.aborted) return;
  const app = await findAppById(deps.db.db, held.app.id);
  if (!app || app.destroyRequestedAt !== null || app.liveReleaseId === null) return;
  if (app.wantedRevision > app.appliedRevision) await applyWanted(deps, { ...held, app });
}
