import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Image } from "../../src/model/image.ts";
import type { LogLine } from "../../src/model/log-line.ts";
import type { ProcessTypes, Restarts } from "../../src/model/process-types.ts";
import {
  type AppLogLine,
  type AppLogOptions,
  type ReleaseSpec,
  type RolloutCall,
  type Runtime,
  StaleFence,
} from "../../src/runtime/runtime.ts";
import { eventually } from "../support/eventually.ts";

/** What a runtime must bring along to be tried: images made of a few files of JavaScript, and a way in from outside. */
export type RuntimeUnderTest = {
  runtime: Runtime;
  /** An image with these files, in which `node` is found. */
  makeImage(appId: string, files: Record<string, string>, processTypes: ProcessTypes): Promise<Image>;
  /** GET of an app's page, as people would get it. */
  get(appName: string, path: string): Promise<{ status: number; body: string }>;
  /** GET of a page at any host name that leads here. */
  getAt(host: string, path: string): Promise<{ status: number; body: string }>;
  /** Ends everything that was started. */
  close(): Promise<void>;
};

/** A web server that says which version it is; the environment variable FAULT makes it fail in a chosen way. */
export const webSource = `
const http = require("node:http");
if (process.env.FAULT === "crash") require("hats");
let ready = false;
let slow = 0;
setTimeout(() => { ready = true; }, Number(process.env.READY_AFTER_MS ?? 0));
const server = http.createServer((request, response) => {
  if (request.url === "/health") {
    response.writeHead(!ready || process.env.FAULT === "sick" ? 500 : 200);
    return response.end(process.env.FAULT === "sick" ? "the database is away" : "well");
  }
  if (request.url === "/env") return response.end(JSON.stringify(process.env));
  if (request.url === "/pid") return response.end(String(process.pid));
  if (request.url === "/slow-ones") return response.end(String(slow));
  if (request.url === "/slow") return slow++, setTimeout(() => response.end("slow"), Number(process.env.END_AFTER_MS));
  console.log("asked for " + request.url);
  response.end("version " + process.env.VERSION);
});
server.listen(process.env.FAULT === "port" ? 0 : process.env.PORT);
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
`;

const workerSource = `
console.log("worker " + process.env.VERSION + " began");
setInterval(() => {}, 1000);
`;

export const files = { "web.js": webSource, "worker.js": workerSource };
export const processTypes: ProcessTypes = { web: { command: "node web.js" }, worker: { command: "node worker.js" } };

/** A call that lets everything pass and keeps what was written. */
export function aCall(overrides: Partial<RolloutCall> = {}): RolloutCall & { lines: string[]; asked: number } {
  const call = {
    lines: [] as string[],
    asked: 0,
    write: ({ text }: LogLine) => void call.lines.push(text),
    maySwitch: async () => {
      call.asked++;
      return true;
    },
    signal: new AbortController().signal,
    timeoutMs: 20_000,
    ...overrides,
  };
  return call;
}

/** The contract of a Runtime: what every implementation must do, tried with real processes. */
export function describeRuntime(name: string, create: () => Promise<RuntimeUnderTest>): void {
  describe(`runtime ${name}`, () => {
    let under: RuntimeUnderTest;
    let runtime: Runtime;
    let names = 0;
    beforeAll(async () => {
      under = await create();
      runtime = under.runtime;
    });
    afterAll(() => under?.close());

    /** A release of a new app, or with `of` the next one of the same app. */
    async function aRelease(overrides: Partial<ReleaseSpec> & { of?: ReleaseSpec } = {}): Promise<ReleaseSpec> {
      const { of, ...rest } = overrides;
      const appId = of?.appId ?? randomUUID();
      const version = (of?.version ?? 0) + 1;
      return {
        appId,
        appName: of?.appName ?? `contract-${++names}`,
        releaseId: randomUUID(),
        version,
        image: of?.image ?? (await under.makeImage(appId, files, processTypes)),
        processTypes,
        formation: of?.formation ?? { web: 1, worker: 0 },
        healthPath: "/health",
        ...rest,
        env: { VERSION: `v${version}`, ...rest.env },
      };
    }

    async function aLiveRelease(overrides: Partial<ReleaseSpec> = {}): Promise<ReleaseSpec> {
      const spec = await aRelease(overrides);
      expect(await runtime.rollout.apply(spec, 1, aCall())).toEqual({ ok: true });
      return spec;
    }

    async function body(spec: ReleaseSpec, path = "/"): Promise<string> {
      return (await under.get(spec.appName, path)).body;
    }

    /** When each process began. */
    async function startsOf(spec: ReleaseSpec): Promise<Record<string, number>> {
      const processes = await runtime.processes.list(spec.appId);
      return Object.fromEntries(processes.map(({ name, since }) => [name, since.getTime()]));
    }

    async function upProcesses(spec: ReleaseSpec): Promise<string[]> {
      const processes = await runtime.processes.list(spec.appId);
      return processes.filter(({ state }) => state === "up").map((process) => `${process.name} v${process.version}`);
    }

    test("a release goes live, says so, and is asked for its last word once", async () => {
      const spec = await aRelease({ formation: { web: 2, worker: 1 } });
      const call = aCall();
      expect(await runtime.rollout.apply(spec, 1, call)).toEqual({ ok: true });
      expect(call.asked).toBe(1);
      expect(call.lines).toContain("web 2 of 2 healthy (GET /health 200)");
      expect(await body(spec)).toBe("version v1");
      expect(await upProcesses(spec)).toEqual(["web.1 v1", "web.2 v1", "worker.1 v1"]);
    });

    test("the old version serves until the new one is healthy", async () => {
      const first = await aLiveRelease();
      const second = await aRelease({ of: first, env: { READY_AFTER_MS: "600" } });
      const call = aCall();
      const rollout = runtime.rollout.apply(second, 2, call);
      await eventually(async () =>
        (await runtime.processes.list(first.appId)).some(({ state }) => state === "starting"),
      );
      expect(await body(first)).toBe("version v1");
      expect(await rollout).toEqual({ ok: true });
      expect(await body(second)).toBe("version v2");
      expect(await upProcesses(second)).toEqual(["web.1 v2"]);
      expect(call.lines.at(-1)).toContain("v1 drained");
    });

    test("the same release again changes nothing and asks nothing", async () => {
      const spec = await aLiveRelease();
      const pid = await body(spec, "/pid");
      const call = aCall();
      expect(await runtime.rollout.apply(spec, 2, call)).toEqual({ ok: true });
      expect(await body(spec, "/pid")).toBe(pid);
      expect(call.asked).toBe(0);
    });

    test("another formation of the same release adds and removes processes and leaves the others alone", async () => {
      const spec = await aLiveRelease();
      const pid = await body(spec, "/pid");
      await runtime.rollout.apply({ ...spec, formation: { web: 3, worker: 1 } }, 2, aCall());
      expect(await upProcesses(spec)).toEqual(["web.1 v1", "web.2 v1", "web.3 v1", "worker.1 v1"]);
      await runtime.rollout.apply({ ...spec, formation: { web: 1, worker: 0 } }, 3, aCall());
      expect(await upProcesses(spec)).toEqual(["web.1 v1"]);
      expect(await body(spec, "/pid")).toBe(pid);
    });

    test("what is asked to restart is replaced by fresh processes of the same names, and the others are left alone", async () => {
      const spec = await aLiveRelease({ formation: { web: 2, worker: 1 } });
      const asked: Restarts[] = [{ "web.2": 4 }, { "web.2": 4, worker: 5 }, { "*": 6 }];
      const replaced = [];
      for (const [index, restarts] of asked.entries()) {
        const before = await startsOf(spec);
        expect(await runtime.rollout.apply({ ...spec, restarts }, 2 + index, aCall())).toEqual({ ok: true });
        const after = await startsOf(spec);
        replaced.push(Object.keys(after).filter((name) => after[name] !== before[name]));
        expect(await upProcesses(spec)).toEqual(["web.1 v1", "web.2 v1", "worker.1 v1"]);
      }
      expect(replaced).toEqual([["web.2"], ["worker.1"], ["web.1", "web.2", "worker.1"]]);
    });

    test("a restart is done once: neither the same spec again, nor a scale, nor what a later release has started", async () => {
      const restarts = { "*": 7 };
      const first = await aLiveRelease({ restarts });
      const second = await aRelease({ of: first, restarts });
      await runtime.rollout.apply(second, 2, aCall());
      const starts = await startsOf(second);
      await runtime.rollout.apply(second, 3, aCall());
      await runtime.rollout.apply({ ...second, formation: { web: 2, worker: 0 } }, 4, aCall());
      expect(await startsOf(second)).toMatchObject(starts);
    });

    test("a restart that does not become healthy tells why, and the old processes go on", async () => {
      const spec = await aLiveRelease({ env: { READY_AFTER_MS: "1000" } });
      const starts = await startsOf(spec);
      const outcome = await runtime.rollout.apply({ ...spec, restarts: { web: 2 } }, 2, aCall({ timeoutMs: 300 }));
      expect(outcome).toMatchObject({ ok: false, cause: { headline: "web is not healthy: GET /health answers 500" } });
      expect(await body(spec)).toBe("version v1");
      expect(await startsOf(spec)).toEqual(starts);
    });

    test("not one request fails while everything restarts", async () => {
      const spec = await aLiveRelease({ formation: { web: 2, worker: 0 } });
      const seen: number[] = [];
      let isOver = false;
      const load = async () => {
        while (!isOver) seen.push((await under.get(spec.appName, "/")).status);
      };
      const loads = [load(), load(), load()];
      for (const fence of [2, 3]) {
        const before = seen.length;
        await runtime.rollout.apply({ ...spec, restarts: { "*": fence } }, fence, aCall());
        await eventually(() => seen.length > before + 10);
      }
      isOver = true;
      await Promise.all(loads);
      expect(new Set(seen)).toEqual(new Set([200]));
    });

    test("custom hosts lead to the app, change without a restart, and go with it", async () => {
      const spec = await aLiveRelease({ hosts: ["www.hats.test", "hats.test"] });
      const starts = await startsOf(spec);
      for (const host of spec.hosts!) expect((await under.getAt(host, "/")).body).toBe("version v1");
      expect(await body(spec)).toBe("version v1");
      await runtime.rollout.apply({ ...spec, hosts: ["hats.test"] }, 2, aCall());
      expect((await under.getAt("hats.test", "/")).body).toBe("version v1");
      expect((await under.getAt("www.hats.test", "/")).body).not.toBe("version v1");
      expect(await startsOf(spec)).toEqual(starts);
      await runtime.rollout.destroy(spec.appId, 3);
      expect((await under.getAt("hats.test", "/")).body).not.toBe("version v1");
    });

    test("a health path has as long to answer as the release says", async () => {
      const slow = { healthPath: "/slow", env: { END_AFTER_MS: "1000" } };
      const impatient = await aRelease({ ...slow, healthTimeoutMs: 200 });
      const outcome = await runtime.rollout.apply(impatient, 1, aCall({ timeoutMs: 3_000 }));
      expect(outcome).toMatchObject({ ok: false });
      await aLiveRelease({ ...slow, healthTimeoutMs: 10_000 });
    });

    test("an app in maintenance answers 503 on all its hosts, runs on, and takes new releases", async () => {
      const spec = await aLiveRelease({ hosts: ["tea.test"], formation: { web: 1, worker: 1 } });
      const starts = await startsOf(spec);
      const resting = { ...spec, isInMaintenance: true };
      await runtime.rollout.apply(resting, 2, aCall());
      for (const { status, body } of [await under.get(spec.appName, "/"), await under.getAt("tea.test", "/")]) {
        expect(status).toBe(503);
        expect(body).toContain("Down for maintenance");
      }
      expect(await startsOf(spec)).toEqual(starts);
      expect(await runtime.processes.run(resting, "exit 5", () => {}, never)).toBe(5);
      const second = await aRelease({ of: spec, isInMaintenance: true, healthPath: "/health" });
      expect(await runtime.rollout.apply(second, 3, aCall())).toEqual({ ok: true });
      expect((await under.get(spec.appName, "/")).status).toBe(503);
      await runtime.rollout.apply({ ...second, isInMaintenance: false }, 4, aCall());
      expect(await body(spec)).toBe("version v2");
    });

    test("what is no part of a release holds also when the processes that are asked for do not come up", async () => {
      const spec = await aLiveRelease({ env: { READY_AFTER_MS: "1000" } });
      const outcome = await runtime.rollout.apply(
        { ...spec, formation: { web: 2, worker: 0 }, isInMaintenance: true },
        2,
        aCall({ timeoutMs: 300 }),
      );
      expect(outcome).toMatchObject({ ok: false });
      expect((await under.get(spec.appName, "/")).status).toBe(503);
      expect(await upProcesses(spec)).toEqual(["web.1 v1"]);
    });

    test("a renamed app is served at its new address only, by the same processes", async () => {
      const spec = await aLiveRelease();
      const starts = await startsOf(spec);
      const renamed = { ...spec, appName: `${spec.appName}-anew` };
      await runtime.rollout.apply(renamed, 2, aCall());
      expect(await body(renamed)).toBe("version v1");
      expect((await under.get(spec.appName, "/")).status).toBe(404);
      expect(await startsOf(renamed)).toEqual(starts);
    });

    test("requests of the old version may take as long as the new release says, and its processes as long as theirs", async () => {
      const first = await aLiveRelease({ env: { END_AFTER_MS: "4500" }, stopGraceMs: { web: 60_000 } });
      const slow = under.get(first.appName, "/slow");
      await eventually(async () => expect(await body(first, "/slow-ones")).toBe("1"));
      const call = aCall();
      await runtime.rollout.apply(await aRelease({ of: first, drainMs: 200 }), 2, call);
      expect(call.lines.at(-1)).toContain("1 request not finished after 0.2 s");
      // Nobody waited for it any longer, but its process had the grace of its own release to finish it.
      expect((await slow).body).toBe("slow");
    });

    test("an app scaled to nothing answers 503, and comes back", async () => {
      const spec = await aLiveRelease();
      await runtime.rollout.apply({ ...spec, formation: { web: 0, worker: 0 } }, 2, aCall());
      expect((await under.get(spec.appName, "/")).status).toBe(503);
      expect(await upProcesses(spec)).toEqual([]);
      await runtime.rollout.apply(spec, 3, aCall());
      expect(await body(spec)).toBe("version v1");
    });

    test("a release that crashes at start is refused with its cause, and the old one goes on", async () => {
      const first = await aLiveRelease();
      const second = await aRelease({ of: first, env: { FAULT: "crash" } });
      const call = aCall();
      const outcome = await runtime.rollout.apply(second, 2, call);
      expect(outcome).toMatchObject({ ok: false, cause: { headline: "web crashes at start" } });
      expect(outcome).toMatchObject({ cause: { detail: "Cannot find module 'hats' (web.js:3)" } });
      expect((outcome as { cause: { lastLines: string[] } }).cause.lastLines.length).toBeGreaterThan(3);
      expect(call.lines.some((line) => /^web: exit 1, started \d times$/.test(line))).toBe(true);
      expect(call.asked).toBe(0);
      expect(await body(first)).toBe("version v1");
      expect(await upProcesses(first)).toEqual(["web.1 v1"]);
    });

    test("a release that never becomes healthy is refused in time, with what its health path answered", async () => {
      const spec = await aRelease({ env: { FAULT: "sick" } });
      const outcome = await runtime.rollout.apply(spec, 1, aCall({ timeoutMs: 700 }));
      expect(outcome).toMatchObject({
        ok: false,
        cause: { headline: "web is not healthy: GET /health answers 500", detail: "the database is away" },
      });
      expect(await runtime.processes.list(spec.appId)).toEqual([]);
    });

    test("a release that is not wanted any more at the last moment is put back", async () => {
      const first = await aLiveRelease();
      const second = await aRelease({ of: first });
      const outcome = await runtime.rollout.apply(second, 2, aCall({ maySwitch: async () => false }));
      expect(outcome).toEqual({ ok: false, declined: true });
      expect(await body(first)).toBe("version v1");
      expect(await upProcesses(first)).toEqual(["web.1 v1"]);
    });

    test("an aborted rollout is put back and rejects with the reason", async () => {
      const first = await aLiveRelease();
      const second = await aRelease({ of: first, env: { READY_AFTER_MS: "60000" } });
      const abort = new AbortController();
      const rollout = runtime.rollout.apply(second, 2, aCall({ signal: abort.signal }));
      await eventually(async () =>
        (await runtime.processes.list(first.appId)).some(({ state }) => state === "starting"),
      );
      const reason = new Error("cancelled by ben");
      abort.abort(reason);
      await expect(rollout).rejects.toBe(reason);
      expect(await body(first)).toBe("version v1");
      expect(await runtime.processes.list(first.appId)).toHaveLength(1);
    });

    test("a lower fence than was seen is refused, also after the app is gone", async () => {
      const spec = await aLiveRelease();
      await runtime.rollout.apply({ ...spec, formation: { web: 1 } }, 5, aCall());
      await expect(runtime.rollout.apply(await aRelease({ of: spec }), 4, aCall())).rejects.toThrow(StaleFence);
      await expect(runtime.rollout.destroy(spec.appId, 4)).rejects.toThrow(StaleFence);
      expect(await body(spec)).toBe("version v1");
      await runtime.rollout.destroy(spec.appId, 6);
      await expect(runtime.rollout.apply(spec, 5, aCall())).rejects.toThrow(StaleFence);
    });

    test("a rollout that a newer owner overtakes stops with StaleFence, and the newer one's release runs", async () => {
      const first = await aRelease({ env: { READY_AFTER_MS: "60000" } });
      const overtaken = runtime.rollout.apply(first, 1, aCall());
      overtaken.catch(() => {});
      await eventually(async () =>
        (await runtime.processes.list(first.appId)).some(({ state }) => state === "starting"),
      );
      const second = await aRelease({ of: first });
      expect(await runtime.rollout.apply(second, 2, aCall())).toEqual({ ok: true });
      await expect(overtaken).rejects.toThrow(StaleFence);
      expect(await upProcesses(second)).toEqual(["web.1 v2"]);
    });

    test("an app's output is kept and followed, by process if asked", async () => {
      const spec = await aLiveRelease({ formation: { web: 1, worker: 1 } });
      await body(spec, "/one");
      const kept = await eventually(async () => {
        const lines = await collect(runtime.processes.logs(spec.appId, { lines: 100, follow: false }, never));
        expect(lines.map(({ text }) => text)).toContain("asked for /one");
        return lines;
      });
      expect(kept.map(({ process }) => process)).toContain("worker.1");
      const stop = new AbortController();
      const seen: AppLogLine[] = [];
      const following = (async () => {
        const options = { lines: 0, follow: true, process: "web" };
        for await (const line of runtime.processes.logs(spec.appId, options, stop.signal)) seen.push(line);
      })();
      await eventually(async () => {
        await body(spec, "/two");
        return seen.some(({ text }) => text === "asked for /two");
      });
      stop.abort();
      await following;
      expect(new Set(seen.map(({ process }) => process))).toEqual(new Set(["web.1"]));
    });

    test("of an app's output the last wanted lines are told: by their text, their source and their time", async () => {
      const spec = await aLiveRelease({ formation: { web: 1, worker: 1 } });
      const logs = async (options: Partial<AppLogOptions>) => {
        const asked = { lines: 100, follow: false, ...options };
        return (await collect(runtime.processes.logs(spec.appId, asked, never))).map(({ text }) => text);
      };
      for (const path of ["/hats", "/caps", "/hats", "/shoes"]) await body(spec, path);
      const isHat = (text: string) => text.startsWith("asked for") && !text.endsWith("shoes");
      await eventually(async () => expect(await logs({})).toContain("asked for /shoes"));
      expect(await logs({ isWanted: isHat, lines: 2 })).toEqual(["asked for /caps", "asked for /hats"]);
      await eventually(async () => expect((await logs({ source: "router" })).join()).toContain("GET /shoes 200"));
      expect((await logs({ source: "router" })).filter((text) => !text.startsWith("GET "))).toEqual([]);
      expect((await logs({ source: "app" })).join()).not.toContain("GET ");
      const since = new Date();
      expect(await logs({ since })).toEqual([]);
      await body(spec, "/socks");
      await eventually(async () => expect(await logs({ since, source: "app" })).toEqual(["asked for /socks"]));
    });

    test("a command runs once in a release's environment, and tells its output and exit code", async () => {
      const spec = await aRelease();
      const lines: string[] = [];
      const command = `echo "$VERSION" && node -e 'console.error("to stderr")' && exit 7`;
      const code = await runtime.processes.run(spec, command, ({ text }) => void lines.push(text), never);
      expect(code).toBe(7);
      expect(lines.sort()).toEqual(["to stderr", "v1"]);
    });

    test("a command with a name of its own writes into the app's log, among lines of Zyndra's own", async () => {
      const spec = await aLiveRelease();
      const options = { name: "cron.report", intoLog: true };
      const command = `echo "I am $ZYNDRA_PROCESS"; echo wrong >&2; exit 3`;
      expect(await runtime.processes.run(spec, command, () => {}, never, options)).toBe(3);
      await runtime.processes.note(spec.appId, "cron.report", "exit 3 after 0.1 s");
      await runtime.processes.run(spec, "echo seen by its caller alone", () => {}, never);
      const asked = { lines: 10, follow: false, process: "cron" };
      const lines = (await collect(runtime.processes.logs(spec.appId, asked, never))).map(({ text }) => text);
      expect(lines.slice(0, 2).sort()).toEqual(["I am cron.report", "wrong"]);
      expect(lines.slice(2)).toEqual(["zyndra: exit 3 after 0.1 s"]);
      const all = await collect(runtime.processes.logs(spec.appId, { lines: 100, follow: false }, never));
      expect(all.map(({ text }) => text)).not.toContain("seen by its caller alone");
    });

    test("a line of Zyndra's own for an app that is gone is nobody's", async () => {
      const spec = await aLiveRelease();
      await runtime.rollout.destroy(spec.appId, 2);
      await runtime.processes.note(spec.appId, "cron.report", "exit 3 after 0.1 s");
      expect(await collect(runtime.processes.logs(spec.appId, { lines: 10, follow: false }, never))).toEqual([]);
    });

    test("an aborted command is ended and rejects with the reason", async () => {
      const spec = await aRelease();
      const abort = new AbortController();
      const reason = new Error("enough");
      const running = runtime.processes.run(spec, "echo begun; sleep 600", () => abort.abort(reason), abort.signal);
      await expect(running).rejects.toBe(reason);
    });

    test("a destroyed app is gone with its log, and destroying it again is no fault", async () => {
      const spec = await aLiveRelease();
      await runtime.rollout.destroy(spec.appId, 2);
      await runtime.rollout.destroy(spec.appId, 2);
      expect((await under.get(spec.appName, "/")).status).toBe(404);
      expect(await runtime.processes.list(spec.appId)).toEqual([]);
      expect(await collect(runtime.processes.logs(spec.appId, { lines: 10, follow: false }, never))).toEqual([]);
    });

    test("an app's address is a URL", () => {
      expect(new URL(runtime.edge.url("shop")).hostname).toContain("shop");
    });
  });
}

const never = new AbortController().signal;

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
