import { listVolumes } from "../db/addons.ts";
import { findAppById, getFormation } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { listHosts } from "../db/domains.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import type { VolumeMount } from "../model/addons.ts";
import { saidFormation } from "../model/app-settings.ts";
import { effectiveFormation, type Formation, type Restarts } from "../model/process-types.ts";
import type { ReleaseSpec } from "../runtime/runtime.ts";
import { readSnapshot } from "./config-snapshot.ts";
import type { EffectiveConfig } from "./effective-config.ts";

/** What is asked of an app's running release besides the release itself, and the revision that stands for it. */
export type Wanted = {
  revision: number;
  appName: string;
  formation: Formation;
  /** Of it, what somebody has asked for by scaling. */
  asked: Formation;
  /** Types that run nowhere because nobody has said a number for them. */
  neverAsked: string[];
  hosts: string[];
  isInMaintenance: boolean;
  restarts: Restarts;
  volumes: VolumeMount[];
};

/** What is wanted now of a release of this app. */
export async function readWanted(
  db: Db,
  held: Pick<AppRow, "id" | "name">,
  release: Pick<ReleaseRow, "processTypes" | "settings">,
): Promise<Wanted> {
  // The revision is read first: what changes in between is applied again afterwards.
  const app = await findAppById(db, held.id);
  const asked = await getFormation(db, held.id);
  const hosts = await listHosts(db, held.id);
  const volumes = await listVolumes(db, held.id);
  const said = saidFormation(release.settings);
  const formation = effectiveFormation(release.processTypes, asked, said);
  const neverAsked = Object.keys(formation).filter(
    (type) => formation[type] === 0 && asked[type] === undefined && said[type] === undefined,
  );
  return {
    revision: app?.wantedRevision ?? 0,
    appName: app?.name ?? held.name,
    formation,
    asked,
    neverAsked,
    hosts,
    isInMaintenance: app?.maintenanceSince != null,
    restarts: app?.restarts ?? {},
    volumes,
  };
}

/** What a runtime needs to know to run something in a release that was made before. */
export async function readSpec(
  deps: Pick<Deps, "keyring">,
  db: Db,
  app: Pick<AppRow, "id" | "name">,
  row: ReleaseRow,
): Promise<ReleaseSpec> {
  const config = await readSnapshot(deps, db, row);
  return releaseSpec(app, { row, config }, await readWanted(db, app, row));
}

/** What a runtime needs to know to run a release. */
export function releaseSpec(
  app: Pick<AppRow, "id">,
  { row, config }: { row: ReleaseRow; config: EffectiveConfig },
  wanted: Wanted,
): ReleaseSpec {
  const { processes = {}, rollout = {} } = row.settings;
  const stopGraceMs = Object.fromEntries(
    Object.keys(row.processTypes).flatMap((type) => {
      const graceMs = processes[type]?.stopGraceMs ?? rollout.stopGraceMs;
      return graceMs === undefined ? [] : [[type, graceMs]];
    }),
  );
  return {
    appId: app.id,
    appName: wanted.appName,
    releaseId: row.id,
    version: row.version,
    image: row.image,
    env: config.vars,
    processTypes: row.processTypes,
    formation: wanted.formation,
    hosts: wanted.hosts,
    isInMaintenance: wanted.isInMaintenance,
    restarts: wanted.restarts,
    volumes: wanted.volumes,
    ...(processes.web?.health ? { healthPath: processes.web.health.path } : {}),
    ...(processes.web?.health?.timeoutMs ? { healthTimeoutMs: processes.web.health.timeoutMs } : {}),
    ...(rollout.drainMs === undefined ? {} : { drainMs: rollout.drainMs }),
    stopGraceMs,
  };
}
