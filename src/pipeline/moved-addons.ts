import { isDeepStrictEqual } from "node:util";
import { listAppIdsWithAddons, listAvailableAddons, moveAddon } from "../db/addons.ts";
import { lockApp } from "../db/apps.ts";
import { listUnfinished } from "../db/deploys.ts";
import { findLiveRelease } from "../db/releases.ts";
import type { AddonRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { readUnreleasedAddonVars } from "./addon-vars.ts";
import { orgKeyOf } from "./config-vars.ts";
import { openAccess, sealAccess } from "./effective-config.ts";
import { namesIn, startConfigDeploy } from "./start.ts";

const platformItself = { userId: null, name: "Zyndra", door: "platform" } as const;

/**
 * At a start, the server of databases may have another port, and the data folder another place. What is attached is written
 * down as it is reached now, and what is live released again with it: at each start for as long as that has not succeeded.
 */
export async function followMovedAddons(deps: Deps): Promise<void> {
  for (const addon of await listAvailableAddons(deps.db.db)) {
    await noteWhereItIs(deps, addon).catch((error) =>
      deps.log.error({ err: error, addon: addon.name, id: addon.id }, "where an add-on is now could not be looked up"),
    );
  }
  for (const appId of await listAppIdsWithAddons(deps.db.db)) {
    await releaseMoved(deps, appId).catch((error) =>
      deps.log.error({ err: error, appId }, "an app could not be told where its add-ons are now"),
    );
  }
}

async function noteWhereItIs(deps: Deps, addon: AddonRow): Promise<void> {
  const key = await orgKeyOf(deps, deps.db.db, addon.orgId);
  const access = openAccess(key, addon.orgId, addon.id, addon.sealedAccess!);
  const reached = deps.runtime.data.reach(addon, access);
  if (isDeepStrictEqual(reached, access)) return;
  if (await moveAddon(deps.db.db, addon.id, sealAccess(key, addon.orgId, addon.id, reached)))
    deps.log.info({ addon: addon.name, id: addon.id }, "an add-on is reached elsewhere now");
}

/** Compared with what is live, not with what was known before: an earlier deploy that told of it may have failed. */
async function releaseMoved(deps: Deps, appId: string): Promise<void> {
  await deps.db.transaction(async (tx) => {
    const app = await lockApp(tx, appId);
    const live = await findLiveRelease(tx, app);
    if (!live || app.destroyRequestedAt !== null) return;
    const moved = (await readUnreleasedAddonVars(deps, tx, app, live)).filter(({ isMoved }) => isMoved);
    const reasons = [...new Set(moved.map(({ addon }) => `add-on ${addon} moved`))];
    const onTheWay = (await listUnfinished(tx, app.id)).flatMap(({ kind, title }) =>
      kind === "config" ? namesIn(title) : [],
    );
    const untold = reasons.filter((reason) => !onTheWay.includes(reason));
    if (untold.length > 0) await startConfigDeploy(tx, app, platformItself, untold);
  });
}
