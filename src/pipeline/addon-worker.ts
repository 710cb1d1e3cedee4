import { isDeepStrictEqual } from "node:util";
import { deleteAddon, noteAddon } from "../db/addon-work.ts";
import { findAddonById } from "../db/addons.ts";
import { isPassing } from "../db/client.ts";
import { publish } from "../db/events.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import { openBell } from "../events/bell.ts";
import type { Cause } from "../model/cause.ts";
import { addonsTopic, addonTopic, type EventData } from "../model/event.ts";
import { type HeldAddon, holdAddon } from "./addon-lease.ts";
import { orgKeyOf } from "./config-vars.ts";
import { openAccess, sealAccess } from "./effective-config.ts";

export type AddonWorker = { stop(): Promise<void> };

const addonsAtOnce = 4;
/** Then it has failed, and waits for somebody to look at it or for the next deploy of an app that needs it. */
const mostTries = 8;
const firstPauseMs = 500;
const longestPauseMs = 30_000;

/**
 * Makes add-ons that were asked for and removes those that are to go. Several workers may do this at once, here and elsewhere;
 * a lease on each add-on decides who. Whatever a crash leaves half done is done again by whoever comes next.
 */
export function startAddonWorker(deps: Deps): AddonWorker {
  const { events, limits, log } = deps;
  const stop = new AbortController();
  const bell = openBell(stop.signal);
  const unwatch = events.watch(addonsTopic, bell.ring);
  const going = new Set<Promise<void>>();
  /** How often each was tried in vain by this worker. */
  const tries = new Map<string, number>();

  const takeUp = async () => {
    while (!stop.signal.aborted && going.size < addonsAtOnce) {
      const held = await holdAddon(deps, stop.signal);
      if (!held) return;
      const ended = workOn(deps, held, tries).then(() => {
        going.delete(ended);
        bell.ring();
      });
      going.add(ended);
    }
  };
  const looking = (async () => {
    while (!stop.signal.aborted) {
      await takeUp().catch((error) => log.debug({ err: error }, "add-ons could not be looked at, trying again"));
      await bell.heard(limits.sweepMs);
    }
  })();

  return {
    async stop() {
      unwatch();
      stop.abort(new Error("the platform stops"));
      await looking;
      await Promise.all(going);
    },
  };
}

async function workOn(deps: Deps, held: HeldAddon, tries: Map<string, number>): Promise<void> {
  const { addon, signal } = held;
  let pauseMs = 0;
  try {
    if (addon.state === "destroying") await remove(deps, held);
    else await make(deps, held);
    tries.delete(addon.id);
  } catch (error) {
    if (!signal.aborted) pauseMs = await noteTrouble(deps, held, error, tries);
  }
  await held.release(pauseMs);
}

async function make(deps: Deps, held: HeldAddon): Promise<void> {
  const { addon, signal } = held;
  const key = await orgKeyOf(deps, deps.db.db, addon.orgId);
  const access = openAccess(key, addon.orgId, addon.id, addon.sealedAccess!);
  await deps.runtime.data.ensure(addon, access, signal);
  const sealedAccess = sealAccess(key, addon.orgId, addon.id, deps.runtime.data.reach(addon, access));
  const isKept = await held.commit(async (tx, lease) => {
    if (!(await noteAddon(tx, lease, "creating", { state: "available", cause: null, sealedAccess }))) return false;
    await publish(tx, addonTopic(addon.id), addon, [{ type: "addon", state: "available" }]);
    return true;
  });
  if (isKept) deps.log.info({ addon: addon.name, id: addon.id, kind: addon.kind }, "add-on made");
  // Lost for long enough, it may have been removed by another meanwhile, and made again by us.
  else if (!(await findAddonById(deps.db.db, addon.id))) await deps.runtime.data.destroy(addon, signal);
}

async function remove(deps: Deps, held: HeldAddon): Promise<void> {
  const { addon, signal } = held;
  await deps.runtime.data.destroy(addon, signal);
  const isGone = await held.commit(async (tx, lease) => {
    if (!(await deleteAddon(tx, lease))) return false;
    await publish(tx, addonTopic(addon.id), addon, [{ type: "addon", state: "gone" }]);
    return true;
  });
  if (isGone) deps.log.info({ addon: addon.name, id: addon.id, by: addon.destroyRequestedBy }, "add-on removed");
}

/** Answers for how long it is left alone then. A removal is tried for ever: what is to go must not stay behind. */
async function noteTrouble(deps: Deps, held: HeldAddon, error: unknown, tries: Map<string, number>): Promise<number> {
  const { addon } = held;
  const tried = (tries.get(addon.id) ?? 0) + 1;
  const hasFailed = addon.state === "creating" && (error instanceof UserError || tried >= mostTries);
  if (hasFailed) tries.delete(addon.id);
  else tries.set(addon.id, tried);
  const cause = causeOf(error, addon.id);
  const isOurs = !(error instanceof UserError) && (hasFailed || !isPassing(error));
  deps.log[isOurs ? "error" : "warn"](
    { err: error, addon: addon.name, id: addon.id, tried },
    "an add-on was in trouble",
  );
  try {
    await held.commit(async (tx, lease) => {
      const noted = await noteAddon(tx, lease, addon.state, hasFailed ? { state: "failed", cause } : { cause });
      const takesLong = !hasFailed && tried % mostTries === 0;
      const state = hasFailed ? "failed" : addon.state;
      const told: EventData = { type: "addon", state, cause, ...(takesLong && { takesLong }) };
      const isNews = hasFailed || takesLong || !isDeepStrictEqual(addon.cause, cause);
      if (noted && isNews) await publish(tx, addonTopic(addon.id), addon, [told]);
    });
  } catch (lost) {
    if (!held.signal.aborted) deps.log.error({ err: lost, id: addon.id }, "an add-on's trouble could not be noted");
  }
  return hasFailed ? 0 : Math.min(firstPauseMs * 2 ** (tried - 1), longestPauseMs);
}

function causeOf(error: unknown, addonId: string): Cause {
  if (error instanceof UserError) return { headline: error.message, ...(error.hint ? { hint: error.hint } : {}) };
  if (isPassing(error)) {
    return { headline: "its server cannot be reached", detail: (error as Error).message };
  }
  return { headline: "Zyndra itself failed", hint: `the platform's log says more under ${addonId}` };
}
