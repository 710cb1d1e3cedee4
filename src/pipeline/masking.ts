import { listSnapshots } from "../db/releases.ts";
import type { AppRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import type { Cause } from "../model/cause.ts";
import { createMasker, type Masker } from "../secrets/masker.ts";
import { openSnapshot } from "./config-snapshot.ts";
import { orgKeyOf } from "./config-vars.ts";
import { type EffectiveConfig, readEffectiveConfig, secretVars } from "./effective-config.ts";

/** Hides what is secret in these config vars wherever it stands. */
export function maskerOf(...configs: EffectiveConfig[]): Masker {
  const distinct = new Map<string, { name: string; value: string }>();
  for (const config of configs) {
    for (const [name, value] of Object.entries(secretVars(config))) distinct.set(`${name}=${value}`, { name, value });
  }
  return createMasker([...distinct.values()]);
}

/**
 * Hides the values that an app's config vars have, or had in any release: for lines that its own processes wrote, which may
 * be older than the last change.
 */
export async function appMasker(
  deps: Pick<Deps, "db" | "keyring" | "runtime">,
  app: Pick<AppRow, "id" | "orgId" | "name">,
): Promise<Masker> {
  const { db } = deps.db;
  const key = await orgKeyOf(deps, db, app.orgId);
  const before = (await listSnapshots(db, app.id)).map((sealed) => openSnapshot(key, app.orgId, sealed));
  return maskerOf(await readEffectiveConfig(deps, db, app, {}), ...before);
}

/** A cause with its secrets hidden. */
export function maskCause(cause: Cause, mask: (text: string) => string): Cause {
  return {
    headline: mask(cause.headline),
    ...(cause.detail && { detail: mask(cause.detail) }),
    ...(cause.hint && { hint: mask(cause.hint) }),
    ...(cause.notBack && { notBack: mask(cause.notBack) }),
    ...(cause.lastLines && { lastLines: cause.lastLines.map(mask) }),
  };
}
