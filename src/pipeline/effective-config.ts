import { listAttached } from "../db/addons.ts";
import type { Db } from "../db/client.ts";
import type { AppRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { type AddonAccess, attachedVars, isSecretRole } from "../model/addons.ts";
import type { AppSettings } from "../model/app-settings.ts";
import { addonOf, addonOrigin, type VarOrigins } from "../model/var-origin.ts";
import { type OrgKey, seal, unseal } from "../secrets/keyring.ts";
import { type ConfigVars, orgKeyOf, readConfigVars } from "./config-vars.ts";

/** All that an app's processes find in their environment, and where it comes from but for what somebody has set. */
export type EffectiveConfig = {
  vars: ConfigVars;
  origins: VarOrigins;
};

/**
 * The vars as a release takes them: what the app's files say holds where nothing was set (or always, with `sync`); what is
 * attached comes last, since nobody may set a var of that name.
 */
export async function readEffectiveConfig(
  deps: Pick<Deps, "keyring" | "runtime">,
  db: Db,
  app: Pick<AppRow, "id" | "orgId" | "name">,
  settings: AppSettings,
): Promise<EffectiveConfig> {
  const own = await readConfigVars(deps, db, app);
  const ofPlatform = { "app.name": app.name, "app.url": deps.runtime.edge.url(app.name) };
  const said = Object.entries(settings.env ?? {}).flatMap(([name, { value, sync, from }]) => {
    const holds = value ?? (from && ofPlatform[from]);
    return holds !== undefined && (sync || !Object.hasOwn(own, name)) ? [[name, holds] as const] : [];
  });
  const attached = await readAttachedVars(deps, db, app);
  const origins = [
    ...said.map(([name]) => [name, settings.origins?.[`env.${name}`] ?? "zyndra.yml"] as const),
    ...attached.flatMap(({ origin, vars }) => Object.keys(vars).map((name) => [name, origin] as const)),
  ];
  return {
    vars: { ...own, ...Object.fromEntries(said), ...Object.assign({}, ...attached.map(({ vars }) => vars)) },
    origins: Object.fromEntries(origins),
  };
}

/** Of them those that somebody has set. */
export function ownVars({ vars, origins }: EffectiveConfig): ConfigVars {
  return Object.fromEntries(Object.entries(vars).filter(([name]) => !Object.hasOwn(origins, name)));
}

/** What must never be printed: not what stands in the app's own files, nor an add-on's host or port. */
export function secretVars({ vars, origins }: EffectiveConfig): ConfigVars {
  const isSecret = (name: string) => {
    const origin = Object.hasOwn(origins, name) ? origins[name] : undefined;
    return origin === undefined || (addonOf(origin) !== undefined && isSecretRole(name));
  };
  return Object.fromEntries(Object.entries(vars).filter(([name]) => isSecret(name)));
}

/** The vars that each attached add-on contributes; one that is still being made has none yet. */
export async function readAttachedVars(
  deps: Pick<Deps, "keyring">,
  db: Db,
  app: Pick<AppRow, "id" | "orgId">,
): Promise<{ origin: string; vars: ConfigVars }[]> {
  const attached = await listAttached(db, app.id);
  if (attached.length === 0) return [];
  const key = await orgKeyOf(deps, db, app.orgId);
  return attached.flatMap(({ addon, prefix, mountPath }) => {
    if (addon.state !== "available" || addon.sealedAccess === null) return [];
    const access = openAccess(key, addon.orgId, addon.id, addon.sealedAccess);
    return [{ origin: addonOrigin(addon.name, mountPath), vars: attachedVars(prefix, access, mountPath) }];
  });
}

/** How an add-on is reached, as one sealed text. */
export function sealAccess(key: OrgKey, orgId: string, addonId: string, access: AddonAccess): string {
  return seal(key, accessPlace(orgId, addonId), JSON.stringify(access));
}

export function openAccess(key: OrgKey, orgId: string, addonId: string, sealed: string): AddonAccess {
  return JSON.parse(unseal(key, accessPlace(orgId, addonId), sealed));
}

const accessPlace = (orgId: string, rowId: string) => ({ orgId, table: "addons", column: "sealed_access", rowId });
