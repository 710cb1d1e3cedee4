import type { Db } from "../db/client.ts";
import type { ReleaseRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { type OrgKey, seal, unseal } from "../secrets/keyring.ts";
import { type ConfigVars, orgKeyOf } from "./config-vars.ts";
import type { EffectiveConfig } from "./effective-config.ts";

type Sealed = Pick<ReleaseRow, "id" | "sealedConfig" | "configOrigins">;

/** All vars of a release as one sealed text. */
export function sealSnapshot(key: OrgKey, orgId: string, releaseId: string, config: ConfigVars): string {
  return seal(key, snapshotPlace(orgId, releaseId), JSON.stringify(config));
}

/** The vars that a release was made with. */
export async function readSnapshot(deps: Pick<Deps, "keyring">, db: Db, release: ReleaseRow): Promise<EffectiveConfig> {
  return openSnapshot(await orgKeyOf(deps, db, release.orgId), release.orgId, release);
}

/** The same, with the key at hand. */
export function openSnapshot(key: OrgKey, orgId: string, release: Sealed): EffectiveConfig {
  const vars = JSON.parse(unseal(key, snapshotPlace(orgId, release.id), release.sealedConfig));
  return { vars, origins: release.configOrigins };
}

const snapshotPlace = (orgId: string, rowId: string) => ({ orgId, table: "releases", column: "sealed_config", rowId });
