import { randomUUID } from "node:crypto";
import {
  deleteAttachment,
  insertAddon,
  insertAttachment,
  listAttached,
  listAttachedTo,
  lockAddon,
  requestAddonDestroy,
} from "../db/addons.ts";
import type { Db } from "../db/client.ts";
import { listConfigVars } from "../db/config-vars.ts";
import { publish, ring } from "../db/events.ts";
import type { AddonRow, AppRow, DeployRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { Actor } from "../model/actor.ts";
import { type AddonKind, attachedNames, overlaps } from "../model/addons.ts";
import { addonsTopic, addonTopic } from "../model/event.ts";
import { type ConfigVars, orgKeyOf } from "./config-vars.ts";
import { sealAccess } from "./effective-config.ts";
import { refuseWhereGoing, startConfigDeploy } from "./start.ts";

/** Asks for a new add-on, in the transaction of the command that asks. How it will be reached is decided here and kept. */
export async function startAddon(
  deps: Pick<Deps, "runtime" | "keyring">,
  tx: Db,
  asked: { orgId: string; projectId: string; kind: AddonKind; name: string; createdBy: string },
  otherwise: string,
): Promise<AddonRow> {
  const id = randomUUID();
  const access = await deps.runtime.data.newAccess({ id, projectId: asked.projectId, kind: asked.kind });
  const sealedAccess = sealAccess(await orgKeyOf(deps, tx, asked.orgId), asked.orgId, id, access);
  const addon = await insertAddon(tx, { id, sealedAccess, ...asked }, otherwise);
  await publish(tx, addonTopic(id), addon, [{ type: "addon", state: "creating" }]);
  await ring(tx, addonsTopic);
  return addon;
}

/**
 * Gives an add-on to an app: what is live is released again with its config vars. Null where nothing is live yet, so that the
 * next push takes them. The caller holds both rows.
 * @throws UserError conflict, gone
 */
export async function attachAddon(
  tx: Db,
  addon: AddonRow,
  app: AppRow,
  place: { prefix: string; mountPath: string | null },
  actor: Actor,
): Promise<DeployRow | null> {
  refuseWhereGoing(app);
  if (addon.state === "destroying") {
    throw new UserError("gone", `${addon.name} is being destroyed, as ${addon.destroyRequestedBy} asked`);
  }
  if (addon.projectId !== app.projectId) {
    throw new UserError("conflict", `${addon.name} and ${app.name} are of different projects`);
  }
  await refuseNamesInUse(tx, addon, app, place.prefix);
  if (place.mountPath !== null) await refuseOverlap(tx, app, place.mountPath);
  await insertAttachment(tx, addon, app, { ...place, createdBy: actor.name });
  return startConfigDeploy(tx, app, actor, [`add-on ${addon.name}`]);
}

/** Takes an add-on from an app; what is in it stays. The caller holds the app's row. @throws UserError conflict, gone */
export async function detachAddon(tx: Db, addon: AddonRow, app: AppRow, actor: Actor): Promise<DeployRow | null> {
  if (!(await deleteAttachment(tx, addon.id, app.id))) {
    throw new UserError(
      "conflict",
      `${addon.name} is not attached to ${app.name}`,
      `zyndra addons:info ${addon.name} says what it is attached to`,
    );
  }
  return startConfigDeploy(tx, app, actor, [`add-on ${addon.name} detached`]);
}

/** Asks for the end of an add-on that is attached to nothing any more. */
export async function startAddonDestroy(tx: Db, addon: AddonRow, by: string): Promise<void> {
  await requestAddonDestroy(tx, addon.id, by);
  await publish(tx, addonTopic(addon.id), addon, [{ type: "addon", state: "destroying" }]);
  await ring(tx, addonsTopic);
}

/**
 * What was attached to an app goes with it, but for what another app uses too. In the transaction that removes the app, so that
 * nothing is left over and nothing shared is lost, whenever that is interrupted.
 */
export async function letGoOfAddons(tx: Db, app: AppRow, by: string): Promise<void> {
  const attached = (await listAttached(tx, app.id)).map(({ addon }) => addon.id).sort();
  for (const addonId of attached) {
    const addon = await lockAddon(tx, addonId);
    await deleteAttachment(tx, addonId, app.id);
    const others = (await listAttachedTo(tx, [addonId])).get(addonId) ?? [];
    if (others.length === 0 && addon.state !== "destroying") await startAddonDestroy(tx, addon, by);
  }
}

/** Names that an add-on contributes cannot be set or unset: they would not be what they seem. @throws UserError conflict */
export async function refuseAttachedNames(tx: Db, app: Pick<AppRow, "id" | "name">, names: string[]): Promise<void> {
  const addonOf = await attachedNamesOf(tx, app);
  const taken = names.find((name) => addonOf.has(name));
  if (taken === undefined) return;
  const addon = addonOf.get(taken)!;
  throw new UserError(
    "conflict",
    `${taken} of ${app.name} comes from add-on ${addon}; nothing was changed`,
    `zyndra addons:detach ${addon} --app ${app.name} takes it away; attached again, --as NAME gives it other names`,
  );
}

/** Vars of an older release but for those whose names an add-on contributes by now. */
export async function withoutAttachedNames(tx: Db, app: Pick<AppRow, "id">, vars: ConfigVars): Promise<ConfigVars> {
  const addonOf = await attachedNamesOf(tx, app);
  return Object.fromEntries(Object.entries(vars).filter(([name]) => !addonOf.has(name)));
}

/** By name, the add-on that contributes it, or will once it is made. */
async function attachedNamesOf(tx: Db, app: Pick<AppRow, "id">): Promise<Map<string, string>> {
  const attached = await listAttached(tx, app.id);
  return new Map(
    attached.flatMap(({ addon, prefix }) =>
      attachedNames(addon.kind, prefix).map((name) => [name, addon.name] as const),
    ),
  );
}

async function refuseNamesInUse(tx: Db, addon: AddonRow, app: AppRow, prefix: string): Promise<void> {
  const contributed = attachedNames(addon.kind, prefix);
  const used = (await listConfigVars(tx, app.id)).map(({ name }) => name).filter((name) => contributed.includes(name));
  if (used.length === 0) return;
  throw new UserError(
    "conflict",
    `${used.join(", ")} ${used.length === 1 ? "is" : "are"} set on ${app.name} already`,
    `zyndra config:unset ${app.name} ${used.join(" ")} makes room; --as NAME gives what the add-on brings other names`,
  );
}

async function refuseOverlap(tx: Db, app: AppRow, mountPath: string): Promise<void> {
  const inTheWay = (await listAttached(tx, app.id)).find(
    (each) => each.mountPath && overlaps(each.mountPath, mountPath),
  );
  if (!inTheWay) return;
  throw new UserError(
    "conflict",
    `volume ${inTheWay.addon.name} of ${app.name} is mounted at ${inTheWay.mountPath}: one cannot lie in another`,
    "choose another place: --mount /app/files, for example",
  );
}
