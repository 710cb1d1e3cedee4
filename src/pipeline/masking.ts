import type { AppRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { createMasker, type Masker } from "../secrets/masker.ts";
import { type ConfigVars, readConfig } from "./config-snapshot.ts";

/** Hides the values of these config vars wherever they stand. */
export function maskerOf(config: ConfigVars): Masker {
  return createMasker(Object.entries(config).map(([name, value]) => ({ name, value })));
}

/** Hides the values that an app's config vars have now: for lines that its own processes wrote. */
export async function appMasker(
  deps: Pick<Deps, "db" | "keyring">,
  app: Pick<AppRow, "id" | "orgId">,
): Promise<Masker> {
  return maskerOf(await readConfig(deps, deps.db.db, app));
}
