import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Log } from "../../log.ts";
import { withLock } from "./lock.ts";
import { startTimeOf } from "./machine.ts";
import { type Desired, namesIn, readIfThere, replaceFile } from "./state.ts";

/** DATA/routes.json: who answers for which host. Written by the runtime, read by every router; always replaced whole. */
export type Routes = {
  /** Grows with every change. */
  version: number;
  baseDomain: string;
  /** By app id. */
  apps: Record<string, Route>;
};

export type Route = {
  appName: string;
  /** The app's own first, then those that somebody gave it. */
  hosts: string[];
  /** A page is answered instead of the app. */
  isInMaintenance?: boolean;
  /** Why there may be no backends: scaled to 0, or the release has no web process type. */
  web: "running" | "scaled_down" | "absent";
  backends: Backend[];
};

export type Backend = {
  /** The instance's id. */
  id: string;
  /** `web.1` */
  name: string;
  port: number;
};

/** DATA/routers/ID.json: what one router has seen, and the requests it still has on backends that left the routes. */
export type RouterReport = {
  pid: number;
  startTime: string | undefined;
  /** The version of the routes it serves by; 0 while it has read none. */
  version: number;
  inFlight: Record<string, number>;
};

/** The route of what should run. */
export function routeOf(desired: Desired, baseDomain: string): Route {
  const { spec, processes } = desired;
  const backends = processes.flatMap(({ id, name, type, port }) =>
    type === "web" && port !== undefined ? [{ id, name, port }] : [],
  );
  const web = !("web" in spec.processTypes) ? "absent" : backends.length === 0 ? "scaled_down" : "running";
  return {
    appName: spec.appName,
    hosts: [`${spec.appName}.${baseDomain}`, ...(spec.hosts ?? [])],
    ...(spec.isInMaintenance ? { isInMaintenance: true } : {}),
    web,
    backends,
  };
}

/** Puts an app's route in place, or takes it away, and answers the version that has it so. */
export async function putRoute(
  dataDir: string,
  baseDomain: string,
  appId: string,
  route: Route | undefined,
): Promise<number> {
  return withLock(join(dataDir, "owners", "routes.lock"), {}, async () => {
    const routes = (await findRoutes(dataDir)) ?? { version: 0, baseDomain, apps: {} };
    if (isDeepStrictEqual(routes.apps[appId], route) && routes.baseDomain === baseDomain) return routes.version;
    const { [appId]: _before, ...apps } = routes.apps;
    if (route) apps[appId] = route;
    // Counted on from the clock, so that a lost file cannot bring an old version back.
    const version = Math.max(routes.version + 1, Date.now());
    await replaceFile(routesFile(dataDir), JSON.stringify({ version, baseDomain, apps } satisfies Routes));
    return version;
  });
}

/** The routes, or undefined if there are none yet (or a power cut took them: opening the runtime writes them anew). */
export async function findRoutes(dataDir: string): Promise<Routes | undefined> {
  const text = await readIfThere(routesFile(dataDir));
  try {
    return text ? (JSON.parse(text) as Routes) : undefined;
  } catch {
    return undefined;
  }
}

export function routesFile(dataDir: string): string {
  return join(dataDir, "routes.json");
}

export function routersFolder(dataDir: string): string {
  return join(dataDir, "routers");
}

export async function writeRouterReport(dataDir: string, routerId: string, report: RouterReport): Promise<void> {
  await mkdir(routersFolder(dataDir), { recursive: true, mode: 0o700 });
  await replaceFile(join(routersFolder(dataDir), `${routerId}.json`), JSON.stringify(report));
}

export async function removeRouterReport(dataDir: string, routerId: string): Promise<void> {
  await rm(join(routersFolder(dataDir), `${routerId}.json`), { force: true });
}

/**
 * Waits until no router sends anything to these backends any more and what they had in flight is done, for at most
 * `limitMs`. Answers how many requests were left.
 */
export async function drainBackends(
  dataDir: string,
  about: { version: number; backendIds: string[]; limitMs: number; onWait(inFlight: number): void; log: Log },
): Promise<{ finished: number; left: number }> {
  const startedAt = Date.now();
  let most = 0;
  for (let saidAt = startedAt; ; ) {
    const reports = await livingRouters(dataDir);
    const behind = reports.filter((report) => report.version < about.version);
    const inFlight = sum(reports.flatMap((report) => about.backendIds.map((id) => report.inFlight[id] ?? 0)));
    const waitedMs = Date.now() - startedAt;
    most = Math.max(most, inFlight);

    if (behind.length === 0 && inFlight === 0) return { finished: most, left: 0 };
    if (behind.length > 0 && waitedMs > reportLimitMs && inFlight === 0) {
      about.log.warn({ routers: behind.map((report) => report.pid) }, "router did not take up new routes in time");
      return { finished: most, left: 0 };
    }
    if (waitedMs > about.limitMs) return { finished: most - inFlight, left: inFlight };
    if (Date.now() - saidAt > sayEveryMs) {
      saidAt = Date.now();
      about.onWait(inFlight);
    }
    await delay(pollMs);
  }
}

/** A router that has not taken up new routes after this long hangs, and is not waited for. */
const reportLimitMs = 5_000;
const pollMs = 15;
const sayEveryMs = 10_000;

async function livingRouters(dataDir: string): Promise<RouterReport[]> {
  const folder = routersFolder(dataDir);
  const reports = await Promise.all(
    (await namesIn(folder)).map(async (name): Promise<RouterReport[]> => {
      const text = await readIfThere(join(folder, name));
      if (!text) return [];
      const report = JSON.parse(text) as RouterReport;
      const startTime = await startTimeOf(report.pid);
      if (startTime !== undefined && startTime === report.startTime) return [report];
      // Killed before it could take its report away.
      await rm(join(folder, name), { force: true });
      return [];
    }),
  );
  return reports.flat();
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
