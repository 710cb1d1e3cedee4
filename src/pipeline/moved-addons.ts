import { isDeepStrictEqual } from "node:util";
import { type AddonRow, listAvailableAddons, lockAppsOf, moveAddon } from "../db/addons.ts";
import type { Deps } from "../deps.ts";
import { orgKeyOf } from "./config-vars.ts";
import { openAccess, sealAccess } from "./effective-config.ts";
import { startConfigDeploy } from "./start.ts";

const platformItself = { userId: null, name: "Zyndra", door: "platform" } as const;

/**
 * At a start, the server of databases may have another port, and the data folder another place. What is attached is written
 * down as it is reached now, and what is live released again with it.
 */
export async function followMovedAddons(deps: Deps): Promise<void> {
  for (const addon of await listAvailableAddons(deps.db.db)) {
    await followMoved(deps, addon).catch((error) =>
      deps.log.error({ err: error, addon: addon.name, id: addon.id }, "where an add-on is now could not be looked up"),
    );
  }
}

async function followMoved(deps: Deps, addon: AddonRow): Promise<void> {
  const key = await orgKeyOf(deps, deps.db.db, addon.orgId);
  const access = openAccess(key, addon.orgId, addon.id, addon.sealedAccess!);
  const reached = deps.runtime.data.reach(addon, access);
  if (isDeepStrictEqual(reached, access)) return;
  await deps.db.transaction(async (tx) => {
    const apps = await lockAppsOf(tx, addon.id);
    if (!(await moveAddon(tx, addon.id, sealAccess(key, addon.orgId, addon.id, reached)))) return;
    for (const app of apps) {
      if (app.destroyRequestedAt === null)
        await startConfigDeploy(tx, app, platformItself, [`add-on ${addon.name} moved`]);
    }
  });
  deps.log.info({ addon: addon.name, id: addon.id }, "an add-on is reached elsewhere now");
}
