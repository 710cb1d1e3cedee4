import { randomBytes } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { type IncomingMessage, ServerResponse } from "node:http";
import { basename } from "node:path";
import type { Duplex } from "node:stream";
import type { Log } from "../../log.ts";
import { AppName } from "../../model/names.ts";
import { openForwarding } from "./forwarding.ts";
import { startTimeOf } from "./machine.ts";
import { openRouterLog } from "./router-log.ts";
import { page, pages } from "./router-pages.ts";
import {
  type Backend,
  findRoutes,
  type Route,
  type Routes,
  removeRouterReport,
  routesFile,
  writeRouterReport,
} from "./routes.ts";

export type RouterOptions = {
  dataDir: string;
  log: Log;
  /** Which hosts are apps' before the runtime has written any route; `localhost` by default. */
  baseDomain?: string;
  /** Believe X-Forwarded-* of whoever connects: only behind a proxy that sets them itself. */
  trustForwarded?: boolean;
  /** A request on which nothing moves in either direction for this long is ended; 2 min by default. */
  idleLimitMs?: number;
};

/** Serves the apps' hosts on the platform's listener. It knows nothing but files, so that it needs no database. */
export type Router = {
  /** The name of the app that a Host header means: one there is, or one there could be; undefined: not an app's host. */
  findApp(host: string | undefined): string | undefined;
  /** For the listener's `request`: true = an app's host, and being served. */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
  /** For the listener's `upgrade`, likewise. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  close(): Promise<void>;
};

/** Should the file system not tell of new routes. */
const pollMs = 250;

export async function openRouter(options: RouterOptions): Promise<Router> {
  const { dataDir, log } = options;
  const id = `${process.pid}-${randomBytes(4).toString("hex")}`;
  const startTime = await startTimeOf(process.pid);
  await mkdir(dataDir, { recursive: true });

  let routes: Routes = { version: 0, baseDomain: options.baseDomain ?? "localhost", apps: {} };
  let hosts = hostsOf(routes);
  const load = new Map<string, number>();
  const routerLog = openRouterLog(dataDir, log);
  const reports = openReports(() =>
    writeRouterReport(dataDir, id, { pid: process.pid, startTime, version: routes.version, inFlight: retiredLoad() }),
  );
  const forwarding = openForwarding({
    idleLimitMs: options.idleLimitMs ?? 120_000,
    trustForwarded: options.trustForwarded ?? false,
    log,
  });

  /** Requests in flight on backends that have left the routes. */
  function retiredLoad(): Record<string, number> {
    const current = new Set(
      Object.values(routes.apps).flatMap(({ backends }) => backends.map((backend) => backend.id)),
    );
    return Object.fromEntries([...load].filter(([backendId]) => !current.has(backendId)));
  }

  function changeLoad(backend: Backend, by: number): void {
    const now = (load.get(backend.id) ?? 0) + by;
    if (now > 0) load.set(backend.id, now);
    else load.delete(backend.id);
    if (by < 0 && !isRouted(backend)) reports.write();
  }

  function isRouted(backend: Backend): boolean {
    return Object.values(routes.apps).some(({ backends }) => backends.some((one) => one.id === backend.id));
  }

  async function takeUp(): Promise<void> {
    const found = await findRoutes(dataDir);
    if (!found || found.version === routes.version) return;
    const before = Object.values(routes.apps).flatMap(({ backends }) => backends);
    routes = found;
    hosts = hostsOf(found);
    for (const backend of before) if (!isRouted(backend)) forwarding.forget(backend);
    reports.write();
  }

  function findRoute(appName: string, host: string | undefined): Lead | undefined {
    return hosts.get(plainHost(host)) ?? hosts.get(`${appName}.${routes.baseDomain}`);
  }

  function findApp(host: string | undefined): string | undefined {
    const name = plainHost(host);
    const known = hosts.get(name);
    if (known) return known.route.appName;
    if (!name.endsWith(`.${routes.baseDomain}`)) return undefined;
    const label = name.slice(0, -routes.baseDomain.length - 1);
    return AppName.safeParse(label).success ? label : undefined;
  }

  function serve(
    request: IncomingMessage,
    response: ServerResponse,
    upgrade?: { socket: Duplex; head: Buffer },
  ): boolean {
    const appName = findApp(request.headers.host);
    if (appName === undefined) return false;
    const found = findRoute(appName, request.headers.host);
    if (!found) {
      page(request, response, 404, pages.noApp(appName));
      return true;
    }
    const { appId, route } = found;
    const startedAt = performance.now();
    const note = (answer: { status: number; bytes: number; backend?: Backend | undefined }) => {
      const tookMs = Math.round(performance.now() - startedAt);
      routerLog.write(appId, { ...answer, request, tookMs, backend: answer.backend?.name });
    };
    if (route.isInMaintenance) {
      note({ status: 503, bytes: page(request, response, 503, pages.maintenance()) });
      return true;
    }
    forwarding.forward({
      request,
      response,
      upgrade,
      appName,
      // Asked anew for every try: what serves may have changed meanwhile.
      pick: (tried) => leastBusy(routes.apps[appId] ?? route, tried, load),
      hasNone: () => page(request, response, 503, pages.nothingRuns(route)),
      begin: (backend) => changeLoad(backend, 1),
      end: (backend) => changeLoad(backend, -1),
      done: note,
    });
    return true;
  }

  // Our report stands before we read the first routes: who moves traffic from then on waits for us.
  await writeRouterReport(dataDir, id, { pid: process.pid, startTime, version: 0, inFlight: {} });
  const watching = watchFile(routesFile(dataDir), takeUp, log);
  await takeUp();
  reports.write();

  return {
    findApp,
    handle: (request, response) => serve(request, response),
    upgrade(request, socket, head) {
      if (findApp(request.headers.host) === undefined) return false;
      return serve(request, responseOn(request, socket), { socket, head });
    },
    async close() {
      await watching.close();
      forwarding.close();
      await routerLog.close();
      await reports.close();
      await removeRouterReport(dataDir, id);
    },
  };
}

type Lead = { appId: string; route: Route };

/** Which host leads where. An app's own name wins over whoever was given it, and nothing takes the platform's place. */
function hostsOf({ apps, baseDomain }: Routes): Map<string, Lead> {
  const isOwn = (host: string, { appName }: Route) => host === `${appName}.${baseDomain}`;
  const all = Object.entries(apps).flatMap(([appId, route]) => route.hosts.map((host) => ({ host, appId, route })));
  const lastWins = all.sort((a, b) => Number(isOwn(a.host, a.route)) - Number(isOwn(b.host, b.route)));
  return new Map(lastWins.filter(({ host }) => host !== baseDomain).map(({ host, ...lead }) => [host, lead]));
}

/** The backend with the fewest requests in flight; equally busy ones take turns. */
function leastBusy(route: Route, tried: ReadonlySet<string>, load: ReadonlyMap<string, number>): Backend | undefined {
  const candidates = route.backends.filter((backend) => !tried.has(backend.id));
  if (candidates.length < 2) return candidates[0];
  turn = (turn + 1) % 1_000_000;
  let best: Backend | undefined;
  let bestLoad = Number.POSITIVE_INFINITY;
  for (let step = 0; step < candidates.length; step++) {
    const backend = candidates[(turn + step) % candidates.length]!;
    const busy = load.get(backend.id) ?? 0;
    if (busy < bestLoad) [best, bestLoad] = [backend, busy];
  }
  return best;
}

let turn = 0;

/** `Shop.localhost.:8080` as `shop.localhost`. */
function plainHost(host: string | undefined): string {
  return (host ?? "").toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
}

/** An answer in plain HTTP on a socket that asked for an upgrade and does not get one. */
function responseOn(request: IncomingMessage, socket: Duplex): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as Parameters<ServerResponse["assignSocket"]>[0]);
  response.once("finish", () => socket.end());
  return response;
}

/** Writes reports one after the other; what changes while one is written is in the next. */
function openReports(write: () => Promise<void>): { write(): void; close(): Promise<void> } {
  let running: Promise<void> | undefined;
  let isStale = false;
  let isClosed = false;
  async function writeWhileStale(): Promise<void> {
    while (isStale && !isClosed) {
      isStale = false;
      // A full disk: the next change writes again, and whoever waits for this report has a limit.
      await write().catch(() => {});
    }
    running = undefined;
  }
  return {
    write() {
      isStale = true;
      running ??= writeWhileStale();
    },
    async close() {
      isClosed = true;
      await running;
    },
  };
}

/** Calls when a file was replaced: as soon as the file system tells, and by the clock should it not. */
function watchFile(file: string, changed: () => Promise<void>, log: Log): { close(): Promise<void> } {
  let running: Promise<void> | undefined;
  let again = false;
  let seen = "";
  async function look(): Promise<void> {
    do {
      again = false;
      await changed().catch((error: unknown) => log.error({ err: error }, "routes could not be read"));
    } while (again);
    running = undefined;
  }
  const call = () => {
    again = true;
    running ??= look();
  };
  const timer = setInterval(() => {
    stat(file).then(
      ({ ino, mtimeMs }) => {
        if (seen !== (seen = `${ino} ${mtimeMs}`)) call();
      },
      () => {},
    );
  }, pollMs);
  timer.unref();
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(file.slice(0, -basename(file).length), { persistent: false }, (_event, name) => {
      if (name === null || name === basename(file)) call();
    });
    watcher.on("error", () => watcher?.close());
  } catch (error) {
    log.warn({ err: error }, "routes are looked at by the clock only");
  }
  return {
    async close() {
      clearInterval(timer);
      watcher?.close();
      await running;
    },
  };
}
