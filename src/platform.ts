import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { createLocalBuilder } from "./builder/local/local.ts";
import type { Check } from "./checks.ts";
import { type Access, clientAddress, openRates, type Rates } from "./commands/actor.ts";
import { commands } from "./commands/registry.ts";
import { prepareSetup } from "./commands/setup.ts";
import type { Config } from "./config.ts";
import { insertAudit } from "./db/audit.ts";
import { type Database, openDatabase } from "./db/client.ts";
import { openPostgresOnDemand } from "./db/embedded/on-demand.ts";
import { startEmbeddedPostgres, stopEmbeddedPostgres } from "./db/embedded/postgres.ts";
import { keepEmbeddedPostgres } from "./db/embedded/watch.ts";
import { migrate } from "./db/migrate.ts";
import { ensurePlatform, findFirstOwner, hasPlatform, insertToken } from "./db/people.ts";
import { loseRuns } from "./db/runs.ts";
import type { Deps, Limits } from "./deps.ts";
import { UserError } from "./errors.ts";
import { openDeployLogs } from "./events/deploy-logs.ts";
import { openEvents } from "./events/events.ts";
import { createPushPolicy } from "./git-receiver/git/deploy-push.ts";
import { createGitDoor, gitServerSettings } from "./git-receiver/git/git-door.ts";
import type { Log } from "./log.ts";
import { namesOfMachine } from "./model/hosts.ts";
import { startAddonWorker } from "./pipeline/addon-worker.ts";
import { type CronOptions, startCron } from "./pipeline/cron.ts";
import { startDetachedRuns } from "./pipeline/detached-runs.ts";
import { followMovedAddons } from "./pipeline/moved-addons.ts";
import { startWorker } from "./pipeline/worker.ts";
import { openPostgresQueue } from "./queue/bullmq.ts";
import { openRepos } from "./repos/repos.ts";
import { alwaysOpen, type PostgresHome } from "./runtime/local/databases.ts";
import { openLocalRuntime, stopAll } from "./runtime/local/local.ts";
import { openRouter } from "./runtime/local/router.ts";
import { type Keyring, openKeyring } from "./secrets/keyring.ts";
import { newToken } from "./secrets/tokens.ts";
import { addonChecks } from "./upkeep/checks/addons.ts";
import { addressChecks } from "./upkeep/checks/address.ts";
import { databaseChecks } from "./upkeep/checks/database.ts";
import { diskChecks } from "./upkeep/checks/disk.ts";
import { machineChecks } from "./upkeep/checks/machine.ts";
import { workChecks } from "./upkeep/checks/work.ts";
import { claimDataFolder, findHolder } from "./upkeep/data-folder.ts";
import { startJanitor } from "./upkeep/janitor.ts";
import { createRunDoor } from "./web/run-door.ts";
import { createWeb } from "./web/web.ts";

export type Platform = {
  /** The address people use, e.g. `http://localhost:7878`. */
  url: string;
  port: number;
  /** The one-time code that makes the owner; undefined where there is one. */
  setupCode: string | undefined;
  deps: Deps;
  /** Hands over what is begun, tells who waits, and closes everything; apps and the embedded database run on. */
  close(): Promise<void>;
};

export type PlatformParts = {
  config: Config;
  log: Log;
  version: string;
  /** What git's children inherit: emptied of all but what they need. */
  processEnvironment: NodeJS.ProcessEnv;
  /** Other implementations than this machine's own. */
  overrides?: Partial<Pick<Deps, "builder" | "runtime" | "queue">> & {
    limits?: Partial<Limits>;
    cron?: CronOptions;
    /** How often a run's two ends give a sign of life. */
    heartbeatMs?: number;
  };
};

/** An add-on takes minutes on a cluster, a moment on this machine. */
const fixedLimits = { sweepMs: 1_000, addonMs: 10 * 60_000 };

/** Notes how a part is closed; parts close in the reverse order of their opening. */
type OnClose = (close: () => Promise<unknown>) => void;

/** Config → everything that runs: the only file that knows every implementation. @throws UserError */
export async function openPlatform(parts: PlatformParts): Promise<Platform> {
  const opened: (() => Promise<unknown>)[] = [];
  const closeAll = async () => {
    for (const close of opened.splice(0).reverse()) {
      await close().catch((error) => parts.log.error({ err: error }, "a part did not close"));
    }
  };
  try {
    return await openParts(parts, (close) => opened.push(close), closeAll);
  } catch (error) {
    await closeAll();
    throw error;
  }
}

async function openParts(parts: PlatformParts, onClose: OnClose, closeAll: () => Promise<void>): Promise<Platform> {
  const { config, log, overrides = {} } = parts;
  const { dataDir } = config;
  onClose(await claimDataFolder(dataDir, config.publicUrl));
  const server = createServer({ ...gitServerSettings });
  // The port is taken first: where it cannot be had, nothing else is begun.
  server.on("request", answerStarting);
  await listen(server, config);
  onClose(() => closeServer(server));
  const { port } = server.address() as AddressInfo;

  const addonsHome = openAddonsServer(config, log, onClose);
  const db = await openStore(config, log, onClose);
  onClose(() => db.close());
  await assertKeyKept(db, dataDir);
  const keyring = await openKeyring({ dataDir });
  await checkKey(db, keyring, dataDir);
  const events = await openEvents(db, log);
  onClose(() => events.close());
  const deployLogs = openDeployLogs(db, log);
  onClose(() => deployLogs.close());
  const queue = overrides.queue ?? (await openPostgresQueue(db.url, log));
  onClose(() => queue.close());
  const repos = await openRepos({ dataDir, searchPath: config.searchPath, log });
  const builder =
    overrides.builder ??
    createLocalBuilder({
      dataDir,
      buildTimeoutMs: config.limits.buildMs,
      path: config.searchPath,
      passEnv: config.registryEnv,
    });
  const publicUrl = new URL(config.publicUrl);
  const runtime =
    overrides.runtime ??
    (await openLocalRuntime({
      dataDir,
      log,
      drainTimeoutMs: config.limits.drainMs,
      postgres: addonsHome,
      baseDomain: baseDomainOf(publicUrl),
      publicUrl: (appName) => {
        const port = publicUrl.port ? `:${publicUrl.port}` : "";
        return `${publicUrl.protocol}//${appName}.${baseDomainOf(publicUrl)}${port}`;
      },
    }));
  onClose(() => runtime.close());

  const limits: Limits = { ...config.limits, ...fixedLimits, ...overrides.limits };
  const made = {
    db,
    events,
    deployLogs,
    queue,
    repos,
    builder,
    runtime,
    keyring,
    log,
    limits,
    publicUrl: config.publicUrl,
    otherHosts: [...config.otherHosts, publicUrl.hostname, ...namesOfMachine(hostname())],
  };
  const deps: Deps = { ...made, checks: checksOf(made, config) };
  const stopping = new AbortController();
  const doors = await openDoors(parts, deps, server, stopping.signal);
  onClose(doors.closeRouter);
  const janitor = startJanitor(deps);
  onClose(() => janitor.stop());
  await addonsHome.resumed;
  await followMovedAddons(deps);
  const addonWorker = startAddonWorker(deps);
  onClose(() => addonWorker.stop());
  const worker = await startWorker(deps);
  const cron = startCron(deps, overrides.cron);
  onClose(() => Promise.all([worker.stop(), cron.stop()]));
  const setupCode = await prepareSetup(deps);
  // What another platform ran ended with it.
  await loseRuns(db.db);
  const detachedRuns = startDetachedRuns(deps);
  // Pushers and followers are told first, while everything that tells them still stands.
  onClose(() => Promise.all([doors.closeGit(), doors.closeRuns(), detachedRuns.stop()]));
  onClose(async () => stopping.abort());
  return { url: config.publicUrl, port, setupCode, deps, close: closeAll };
}

/** What `zyndra doctor` asks of the platform, in the order in which it is shown. */
function checksOf({ db, limits, repos, builder, runtime }: Omit<Deps, "checks">, config: Config): Check[] {
  const { publicUrl, plainHttpAllowed, dataDir } = config;
  return [
    ...databaseChecks(db, config.database.kind),
    ...workChecks({ db, limits }),
    ...addonChecks({ db, runtime }),
    ...runtime.checks,
    ...machineChecks(repos.git.version),
    ...builder.checks,
    ...diskChecks(dataDir),
    ...addressChecks({ publicUrl, plainHttpAllowed, baseDomain: baseDomainOf(new URL(publicUrl)) }),
  ];
}

/** Apps are names below the platform's own; on this machine below `localhost`, which needs no DNS (RFC 6761 §6.3). */
function baseDomainOf({ hostname }: URL): string {
  return /^(\d+\.){3}\d+$|^\[/.test(hostname) ? "localhost" : hostname;
}

/** One listener: the Host decides between an app and the platform, the path between git and the API. */
async function openDoors(
  parts: PlatformParts,
  deps: Deps,
  server: Server,
  stopping: AbortSignal,
): Promise<{ closeGit(): Promise<void>; closeRuns(): Promise<void>; closeRouter(): Promise<void> }> {
  const { config, log, version, processEnvironment } = parts;
  const access: Access = { publicUrl: config.publicUrl, plainHttpAllowed: config.plainHttpAllowed };
  const doorDeps: Deps & { rates: Rates; access: Access } = { ...deps, rates: openRates(), access };
  const router = await openRouter({
    dataDir: config.dataDir,
    log,
    baseDomain: baseDomainOf(new URL(config.publicUrl)),
  });
  const gitDoor = await createGitDoor({
    policy: createPushPolicy(doorDeps),
    git: { path: deps.repos.git.path, environment: deps.repos.gitEnvironment() },
    gitFolder: deps.repos.gitFolder,
    transport: config.packTransport,
    processEnvironment,
    // Behind a proxy of ours the other end of the socket is always the proxy.
    peerOf: ({ socket, headers }) => ({
      remoteAddress: clientAddress(access, {
        remoteAddress: socket.remoteAddress ?? "",
        forwardedFor: headers["x-forwarded-for"]?.toString(),
      }),
      secure: socket instanceof TLSSocket,
    }),
    log,
  });
  const web = createWeb(doorDeps, { commands, version, stopping });
  const { heartbeatMs } = parts.overrides ?? {};
  const runDoor = createRunDoor(doorDeps, { commands, ...(heartbeatMs === undefined ? {} : { heartbeatMs }) });

  server.off("request", answerStarting);
  server.on("request", (req, res) => {
    if (namesTwoHosts(req)) return refuseTwoHosts(res);
    if (router.handle(req, res) || gitDoor.handle(req, res)) return;
    void web(req, res).catch((error) => {
      log.error({ err: error }, "a request broke");
      res.destroy();
    });
  });
  server.on("upgrade", (req, socket, head) => {
    // Node takes its own handler off an upgraded socket; without one a reset by the client would end the process.
    socket.on("error", () => socket.destroy());
    if (namesTwoHosts(req) || !(router.upgrade(req, socket, head) || runDoor.upgrade(req, socket, head)))
      socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n");
  });
  return {
    closeGit: () => gitDoor.close(),
    closeRuns: () => runDoor.close(),
    closeRouter: () => router.close(),
  };
}

/** RFC 9112 §3.2: such a request is refused, since two programs on its way could read it as meant for two hosts. */
function namesTwoHosts({ rawHeaders }: IncomingMessage): boolean {
  return rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host").length > 1;
}

function refuseTwoHosts(res: ServerResponse): void {
  res.writeHead(400, { "content-type": "text/plain; charset=utf-8", connection: "close" });
  res.end("The request names two hosts.\n");
}

function answerStarting(_: IncomingMessage, res: ServerResponse): void {
  res.writeHead(503, { "content-type": "text/plain; charset=utf-8", "retry-after": "1" });
  res.end("Zyndra is starting; try again in a moment.\n");
}

/** The database, up to date. */
async function openStore(config: Config, log: Log, onClose: OnClose): Promise<Database> {
  const url = await databaseUrl(config, log, onClose);
  await migrate(url).catch((error) => {
    const reason = error instanceof Error ? error.message : String(error);
    const hint = "check DATABASE_URL, and that PostgreSQL runs";
    throw new UserError("unavailable", `the database cannot be used: ${reason}`, hint);
  });
  return openDatabase(url, log);
}

/** Add-ons' databases are kept off the platform's server where that is ours; with a DATABASE_URL there is but one. */
function openAddonsServer(config: Config, log: Log, onClose: OnClose): PostgresHome & { resumed: Promise<void> } {
  if (config.database.kind === "postgres")
    return { ...alwaysOpen({ url: config.database.url, isOurs: false }), resumed: Promise.resolve() };
  const server = openPostgresOnDemand({ dataDir: addonsFolder(config.dataDir), log });
  onClose(() => server.close());
  const oursAt = (url: string) => ({ url, isOurs: true });
  return {
    current: () => (server.url() === undefined ? undefined : oursAt(server.url()!)),
    open: async () => oursAt(await server.open()),
    resumed: server.resumed,
  };
}

/** Of the server of add-ons' databases: its files, password, port and log. */
function addonsFolder(dataDir: string): string {
  return join(dataDir, "addons");
}

async function databaseUrl(config: Config, log: Log, onClose: OnClose): Promise<string> {
  switch (config.database.kind) {
    case "embedded": {
      const { url, stopWatching } = await keepEmbeddedPostgres({ dataDir: config.dataDir, log });
      onClose(stopWatching);
      return url;
    }
    case "postgres":
      return config.database.url;
  }
}

/** A missing key must not be replaced by a new one, which opens nothing. @throws UserError */
async function assertKeyKept(db: Database, dataDir: string): Promise<void> {
  const folder = join(dataDir, "keys");
  if (existsSync(folder) || !(await hasPlatform(db.db))) return;
  throw new UserError(
    "gone",
    `${folder} is missing: it holds the key that this database was sealed with`,
    "put the folder back, from a backup of the data folder",
  );
}

/** A data folder's key must be the one that the database was sealed with. @throws UserError */
async function checkKey(db: Database, keyring: Keyring, dataDir: string): Promise<void> {
  const row = await ensurePlatform(db.db, { id: randomUUID(), keyCheck: keyring.keyCheck() });
  if (keyring.opensKeyCheck(row.keyCheck)) return;
  throw new UserError(
    "conflict",
    `the key in ${join(dataDir, "keys")} is not the one that this database was sealed with`,
    "put the key back that belongs to it, or use the data folder that it was made with",
  );
}

function listen(server: Server, { host, port }: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") {
        reject(
          new UserError(
            "conflict",
            `port ${port} of ${host} is taken by another program`,
            `choose another: PORT=${port + 1} zyndra start`,
          ),
        );
      } else if (error.code === "EACCES") {
        reject(
          new UserError(
            "forbidden",
            `port ${port} needs rights that this user does not have`,
            "choose one above 1023: PORT=7878 zyndra start",
          ),
        );
      } else {
        reject(
          new UserError(
            "bad_input",
            `cannot listen on ${host}:${port} (${error.code ?? error.message})`,
            "check HOST and PORT",
          ),
        );
      }
    });
    server.listen(port, host, () => resolve());
  });
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const impatient = setTimeout(() => server.closeAllConnections(), 2_000);
  await closed;
  clearTimeout(impatient);
}

/**
 * Makes a new token for the owner, on the machine itself. An embedded database that does not run is started for it, and
 * ended again. @throws UserError not_found where there is no owner yet
 */
export async function recoverOwner(config: Config, log: Log): Promise<{ name: string; token: string }> {
  if (config.database.kind === "embedded" && !existsSync(join(config.dataDir, "postgres"))) {
    const hint = "run it in the folder in which it was started, or name its data: ZYNDRA_DATA=/path zyndra recover";
    throw new UserError("not_found", `there is no Zyndra in ${config.dataDir}`, hint);
  }
  const holder = await findHolder(config.dataDir);
  const embedded =
    config.database.kind === "embedded" ? await startEmbeddedPostgres({ dataDir: config.dataDir, log }) : undefined;
  const db = openDatabase(embedded?.url ?? (config.database as { url: string }).url, log);
  try {
    const owner = await findFirstOwner(db.db);
    if (!owner)
      throw new UserError("not_found", "this Zyndra has no owner yet", "zyndra start prints how to become the owner");
    const { token, id, secretHash } = newToken();
    const label = `recovered ${new Date().toISOString().slice(0, 16)}`;
    await insertToken(db.db, { id, orgId: owner.orgId, userId: owner.userId, label, secretHash });
    const actor = { ...owner, role: "owner", door: "platform" } as const;
    await insertAudit(db.db, actor, { command: "recover", subject: label, outcome: "done" });
    return { name: owner.name, token };
  } finally {
    await db.close();
    if (!holder) await embedded?.stop();
  }
}

/**
 * Ends every app and the embedded databases of a data folder, also those that a killed platform left behind. Answers whether
 * any ran.
 */
export async function stopEverything(dataDir: string): Promise<boolean> {
  const hadApps = await stopAll(dataDir);
  const hadDatabase = await stopEmbeddedPostgres(dataDir);
  const hadAddons = await stopEmbeddedPostgres(addonsFolder(dataDir));
  return hadApps || hadDatabase || hadAddons;
}
