import { slugFolder } from "../../model/image.ts";
import type { ProcessStatus } from "../runtime.ts";
import { crashReason } from "./diagnosis.ts";
import type { Ground } from "./ground.ts";
import { findInstance, findKeeper, type InstanceFacts, isRetired, type KeeperStatus, readStatus } from "./instance.ts";
import { type Desired, type DesiredProcess, findDesired, listInstanceIds, processFolder } from "./state.ts";

/** Up for this long after a crash, a process counts as up again: a crash loop does not flicker. */
const trustedAfterMs = 5_000;

/** See Processes.list. */
export async function listProcesses(ground: Ground, appId: string): Promise<ProcessStatus[]> {
  const desired = await findDesired(ground.dataDir, appId);
  const wanted = new Map(desired?.processes.map((process) => [process.id, process]));
  const there = await listInstanceIds(ground.dataDir, appId);
  const ids = [...new Set([...wanted.keys(), ...there])];
  const found = await Promise.all(ids.map((id) => describe(ground, appId, id, desired, wanted.get(id))));
  return found
    .filter((status) => status !== undefined)
    .sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }) || b.version - a.version);
}

async function describe(
  ground: Ground,
  appId: string,
  id: string,
  desired: Desired | undefined,
  wanted: DesiredProcess | undefined,
): Promise<ProcessStatus | undefined> {
  const folder = processFolder(ground.dataDir, appId, id);
  const facts = (await findInstance(ground.dataDir, appId, id)) ?? factsOf(desired, wanted);
  if (!facts) return undefined;
  const status = await readStatus(folder);
  const about = {
    name: facts.name,
    type: facts.type,
    releaseId: facts.releaseId,
    version: facts.version,
    since: new Date(status?.since ?? Date.now()),
    restarts: Math.max(0, (status?.starts ?? 1) - 1),
  };
  if (await isRetired(folder)) return { ...about, state: "stopping" };
  if ((await findKeeper(folder)) === undefined) {
    return wanted ? { ...about, state: "crashed", reason: "it is not running, and is started again soon" } : undefined;
  }
  if (!status) return { ...about, state: "starting" };
  if (status.state === "stopping" || status.state === "ended") return { ...about, state: "stopping" };
  if (status.state === "crashed") return { ...about, state: "crashed", ...reason(ground, facts, desired, status) };
  const isTrusted = wanted !== undefined && (status.exits === 0 || Date.now() - status.since > trustedAfterMs);
  return isTrusted
    ? { ...about, state: "up" }
    : { ...about, state: "starting", ...reason(ground, facts, desired, status) };
}

function reason(
  ground: Ground,
  facts: InstanceFacts,
  desired: Desired | undefined,
  status: KeeperStatus,
): { reason?: string } {
  if (!status.lastExit) return {};
  const { lastExit } = status;
  return {
    reason: crashReason({
      appName: desired?.spec.appName ?? "",
      type: facts.type,
      exit: lastExit,
      lines: lastExit.lines,
      slugDir: desired ? slugFolder(ground.slugsDir, desired.spec.image) : "",
      port: facts.port,
    }),
  };
}

/** A process that should run and of which not even a folder is there. */
function factsOf(desired: Desired | undefined, wanted: DesiredProcess | undefined): InstanceFacts | undefined {
  if (!desired || !wanted) return undefined;
  const { appId, releaseId, version } = desired.spec;
  return { ...wanted, appId, releaseId, version };
}
