import type { Db } from "../db/client.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { addonOf } from "../model/var-origin.ts";
import { readSnapshot } from "./config-snapshot.ts";
import { readAttachedVars } from "./effective-config.ts";

/** A var of an add-on that is not in what is live as it is now; `isMoved` where it is there, with another value. */
export type UnreleasedAddonVar = { name: string; addon: string; isMoved: boolean };

/** What add-ons contribute now and a live release has not, or has otherwise. */
export async function readUnreleasedAddonVars(
  deps: Pick<Deps, "keyring">,
  db: Db,
  app: AppRow,
  live: ReleaseRow,
): Promise<UnreleasedAddonVar[]> {
  const { vars, origins } = await readSnapshot(deps, db, live);
  const attached = await readAttachedVars(deps, db, app);
  const before = Object.entries(origins).flatMap(([name, origin]) =>
    addonOf(origin) !== undefined ? [[name, { origin, value: vars[name] }] as const] : [],
  );
  const after = attached.flatMap(({ origin, vars: each }) =>
    Object.entries(each).map(([name, value]) => [name, { origin, value }] as const),
  );
  const [was, is] = [new Map(before), new Map(after)];
  return [...new Set([...was.keys(), ...is.keys()])].sort().flatMap((name) => {
    const [old, now] = [was.get(name), is.get(name)];
    if (old?.origin === now?.origin && old?.value === now?.value) return [];
    return [{ name, addon: addonOf((now ?? old)!.origin)!, isMoved: old !== undefined && old.origin === now?.origin }];
  });
}
