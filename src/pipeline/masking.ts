import { listSnapshots } from "../db/releases.ts";
import type { AppRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import type { Cause } from "../model/cause.ts";
import { createMasker, type Masker, type Secret } from "../secrets/masker.ts";
import { openSnapshot } from "./config-snapshot.ts";
import { orgKeyOf } from "./config-vars.ts";
import { type EffectiveConfig, readEffectiveConfig, secretVars } from "./effective-config.ts";

/** Hides what is secret in these config vars wherever it stands. */
export function maskerOf(...configs: EffectiveConfig[]): Masker {
  return createMasker([...secretsOf(configs).values()]);
}

type Secrets = ReadonlyMap<string, Secret>;

/** Each pair of name and value once. */
function secretsOf(configs: EffectiveConfig[], before: Secrets = new Map()): Secrets {
  const distinct = new Map(before);
  for (const config of configs) {
    for (const [name, value] of Object.entries(secretVars(config))) distinct.set(`${name}=${value}`, { name, value });
  }
  return distinct;
}

/** What the releases of an app up to a version have had, which never changes, and what hides it. */
type Past = { version: number; secrets: Secrets; masker: Masker };

const noPast: Past = { version: 0, secrets: new Map(), masker: createMasker([]) };

/** Of the apps that were asked for last, so that not every reader of a log opens every release anew. */
const pasts = new Map<string, Past>();
const mostPasts = 50;

/**
 * Hides the values that an app's config vars have, or had in any release: for lines that its own processes wrote, which may
 * be older than the last change.
 */
export async function appMasker(
  deps: Pick<Deps, "db" | "keyring" | "runtime">,
  app: Pick<AppRow, "id" | "orgId" | "name">,
): Promise<Masker> {
  const past = await readPast(deps, app);
  const secrets = secretsOf([await readEffectiveConfig(deps, deps.db.db, app, {})], past.secrets);
  return secrets.size === past.secrets.size ? past.masker : createMasker([...secrets.values()]);
}

async function readPast(
  deps: Pick<Deps, "db" | "keyring">,
  { id, orgId }: Pick<AppRow, "id" | "orgId">,
): Promise<Past> {
  const { db } = deps.db;
  const known = pasts.get(id) ?? noPast;
  const newer = await listSnapshots(db, id, known.version);
  let past = known;
  if (newer.length > 0) {
    const key = await orgKeyOf(deps, db, orgId);
    const opened = newer.map((sealed) => openSnapshot(key, orgId, sealed));
    const secrets = secretsOf(opened, known.secrets);
    past = { version: newer.at(-1)!.version, secrets, masker: createMasker([...secrets.values()]) };
  }
  // The one asked for last stands at the end.
  pasts.delete(id);
  pasts.set(id, past);
  if (pasts.size > mostPasts) pasts.delete(pasts.keys().next().value!);
  return past;
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
