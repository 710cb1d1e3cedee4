import type { ReleaseSpec } from "../runtime.ts";
import { findSlug, type Ground, newProcess, startProcess } from "./ground.ts";
import { findKeeper, markRetired, stopInstance } from "./instance.ts";
import { LockBusy } from "./lock.ts";
import { mountDesired } from "./mounted.ts";
import { endLostRuns } from "./one-off.ts";
import { releaseLostPorts } from "./ports.ts";
import { drainBackends, findRoutes, putRoute, routeOf } from "./routes.ts";
import {
  type Desired,
  type DesiredProcess,
  findDesired,
  listAppIds,
  listInstanceIds,
  processFolder,
  withApp,
  writeDesired,
} from "./state.ts";

/**
 * Brings what runs to what should run, for every app: what a killed platform or a rebooted machine left behind is
 * adopted, started again or ended. An app that someone is changing this moment is left to them.
 */
export async function healAll(ground: Ground): Promise<void> {
  const appIds = await listAppIds(ground.dataDir);
  await Promise.all(appIds.map((appId) => healUnlessBusy(ground, appId)));
  await releaseLostPorts(ground.dataDir);
  await removeForeignRoutes(ground, new Set(appIds));
}

/** Heals the apps of which a process has lost its keeper; cheap when there is none. */
export async function healWhatBroke(ground: Ground): Promise<void> {
  for (const appId of await listAppIds(ground.dataDir)) {
    const desired = await findDesired(ground.dataDir, appId);
    if (!desired) continue;
    const lost = await lostProcesses(ground, desired);
    if (lost.length > 0) await healUnlessBusy(ground, appId);
  }
}

/**
 * The same for one app; the caller holds it. Answers what should run. An instance without a living keeper is ended before
 * its successor starts, so that a process never runs twice; what nobody wants is drained and stopped last.
 */
export async function healApp(ground: Ground, appId: string): Promise<Desired | undefined> {
  await endLostRuns(ground.dataDir, appId);
  const written = await findDesired(ground.dataDir, appId);
  if (written) await mountDesired(ground, written);
  const desired = written && (await revive(ground, written));
  const route = desired && routeOf(desired, ground.baseDomain);
  const version = await putRoute(ground.dataDir, ground.baseDomain, appId, route);
  const wanted = new Set(desired?.processes.map(({ id }) => id));
  const strays = (await listInstanceIds(ground.dataDir, appId)).filter((id) => !wanted.has(id));
  if (strays.length > 0) ground.log.info({ appId, processes: strays }, "leftover processes stopped");
  await retire(ground, appId, strays, { routesVersion: version, limitMs: drainLimitMs(ground, desired?.spec) });
  return desired;
}

/** How long requests may take to finish on processes that get no more of them. */
export function drainLimitMs(ground: Ground, spec: ReleaseSpec | undefined): number {
  return spec?.drainMs ?? ground.drainTimeoutMs;
}

/** Ends instances that are in no route any more, after what they have in flight. Answers how the draining went. */
export async function retire(
  ground: Ground,
  appId: string,
  instanceIds: string[],
  drain: { routesVersion: number; limitMs: number; onWait?(inFlight: number): void },
): Promise<{ finished: number; left: number }> {
  if (instanceIds.length === 0) return { finished: 0, left: 0 };
  await Promise.all(instanceIds.map((id) => markRetired(processFolder(ground.dataDir, appId, id))));
  const drained = await drainBackends(ground.dataDir, {
    version: drain.routesVersion,
    backendIds: instanceIds,
    limitMs: drain.limitMs,
    onWait: drain.onWait ?? (() => {}),
    log: ground.log,
  });
  await Promise.all(instanceIds.map((id) => stopInstance(ground.dataDir, appId, id)));
  return drained;
}

async function healUnlessBusy(ground: Ground, appId: string): Promise<void> {
  try {
    await withApp(ground.dataDir, appId, { waitMs: busyAfterMs }, () => healApp(ground, appId));
  } catch (error) {
    if (error instanceof LockBusy) return;
    // One broken app must not keep the others from coming up.
    ground.log.error({ appId, err: error }, "app could not be brought to its desired state");
  }
}

/** Longer than a killed platform's lock takes to fall, shorter than anyone minds at start. */
const busyAfterMs = 1_000;

async function revive(ground: Ground, desired: Desired): Promise<Desired> {
  const lost = await lostProcesses(ground, desired);
  if (lost.length === 0) return desired;
  const { spec } = desired;
  const slug = await findSlug(ground, spec);
  if (!slug) {
    ground.log.error(
      { app: spec.appName, version: spec.version },
      "the release's files are gone, it cannot be started",
    );
    return desired;
  }
  await Promise.all(lost.map(({ id }) => stopInstance(ground.dataDir, spec.appId, id)));
  const successors = new Map<string, DesiredProcess>();
  for (const process of lost) successors.set(process.id, await newProcess(ground, spec, process));
  const revived = { spec, processes: desired.processes.map((process) => successors.get(process.id) ?? process) };
  // Written before they start: started first and then forgotten, they would be strays.
  await writeDesired(ground.dataDir, revived);
  await Promise.all([...successors.values()].map((process) => startProcess(ground, spec, slug, process)));
  ground.log.info({ app: spec.appName, processes: lost.map(({ name }) => name) }, "processes started again");
  return revived;
}

async function lostProcesses(ground: Ground, { spec, processes }: Desired): Promise<DesiredProcess[]> {
  const keepers = await Promise.all(
    processes.map(({ id }) => findKeeper(processFolder(ground.dataDir, spec.appId, id))),
  );
  return processes.filter((_, index) => keepers[index] === undefined);
}

/** Routes of apps that nothing is kept of: a destroy was cut short. */
async function removeForeignRoutes(ground: Ground, appIds: ReadonlySet<string>): Promise<void> {
  const routes = await findRoutes(ground.dataDir);
  for (const appId of Object.keys(routes?.apps ?? {})) {
    if (!appIds.has(appId)) await putRoute(ground.dataDir, ground.baseDomain, appId, undefined);
  }
}
