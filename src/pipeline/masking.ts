import { listReleases } from "../db/releases.ts";
import type { AppRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import type { Cause } from "../model/cause.ts";
import { createMasker, type Masker } from "../secrets/masker.ts";
import { type ConfigVars, readConfig, readSnapshot } from "./config-snapshot.ts";

/** What an app wrote before its vars were changed is still in its log: the values of so many releases stay hidden. */
const rememberedReleases = 10;

/** Hides the values of these config vars wherever they stand. */
export function maskerOf(...configs: ConfigVars[]): Masker {
  return createMasker(configs.flatMap((config) => Object.entries(config).map(([name, value]) => ({ name, value }))));
}

/** Hides the values that an app's config vars have, and had of late: for lines that its own processes wrote. */
export async function appMasker(
  deps: Pick<Deps, "db" | "keyring">,
  app: Pick<AppRow, "id" | "orgId">,
): Promise<Masker> {
  const { db } = deps.db;
  const releases = await listReleases(db, app.id, rememberedReleases);
  const before = await Promise.all(releases.map(({ release }) => readSnapshot(deps, db, release)));
  return maskerOf(await readConfig(deps, db, app), ...before);
}

/** A cause with its secrets hidden. */
export function maskCause(cause: Cause, mask: (text: string) => string): Cause {
  return {
    headline: mask(cause.headline),
    ...(cause.detail && { detail: mask(cause.detail) }),
    ...(cause.hint && { hint: mask(cause.hint) }),
    ...(cause.lastLines && { lastLines: cause.lastLines.map(mask) }),
  };
}
