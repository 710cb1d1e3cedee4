import { rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { effectiveFormation, restartRevision } from "../../model/process-types.ts";
import type { ReleaseSpec, RolloutCall, RolloutOutcome } from "../runtime.ts";
import { findSlug, type Ground, newProcess, type Slug, startProcess } from "./ground.ts";
import { drainLimitMs, healApp, retire } from "./healing.ts";
import { stopInstance, stopInstancesExcept } from "./instance.ts";
import { keepingVolumes, mountDesired, mountRelease } from "./mounted.ts";
import { endRuns } from "./one-off.ts";
import { waitUntilHealthy } from "./readiness.ts";
import { drainBackends, putRoute, routeOf } from "./routes.ts";
import {
  appFolder,
  checkFence,
  type Desired,
  type DesiredProcess,
  raiseFence,
  removeDesired,
  withApp,
  writeDesired,
} from "./state.ts";

/** See Rollout.apply. */
export async function applyRelease(
  ground: Ground,
  asked: ReleaseSpec,
  fence: number,
  call: RolloutCall,
): Promise<RolloutOutcome> {
  const { dataDir } = ground;
  await raiseFence(dataDir, asked.appId, fence);
  return withApp(dataDir, asked.appId, { signal: call.signal }, async () => {
    await checkFence(dataDir, asked.appId, fence);
    const current = await readdress(ground, await healApp(ground, asked.appId), asked);
    const spec = keepingVolumes(current, asked);
    const change = planChange(current, spec);
    const isSameRelease = current?.spec.releaseId === spec.releaseId;
    if (isSameRelease && change.start.length === 0 && change.stop.length === 0) {
      await restate(ground, current, { spec, processes: change.keep });
      return { ok: true };
    }
    const slug = await findSlug(ground, spec);
    if (!slug) return slugIsGone(spec);
    const linked = await mountRelease(ground, current, spec, slug);
    if (!linked.ok) return linked;
    for (const text of linked.covered) call.write({ kind: "text", text });

    const started = await startAll(ground, spec, slug, change.start);
    try {
      const health = await waitUntilHealthy({
        dataDir,
        spec,
        slugDir: slug.dir,
        host: `${spec.appName}.${ground.baseDomain}`,
        processes: started,
        write: call.write,
        signal: call.signal,
        timeoutMs: call.timeoutMs,
        settleMs: ground.settleMs,
        wrongPortMs: ground.wrongPortMs,
        mayGoOn: nowAndThen(() => checkFence(dataDir, spec.appId, fence)),
      });
      if (!health.ok) {
        await putBack(ground, spec.appId, started, current);
        return health;
      }
      await checkFence(dataDir, spec.appId, fence);
      if (!(await call.maySwitch())) {
        await putBack(ground, spec.appId, started, current);
        return { ok: false, declined: true };
      }
      // From this write on, a crash is healed towards the new release.
      await writeDesired(dataDir, { spec, processes: inOrder([...change.keep, ...started]) });
    } catch (error) {
      await putBack(ground, spec.appId, started, current);
      throw error;
    }
    const desired = { spec, processes: inOrder([...change.keep, ...started]) };
    await switchTo(ground, desired, current, change.stop, call);
    await mountDesired(ground, desired);
    return { ok: true };
  });
}

/** See Rollout.destroy. */
export async function destroyApp(ground: Ground, appId: string, fence: number): Promise<void> {
  const { dataDir } = ground;
  await raiseFence(dataDir, appId, fence);
  await withApp(dataDir, appId, {}, async () => {
    await checkFence(dataDir, appId, fence);
    await removeDesired(dataDir, appId);
    await routersFollow(ground, await putRoute(dataDir, ground.baseDomain, appId, undefined));
    await Promise.all([stopInstancesExcept(dataDir, appId, new Set()), endRuns(dataDir, appId)]);
    // A router may be writing its last lines into the log.
    await rm(appFolder(dataDir, appId), { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  });
}

export type Change = {
  keep: DesiredProcess[];
  start: { name: string; type: string }[];
  stop: DesiredProcess[];
};

/**
 * What has to start and stop: of another release everything, of the same one what the formation says, and what was started
 * before a restart was asked for: its successor has the same name. Pure.
 */
export function planChange(current: Desired | undefined, spec: ReleaseSpec): Change {
  const wanted = Object.entries(effectiveFormation(spec.processTypes, spec.formation)).flatMap(([type, count]) =>
    Array.from({ length: count }, (_, index) => ({ name: `${type}.${index + 1}`, type })),
  );
  const there = current?.processes ?? [];
  if (current?.spec.releaseId !== spec.releaseId) return { keep: [], start: wanted, stop: there };
  const wantedNames = new Set(wanted.map(({ name }) => name));
  const isFresh = (process: DesiredProcess) => (process.revision ?? 0) >= restartRevision(spec.restarts ?? {}, process);
  const keep = there.filter((process) => wantedNames.has(process.name) && isFresh(process));
  const keptNames = new Set(keep.map(({ name }) => name));
  return {
    keep,
    start: wanted.filter(({ name }) => !keptNames.has(name)),
    stop: there.filter((process) => !keep.includes(process)),
  };
}

/** Moves the traffic, then lets the old ones finish. What is written down already is not taken back any more. */
async function switchTo(
  ground: Ground,
  desired: Desired,
  before: Desired | undefined,
  stopping: DesiredProcess[],
  call: RolloutCall,
): Promise<void> {
  const { spec } = desired;
  const version = await putRoute(ground.dataDir, ground.baseDomain, spec.appId, routeOf(desired, ground.baseDomain));
  await routersFollow(ground, version);
  ground.log.info({ app: spec.appName, version: spec.version }, "traffic moved");
  if (!before || stopping.length === 0) return;

  const isScaling = before.spec.releaseId === spec.releaseId;
  const who = isScaling ? stopping.map(({ name }) => name).join(", ") : `v${before.spec.version}`;
  const ids = (isWeb: boolean) => stopping.filter(({ type }) => (type === "web") === isWeb).map(({ id }) => id);
  const limitMs = drainLimitMs(ground, spec);
  const onWait = (inFlight: number) =>
    call.write({ kind: "text", text: `waiting for ${requests(inFlight)} on ${who}` });
  const [drained] = await Promise.all([
    retire(ground, spec.appId, ids(true), { routesVersion: version, limitMs, onWait }),
    retire(ground, spec.appId, ids(false), { routesVersion: version, limitMs }),
  ]);
  const limit = `${limitMs / 1000} s`;
  const ending = drained.left > 0 ? `stopped, ${requests(drained.left)} not finished after ${limit}` : "drained";
  call.write({ kind: "text", text: isScaling ? `${who} ${ending}` : `v${spec.version} serves, ${who} ${ending}` });
}

/**
 * The app's name, its hosts and maintenance are no part of a release: they hold at once for what serves, whatever becomes of
 * the processes that are to start.
 */
async function readdress(
  ground: Ground,
  current: Desired | undefined,
  { appName, hosts = [], isInMaintenance = false }: ReleaseSpec,
): Promise<Desired | undefined> {
  return (
    current && restate(ground, current, { ...current, spec: { ...current.spec, appName, hosts, isInMaintenance } })
  );
}

/** Nothing starts or stops, but what is said of the release is written down. */
async function restate(ground: Ground, current: Desired, desired: Desired): Promise<Desired> {
  // As it would be read back: without the keys that are undefined.
  if (isDeepStrictEqual(JSON.parse(JSON.stringify(desired)), current)) return current;
  await writeDesired(ground.dataDir, desired);
  const route = routeOf(desired, ground.baseDomain);
  await routersFollow(ground, await putRoute(ground.dataDir, ground.baseDomain, desired.spec.appId, route));
  return desired;
}

/** Whoever is told "live" may look the next moment. */
async function routersFollow({ dataDir, drainTimeoutMs, log }: Ground, version: number): Promise<void> {
  await drainBackends(dataDir, { version, backendIds: [], limitMs: drainTimeoutMs, onWait: () => {}, log });
}

async function startAll(
  ground: Ground,
  spec: ReleaseSpec,
  slug: Slug,
  wanted: Change["start"],
): Promise<DesiredProcess[]> {
  const started: DesiredProcess[] = [];
  try {
    for (const one of wanted) started.push(await newProcess(ground, spec, one));
    await Promise.all(started.map((process) => startProcess(ground, spec, slug, process)));
    return started;
  } catch (error) {
    await putBack(ground, spec.appId, started);
    throw error;
  }
}

/** Ends what was started; what goes on finds its volumes where they were. */
async function putBack(
  ground: Ground,
  appId: string,
  started: DesiredProcess[],
  current?: Desired | undefined,
): Promise<void> {
  await Promise.all(started.map(({ id }) => stopInstance(ground.dataDir, appId, id)));
  if (current) await mountDesired(ground, current);
}

function slugIsGone(spec: ReleaseSpec): RolloutOutcome {
  return {
    ok: false,
    cause: {
      headline: `the files of v${spec.version} are gone`,
      detail: `${spec.image} was removed`,
      hint: "push its commit again",
    },
  };
}

/** By type in the order of the names, `web.2` before `web.10`. */
function inOrder(processes: DesiredProcess[]): DesiredProcess[] {
  return processes.toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

function requests(count: number): string {
  return count === 1 ? "1 request" : `${count} requests`;
}

/** Asks at most a few times a second, however often it is called. */
function nowAndThen(ask: () => Promise<void>): () => Promise<void> {
  let asked: Promise<void> | undefined;
  return () => {
    asked ??= ask().then(() => {
      void delay(250).then(() => {
        asked = undefined;
      });
    });
    return asked;
  };
}
