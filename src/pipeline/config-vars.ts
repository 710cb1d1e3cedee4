import type { Db } from "../db/client.ts";
import { listConfigVars, newConfigVarId, putConfigVar } from "../db/config-vars.ts";
import { getWrappedKey } from "../db/people.ts";
import type { AppRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { type OrgKey, seal, unseal } from "../secrets/keyring.ts";

export type ConfigVars = Record<string, string>;

/** The key that all ciphertext of an org is sealed with. */
export async function orgKeyOf(deps: Pick<Deps, "keyring">, db: Db, orgId: string): Promise<OrgKey> {
  return deps.keyring.openOrgKey(await getWrappedKey(db, orgId));
}

/** An app's config vars as they are now, in the clear: for builds and releases, never for a log. */
export async function readConfigVars(
  deps: Pick<Deps, "keyring">,
  db: Db,
  app: Pick<AppRow, "id" | "orgId">,
): Promise<ConfigVars> {
  const sealed = await listConfigVars(db, app.id);
  if (sealed.length === 0) return {};
  const key = await orgKeyOf(deps, db, app.orgId);
  return Object.fromEntries(sealed.map((row) => [row.name, unseal(key, varPlace(app.orgId, row.id), row.sealedValue)]));
}

/** Sets config vars, each sealed to its row. */
export async function writeConfigVars(
  deps: Pick<Deps, "keyring">,
  tx: Db,
  app: AppRow,
  assignments: ConfigVars,
  by: string,
): Promise<void> {
  const key = await orgKeyOf(deps, tx, app.orgId);
  for (const [name, value] of Object.entries(assignments)) {
    const id = newConfigVarId();
    await putConfigVar(tx, app, { id, name, sealedValue: seal(key, varPlace(app.orgId, id), value) }, by);
  }
}

/** Names whose values differ between two sets of vars, sorted. */
export function changedNames(before: ConfigVars, after: ConfigVars): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => before[name] !== after[name]).sort();
}

const varPlace = (orgId: string, rowId: string) => ({ orgId, table: "config_vars", column: "sealed_value", rowId });
