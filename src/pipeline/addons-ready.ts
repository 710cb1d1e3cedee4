import { listAttached, retryAddon } from "../db/addons.ts";
import { publish, ring } from "../db/events.ts";
import type { AddonRow } from "../db/schema.ts";
import { openBell } from "../events/bell.ts";
import type { Cause } from "../model/cause.ts";
import { duration } from "../model/deploy.ts";
import { addonsTopic, addonTopic } from "../model/event.ts";
import type { Story } from "./story.ts";

const lookAgainMs = 1_000;

/**
 * Waits until all that is attached to the app is there, so that its config vars are. One that could not be made before is
 * tried once more.
 */
export async function waitForAddons(story: Story): Promise<{ ok: true } | { ok: false; cause: Cause }> {
  const { deps, deploy, held, signal } = story;
  // Whoever goes back is in trouble: what is missing then is released once it is there.
  if (deploy.kind === "rollback") return { ok: true };
  const deadlineMs = performance.now() + deps.limits.addonMs;
  const bell = openBell(signal);
  const watched = new Map<string, () => void>();
  const retried = new Set<string>();
  try {
    for (;;) {
      signal.throwIfAborted();
      const attached = (await deps.db.persist(({ db }) => listAttached(db, deploy.appId), held.signal)).map(
        ({ addon }) => addon,
      );
      const failed = attached.find(({ state }) => state === "failed");
      if (failed && retried.has(failed.id)) return { ok: false, cause: story.masked(failedCause(story, failed)) };
      if (failed) {
        retried.add(failed.id);
        await tryAgain(story, failed);
        continue;
      }
      const waiting = attached.filter(({ state }) => state === "creating");
      if (waiting.length === 0) return { ok: true };
      // From here on others see that it runs, and what it waits for.
      await story.advance(deploy.kind === "config" ? "releasing" : "building");
      const unseen = waiting.filter(({ id }) => !watched.has(id));
      for (const { id, name } of unseen) {
        watched.set(id, deps.events.watch(addonTopic(id), bell.ring));
        story.write({ kind: "intro", text: `waiting for add-on ${name}` });
      }
      // What moved on before the watch began rang for nobody.
      if (unseen.length > 0) continue;
      if (performance.now() > deadlineMs) return { ok: false, cause: story.masked(lateCause(story, waiting[0]!)) };
      await bell.heard(lookAgainMs);
    }
  } finally {
    for (const unwatch of watched.values()) unwatch();
  }
}

async function tryAgain(story: Story, addon: AddonRow): Promise<void> {
  await story.commit(async (tx) => {
    if (!(await retryAddon(tx, addon.id))) return;
    await publish(tx, addonTopic(addon.id), addon, [{ type: "addon", state: "creating" }]);
    await ring(tx, addonsTopic);
  });
  const why = addon.cause ? ` (${addon.cause.headline})` : "";
  story.write({ kind: "text", text: `add-on ${addon.name} could not be made before${why}: trying again` });
}

function failedCause({ held }: Story, { name, cause }: AddonRow): Cause {
  const without = `zyndra addons:detach ${name} --app ${held.app.name} goes on without it`;
  return {
    headline: `add-on ${name} could not be made`,
    ...(cause ? { detail: [cause.headline, cause.detail].filter(Boolean).join(": ") } : {}),
    hint: `${cause?.hint ?? "the next deploy tries again"}; ${without}`,
  };
}

function lateCause({ deps, deploy, held }: Story, { name, cause }: AddonRow): Cause {
  return {
    headline: `add-on ${name} is not there after ${duration(deps.limits.addonMs)}`,
    ...(cause ? { detail: [cause.headline, cause.detail].filter(Boolean).join(": ") } : {}),
    hint: `zyndra addons:info ${name} says how it is; zyndra deploys:retry ${held.app.name} ${deploy.number} tries again`,
  };
}
