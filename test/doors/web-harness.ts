import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { type Access, openRates } from "../../src/commands/actor.ts";
import { type Command, defineCommand } from "../../src/commands/command.ts";
import { prepareSetup } from "../../src/commands/setup.ts";
import { insertApp } from "../../src/db/apps.ts";
import { openDatabase } from "../../src/db/client.ts";
import { insertDeploy, takeDeployNumber } from "../../src/db/deploys.ts";
import { publish } from "../../src/db/events.ts";
import { claimPlatform, ensurePlatform, insertMember, insertOrg, insertToken } from "../../src/db/people.ts";
import type { AppRow, DeployRow } from "../../src/db/schema.ts";
import type { Deps } from "../../src/deps.ts";
import { UserError } from "../../src/errors.ts";
import { openEvents } from "../../src/events/events.ts";
import { type Log, openLog } from "../../src/log.ts";
import type { Role } from "../../src/model/actor.ts";
import { addonTopic, appTopic, deployTopic, type EventData } from "../../src/model/event.ts";
import type { LogLine } from "../../src/model/log-line.ts";
import type { AppLogLine, AppLogOptions } from "../../src/runtime/runtime.ts";
import { openKeyring } from "../../src/secrets/keyring.ts";
import { hashSetupCode, newToken } from "../../src/secrets/tokens.ts";
import { createWeb } from "../../src/web/web.ts";
import { testDatabase } from "../support/database.ts";

/** The HTTP door on a real database and port, with a few commands of the tests and a runtime that has nothing but a log. */
export type TestWeb = {
  url: string;
  port: number;
  deps: Deps;
  /** The code that makes the owner of this platform; used up unless `claimed` is false. */
  setupCode: string;
  org: { orgId: string; projectId: string };
  member(role: Role, orgId?: string): Promise<{ token: string; userId: string; tokenId: string; name: string }>;
  newOrg(): Promise<{ orgId: string; projectId: string }>;
  app(name: string, org?: { orgId: string; projectId: string }): Promise<AppRow>;
  deploy(app: AppRow): Promise<DeployRow>;
  /** Adds events to a deploy's stream: lines, several of which make one event, and the end. */
  tell(deploy: DeployRow, ...data: EventData[]): Promise<void>;
  tellApp(app: AppRow, data: EventData): Promise<void>;
  /** Of an add-on of the viewers' org. */
  tellAddon(addonId: string, data: EventData): Promise<void>;
  /** What the apps of this runtime write. */
  appLog: AppLog;
  /** What the platform logged as errors. */
  errors: object[];
  stop(): void;
  [Symbol.asyncDispose](): Promise<void>;
};

/** An app's log that grows when the test says so. */
export type AppLog = { write(process: string, text: string, at?: Date): void; readers(): number };

export async function testWeb(options: { heartbeatMs?: number; claimed?: boolean } = {}): Promise<TestWeb> {
  const database = await testDatabase();
  const folder = await mkdtemp(join(tmpdir(), "zyndra-web-"));
  const errors: object[] = [];
  const silent = openLog("silent");
  const log: Log = {
    ...silent,
    warn: () => {},
    info: () => {},
    debug: () => {},
    error: (facts) => void errors.push(facts),
  };
  const db = openDatabase(database.url, silent);
  const keyring = await openKeyring({ dataDir: folder });
  await ensurePlatform(db.db, { id: randomUUID(), keyCheck: keyring.keyCheck() });
  const events = await openEvents(db, silent);
  const { appLog, logs } = growingLog();
  const runtime = { kind: "local", processes: { logs }, edge: { url: (name: string) => `http://${name}.localhost` } };
  const deps = { db, events, keyring, log, runtime } as unknown as Deps;
  const stopping = new AbortController();
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const access: Access = { publicUrl: url, plainHttpAllowed: false };
  const web = createWeb(
    { ...deps, rates: openRates(), access },
    {
      commands,
      version: "1.2.3",
      stopping: stopping.signal,
      ...(options.heartbeatMs ? { heartbeatMs: options.heartbeatMs } : {}),
    },
  );
  server.on("request", (req, res) => void web(req, res));
  let made = 0;
  const newOrg = async () => insertOrg(db.db, { name: `org-${++made}`, wrappedKey: await keyring.newOrgKey() });
  const org = await newOrg();
  const setupCode = (await prepareSetup({ db }))!;
  if (options.claimed ?? true) await claimPlatform(db.db, hashSetupCode(setupCode));

  return {
    url,
    port,
    deps,
    setupCode,
    org,
    newOrg,
    async member(role, orgId = org.orgId) {
      const name = `${role}-${++made}`;
      const userId = await insertMember(db.db, { orgId, name, role });
      const { token, id, secretHash } = newToken();
      await insertToken(db.db, { id, orgId, userId, label: "test", secretHash });
      return { token, userId, tokenId: id, name };
    },
    app: (name, { orgId, projectId } = org) => insertApp(db.db, { orgId, projectId, name }),
    async deploy(app) {
      const number = await takeDeployNumber(db.db, app.id);
      return insertDeploy(db.db, app, {
        id: randomUUID(),
        number,
        kind: "deploy",
        requestId: randomUUID(),
        userId: null,
        actorName: "ana",
        door: "cli",
        title: "Sell hats",
      });
    },
    tell: (deploy, ...data) => db.transaction((tx) => publish(tx, deployTopic(deploy.id), deploy, data)),
    tellApp: (app, data) => db.transaction((tx) => publish(tx, appTopic(app.id), app, [data])),
    tellAddon: (id, data) => db.transaction((tx) => publish(tx, addonTopic(id), org, [data])),
    appLog,
    errors,
    stop: () => stopping.abort(),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      server.closeAllConnections();
      server.close();
      await events.close();
      await db.close();
      await database[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Lines that become one event. */
export function lines(...texts: (string | LogLine)[]): EventData {
  return {
    type: "log",
    lines: texts.map((text) => (typeof text === "string" ? { kind: "output", text } : text)),
  };
}

export const live: EventData = { type: "deploy", status: "live", headline: "shop v1 is live (1.0 s)", version: 1 };

// --- The commands of the tests

const App = z.string({ error: "which app?" });

export const commands: Command[] = [
  defineCommand({
    name: "apps:list",
    aliases: ["apps"],
    summary: "List the apps",
    examples: ["apps"],
    needs: "viewer",
    changes: false,
    input: z.strictObject({}),
    words: { positional: [] },
    run: async () => [{ name: "shop", url: "https://shop.example.org" }],
    view: (apps) => ({
      table: {
        columns: ["NAME", "URL"],
        rows: apps.map(({ name, url }) => [name, url]),
        none: "There are no apps yet.",
      },
      hint: "zyndra apps:create NAME makes one",
    }),
  }),
  defineCommand({
    name: "echo",
    summary: "Say what was understood",
    examples: ["echo shop hello"],
    needs: "viewer",
    changes: false,
    input: z.strictObject({ app: App, words: z.array(z.string()).default([]), loud: z.boolean().default(false) }),
    words: {
      positional: ["app", "words"],
      rest: true,
      flags: { loud: { kind: "switch", short: "l", summary: "in capitals" } },
    },
    run: async ({ actor }, { app, words, loud }) => ({
      app,
      text: loud ? words.join(" ").toUpperCase() : words.join(" "),
      by: actor.name,
      door: actor.door,
    }),
    view: ({ app, text }) => ({ text: `${app}: ${text}`, warnings: text === "" ? ["nothing was said"] : [] }),
  }),
  defineCommand({
    name: "apps:destroy",
    summary: "Remove an app",
    examples: ["apps:destroy shop"],
    needs: "admin",
    changes: true,
    input: z.strictObject({ app: App }),
    words: { positional: ["app"] },
    confirm: ({ app }) => ({ warning: `This removes ${app} for good.`, type: app }),
    run: async (_, { app }) => ({ app }),
    view: ({ app }) => ({ text: `${app} is being removed` }),
  }),
  defineCommand({
    name: "apps:rename",
    summary: "Say that an app has another name now",
    examples: ["apps:rename shop hats"],
    needs: "viewer",
    changes: false,
    input: z.strictObject({ app: App, newName: z.string() }),
    words: { positional: ["app", "newName"] },
    run: async (_, input) => input,
    view: ({ app, newName }) => ({ text: `${app} is called ${newName} now` }),
    renamed: ({ app, newName }) => ({ from: app, to: newName }),
  }),
  defineCommand({
    name: "secret",
    internal: true,
    summary: "Asked for by doors alone",
    examples: ["secret"],
    needs: "viewer",
    changes: false,
    input: z.strictObject({}),
    words: { positional: [] },
    run: async () => ({}),
    view: () => ({}),
  }),
  defineCommand({
    name: "break",
    aliases: ["snap"],
    summary: "Fail in the way that is asked for",
    examples: ["break ours"],
    needs: "viewer",
    changes: false,
    input: z.strictObject({ how: z.string() }),
    words: { positional: ["how"] },
    async run(_, { how }) {
      if (how === "ours") throw new TypeError("cannot read s3cret of undefined");
      throw new UserError("locked", "shop is locked by ana", "zyndra unlock shop");
    },
    view: () => ({}),
  }),
  defineCommand({
    name: "follow",
    summary: "Follow what a test has made",
    examples: ["follow shop deploy ID 1"],
    needs: "viewer",
    changes: false,
    input: z.strictObject({
      app: App,
      kind: z.enum(["deploy", "scaled", "destroyed", "addon", "logs"]),
      id: z.string(),
      number: z.coerce.number(),
      detach: z.boolean().default(false),
      tail: z.boolean().default(false),
    }),
    words: {
      positional: ["app", "kind", "id", "number"],
      flags: { detach: { kind: "switch", summary: "at once" }, tail: { kind: "switch", summary: "go on" } },
    },
    run: async () => ({ fact: 1 }),
    view: () => ({ text: "begun" }),
    follow: (_, { app: appName, kind, id, number, detach, tail }) => {
      if (kind === "deploy") return { kind, appName, deployId: id, number, detach };
      if (kind === "addon") {
        return { kind, addonName: appName, addonId: id, until: "gone", after: 0, done: `${appName} is gone` };
      }
      if (kind === "logs") return { kind, appName, appId: id, lines: number, tail };
      return { kind: "app", appName, appId: id, until: kind === "destroyed" ? kind : { applied: number }, after: 0 };
    },
  }),
];

// --- An app's log

function growingLog() {
  const written: AppLogLine[] = [];
  const wakers = new Set<() => void>();
  let readers = 0;
  const appLog: AppLog = {
    write(process, text, at = new Date()) {
      written.push({ at, process, text });
      for (const wake of [...wakers]) wake();
    },
    readers: () => readers,
  };
  async function* logs(_: string, options: AppLogOptions, signal: AbortSignal): AsyncGenerator<AppLogLine> {
    readers++;
    try {
      const isWanted = ({ at, process, text }: AppLogLine) =>
        (options.process === undefined || process.startsWith(options.process)) &&
        (options.source === undefined || (options.source === "router") === (process === "router")) &&
        (options.since === undefined || at >= options.since) &&
        (options.isWanted?.(text) ?? true);
      const before = written.length;
      yield* options.lines > 0 ? written.filter(isWanted).slice(-options.lines) : [];
      for (let next = before; ; next++) {
        while (next >= written.length) {
          if (!options.follow || signal.aborted) return;
          await new Promise<void>((resolve) => {
            wakers.add(resolve);
            signal.addEventListener("abort", () => resolve(), { once: true });
          });
        }
        if (signal.aborted) return;
        const line = written[next]!;
        if (isWanted(line)) yield line;
      }
    } finally {
      readers--;
    }
  }
  return { appLog, logs };
}

// --- Reading a stream as a client does

export type StreamReader = {
  status: number;
  headers: IncomingMessage["headers"];
  /** All that came so far. */
  text(): string;
  /** Messages so far: `id event data`. */
  messages(): { id: string | undefined; event: string; data: Record<string, unknown> }[];
  /** Resolves when the server ends the stream. */
  ended: Promise<void>;
  close(): void;
};

export function openStream(url: string, headers: Record<string, string>): Promise<StreamReader> {
  return new Promise((resolve, reject) => {
    const asked = get(url, { headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      const ended = new Promise<void>((done) => response.on("end", done));
      response.on("error", () => {});
      resolve({
        status: response.statusCode!,
        headers: response.headers,
        text: () => text,
        messages: () =>
          text
            .split("\n\n")
            .slice(0, -1)
            .filter((block) => block.includes("data: "))
            .map((block) => ({
              id: /^id: (.*)$/m.exec(block)?.[1],
              event: /^event: (.*)$/m.exec(block)![1]!,
              data: JSON.parse(/^data: (.*)$/m.exec(block)![1]!),
            })),
        ended,
        close: () => asked.destroy(),
      });
    });
    asked.on("error", reject);
  });
}
