import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { ProcessTypes } from "../../src/model/process-types.ts";
import { stopAll } from "../../src/runtime/local/local.ts";
import {
  findDesired,
  logFolder,
  processesFolder,
  raiseFence,
  withApp,
  writeDesired,
} from "../../src/runtime/local/state.ts";
import type { AppLogLine, ReleaseSpec } from "../../src/runtime/runtime.ts";
import { type LocalBench, makeSlug, openLocalBench } from "../contract/local-bench.ts";
import { aCall, files, processTypes } from "../contract/runtime.ts";
import { eventually } from "../support/eventually.ts";

let bench: LocalBench;
afterEach(() => bench?.close());

const never = new AbortController().signal;

async function release(overrides: Partial<ReleaseSpec> & { of?: ReleaseSpec; js?: string } = {}): Promise<ReleaseSpec> {
  const { of, js, ...rest } = overrides;
  const appId = of?.appId ?? randomUUID();
  const version = (of?.version ?? 0) + 1;
  const types: ProcessTypes = js === undefined ? processTypes : { web: { command: "node app.js" } };
  return {
    appId,
    appName: of?.appName ?? "shop",
    releaseId: randomUUID(),
    version,
    image: await makeSlug(bench.dataDir, appId, js === undefined ? files : { "app.js": js }, types),
    processTypes: types,
    formation: { web: 1 },
    ...rest,
    env: { VERSION: `v${version}`, ...rest.env },
  };
}

async function live(overrides: Parameters<typeof release>[0] = {}): Promise<ReleaseSpec> {
  const spec = await release(overrides);
  expect(await bench.runtime.rollout.apply(spec, 1, aCall())).toEqual({ ok: true });
  return spec;
}

/** The processes of this data folder's apps, as the kernel sees them; keepers and shells left out. */
async function programs(): Promise<number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const [environ, command] = await Promise.all(
        ["environ", "cmdline"].map((name) => readFile(`/proc/${pid}/${name}`, "latin1").catch(() => "")),
      );
      return environ!.includes(`HOME=${bench.dataDir}`) && !/^(sh|\/bin\/sh|perl)\0/.test(command!) && command !== "";
    }),
  );
  return pids.filter((_, index) => found[index]).map(Number);
}

async function keeperPid(spec: ReleaseSpec): Promise<number> {
  const folder = processesFolder(bench.dataDir, spec.appId);
  const [id] = await readdir(folder);
  return JSON.parse(await readFile(join(folder, id!, "status"), "utf8")).keeperPid;
}

async function logOf(spec: ReleaseSpec): Promise<AppLogLine[]> {
  const lines: AppLogLine[] = [];
  for await (const line of bench.runtime.processes.logs(spec.appId, { lines: 100_000, follow: false }, never))
    lines.push(line);
  return lines;
}

function startPlatform(specFile: string, when: string): { child: ChildProcess; lines: AsyncIterator<string> } {
  const script = join(import.meta.dirname, "local-platform.ts");
  const child = spawn(process.execPath, [script, bench.dataDir, specFile, when], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return { child, lines: createInterface({ input: child.stdout! })[Symbol.asyncIterator]() };
}

async function specFileOf(spec: ReleaseSpec): Promise<string> {
  const file = join(bench.dataDir, "spec.json");
  await writeFile(file, JSON.stringify(spec));
  return file;
}

describe("redeploys", () => {
  test("not one request fails in three redeploys under load", async () => {
    bench = await openLocalBench();
    const js = `
      const http = require("node:http");
      const server = http.createServer((request, response) => {
        let size = 0;
        request.on("data", (chunk) => { size += chunk.length; });
        request.on("end", () => setTimeout(() => response.end(process.env.VERSION + " " + size), Math.random() * 120));
      });
      server.listen(process.env.PORT);
      // It finishes nothing by itself: whoever sends SIGTERM must know that nothing is under way.
      process.on("SIGTERM", () => process.exit(0));
    `;
    let spec = await live({ js, formation: { web: 2 } });
    const faults: string[] = [];
    const seen = new Set<string>();
    let answered = 0;
    let over = false;
    const kept = new Agent({ keepAlive: true, maxSockets: 4 });
    const load = async (method: "GET" | "POST", agent: Agent | false) => {
      const body = method === "POST" ? Buffer.alloc(50_000, "x") : undefined;
      while (!over) {
        try {
          const asking = request({
            host: "127.0.0.1",
            port: bench.port,
            path: "/",
            method,
            agent,
            headers: { host: "shop.localhost", ...(body ? { "content-length": body.length } : {}) },
          });
          asking.end(body);
          const [answer] = await once(asking, "response");
          const [version, size] = (await text(answer)).split(" ");
          if (answer.statusCode !== 200 || size !== String(body?.length ?? 0))
            faults.push(`${method} ${answer.statusCode}`);
          seen.add(version!);
          answered++;
        } catch (error) {
          faults.push(`${method} ${String(error)}`);
        }
      }
    };
    const loads = [load("GET", kept), load("GET", kept), load("POST", kept), load("GET", false), load("POST", false)];
    for (let redeploy = 2; redeploy <= 4; redeploy++) {
      spec = await release({ of: spec, js, formation: { web: 2 } });
      expect(await bench.runtime.rollout.apply(spec, redeploy, aCall())).toEqual({ ok: true });
      const before = answered;
      await eventually(() => answered > before + 50);
    }
    over = true;
    await Promise.all(loads);
    kept.destroy();
    expect(faults).toEqual([]);
    expect([...seen].sort()).toEqual(["v1", "v2", "v3", "v4"]);
    expect(answered).toBeGreaterThan(150);
  });

  test("a slow request is finished by the old version, and one that does not end is cut off at the limit", async () => {
    bench = await openLocalBench({ drainTimeoutMs: 800 });
    const js = `
      const http = require("node:http");
      http.createServer((request, response) => {
        response.write(process.env.VERSION);
        if (request.url === "/slow") setTimeout(() => response.end(" done"), 400);
        else if (request.url !== "/endless") response.end();
      }).listen(process.env.PORT);
    `;
    const first = await live({ js });
    const slow = bench.ask("shop", "/slow");
    const endless = bench.ask("shop", "/endless");
    endless.catch(() => {});
    await eventually(async () => (await bench.ask("shop", "/")).status === 200);
    const call = aCall();
    await bench.runtime.rollout.apply(await release({ of: first, js }), 2, call);
    expect((await slow).body).toBe("v1 done");
    await expect(endless).rejects.toThrow();
    expect(call.lines.at(-1)).toBe("v2 serves, v1 stopped, 1 request not finished after 0.8 s");
  });

  test("an open WebSocket is closed after the drain limit", async () => {
    bench = await openLocalBench({ drainTimeoutMs: 200 });
    const js = `
      const server = require("node:http").createServer((request, response) => response.end());
      server.on("upgrade", (request, socket) =>
        socket.write("HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\nhello"));
      server.listen(process.env.PORT);
    `;
    const first = await live({ js });
    const socket = connect(bench.port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    await once(socket, "data");
    const closed = once(socket, "close");
    await bench.runtime.rollout.apply(await release({ of: first, js }), 2, aCall());
    await closed;
  });
});

describe("what a release does wrong is told", () => {
  test("a web process that listens on another port", async () => {
    bench = await openLocalBench();
    const spec = await release({ env: { FAULT: "port" } });
    const outcome = await bench.runtime.rollout.apply(spec, 1, aCall({ timeoutMs: 600 }));
    expect(outcome).toMatchObject({
      cause: { headline: expect.stringMatching(/^web listens on port \d+, not on \$PORT$/) },
    });
  });

  test("a web process that goes on listening on another port, long before the time is over", async () => {
    bench = await openLocalBench({ wrongPortMs: 500 });
    const spec = await release({ env: { FAULT: "port" } });
    const outcome = await bench.runtime.rollout.apply(spec, 1, aCall({ timeoutMs: 600_000 }));
    expect(outcome).toMatchObject({
      cause: { headline: expect.stringMatching(/^web listens on port \d+, not on \$PORT$/) },
    });
    expect(await programs()).toEqual([]);
  });

  test("not a web process that listens on its own port last", async () => {
    bench = await openLocalBench({ wrongPortMs: 10_000 });
    await live({
      js: `
      const { createServer } = require("node:http");
      createServer().listen(0);
      setTimeout(() => createServer((_, response) => response.end("late")).listen(process.env.PORT), 2_000);`,
    });
    expect((await bench.get("shop", "/")).body).toBe("late");
  });

  test("a web process that listens nowhere, with its last lines", async () => {
    bench = await openLocalBench();
    const spec = await release({ js: `console.log("I only think"); setInterval(() => {}, 1000);` });
    const outcome = await bench.runtime.rollout.apply(spec, 1, aCall({ timeoutMs: 600 }));
    expect(outcome).toMatchObject({ cause: { headline: "web does not listen on $PORT", lastLines: ["I only think"] } });
  });

  test("a worker that crashes, though the web process is well; its output is in the app's log", async () => {
    bench = await openLocalBench();
    const spec = await release({
      formation: { web: 1, worker: 1 },
      processTypes: { ...processTypes, worker: { command: "echo no queue >&2; exit 4" } },
    });
    const outcome = await bench.runtime.rollout.apply(spec, 1, aCall());
    expect(outcome).toMatchObject({ cause: { headline: "worker crashes at start", detail: "exit 4: no queue" } });
    expect((await logOf(spec)).map(({ process, text }) => `${process} ${text}`)).toContain("worker.1 no queue");
    expect(await programs()).toEqual([]);
  });

  test("a command that is not there is not tried again", async () => {
    bench = await openLocalBench();
    const spec = await release({ processTypes: { web: { command: "gunicorn app:app" } } });
    const call = aCall();
    const outcome = await bench.runtime.rollout.apply(spec, 1, call);
    expect(outcome).toMatchObject({ cause: { detail: "the command gunicorn is not found" } });
    expect(call.lines).toEqual(["web: exit 127, started once"]);
  });

  test("a release whose files were removed", async () => {
    bench = await openLocalBench();
    const spec = await release();
    await rm(join(bench.dataDir, "slugs"), { recursive: true });
    const outcome = await bench.runtime.rollout.apply(spec, 1, aCall());
    expect(outcome).toMatchObject({ cause: { headline: "the files of v1 are gone" } });
  });
});

test("a restart whose new process crashes tells why, and the old one goes on", async () => {
  bench = await openLocalBench();
  const js = `
    const fs = require("node:fs");
    if (fs.existsSync(process.env.BEGUN)) require("hats");
    fs.writeFileSync(process.env.BEGUN, "");
    require("node:http").createServer((_, response) => response.end(String(process.pid))).listen(process.env.PORT);`;
  const spec = await live({ js, env: { BEGUN: join(bench.dataDir, "begun") } });
  const pid = (await bench.get("shop", "/")).body;
  const outcome = await bench.runtime.rollout.apply({ ...spec, restarts: { web: 2 } }, 2, aCall());
  expect(outcome).toMatchObject({
    cause: { headline: "web crashes at start", detail: "Cannot find module 'hats' (app.js:3)" },
  });
  expect((await bench.get("shop", "/")).body).toBe(pid);
  expect(await programs()).toEqual([Number(pid)]);
});

test("what an older Zyndra has written of an app is read: it runs on, and can be restarted", async () => {
  bench = await openLocalBench();
  const spec = await live();
  const pid = (await bench.get("shop", "/pid")).body;
  const written = (await findDesired(bench.dataDir, spec.appId))!;
  const older = { ...written, processes: written.processes.map(({ revision: _, ...process }) => process) };
  await writeDesired(bench.dataDir, older);
  await bench.reopen();
  await bench.runtime.rollout.apply(spec, 2, aCall());
  expect((await bench.get("shop", "/pid")).body).toBe(pid);
  await bench.runtime.rollout.apply({ ...spec, restarts: { "web.1": 1 } }, 3, aCall());
  expect((await bench.get("shop", "/pid")).body).not.toBe(pid);
});

test("a process that is started again after a reboot has done the restarts of before", async () => {
  bench = await openLocalBench();
  const spec = await live({ restarts: { "*": 5 } });
  await stopAll(bench.dataDir);
  await bench.reopen();
  await eventually(async () => expect((await bench.get("shop", "/pid")).status).toBe(200));
  const pid = (await bench.get("shop", "/pid")).body;
  await bench.runtime.rollout.apply(spec, 2, aCall());
  expect((await bench.get("shop", "/pid")).body).toBe(pid);
});

test("a process gets its own environment, and nothing of the platform's", async () => {
  bench = await openLocalBench();
  process.env.PLATFORM_SECRET = "must not be seen";
  const spec = await live({ env: { NODE_ENV: "test", PORT: "1", PATH: "/opt/own" } });
  const env = JSON.parse((await bench.ask("shop", "/env")).body) as Record<string, string>;
  delete process.env.PLATFORM_SECRET;
  expect(Object.keys(env).sort()).toEqual(
    [
      ..."HOME LANG NODE_ENV PATH PORT PWD TMPDIR VERSION ZYNDRA_APP".split(" "),
      ..."ZYNDRA_INSTANCE ZYNDRA_PROCESS ZYNDRA_RELEASE_VERSION".split(" "),
    ].filter((name) => name in env || name !== "PWD"),
  );
  expect(env).toMatchObject({
    NODE_ENV: "test",
    ZYNDRA_APP: "shop",
    ZYNDRA_PROCESS: "web.1",
    ZYNDRA_RELEASE_VERSION: "v1",
  });
  expect(env.PORT).not.toBe("1");
  expect(env.PATH).toMatch(/^\/opt\/own:.*:\/usr\/local\/bin:\/usr\/bin:\/bin$/);
  const desired = join(bench.dataDir, "apps", spec.appId, "desired.json");
  expect((await stat(desired)).mode & 0o777).toBe(0o600);
});

describe("crashes of a live app", () => {
  const fragile = `
    require("node:http").createServer((request, response) => {
      if (request.url === "/die") { console.error("Error: no more hats"); process.exit(3); }
      response.end("alive");
    }).listen(process.env.PORT);
  `;

  test("a process that ends is started again", async () => {
    bench = await openLocalBench();
    const spec = await live({ js: fragile });
    expect((await bench.ask("shop", "/die")).status).toBe(502);
    await eventually(async () => (await bench.ask("shop", "/")).body === "alive");
    expect(await bench.runtime.processes.list(spec.appId)).toMatchObject([{ name: "web.1", restarts: 1 }]);
    expect((await logOf(spec)).some(({ text }) => /^zyndra: exit 3 after [\d.]+ s, starts again in/.test(text))).toBe(
      true,
    );
  });

  test("what a process leaves behind when it ends is ended before it starts again", async () => {
    bench = await openLocalBench();
    await live({ js: `require("node:child_process").spawn("sleep", ["1000"], { detached: true }).unref();${fragile}` });
    await bench.ask("shop", "/die");
    await eventually(async () => (await bench.ask("shop", "/")).body === "alive");
    expect(await programs()).toHaveLength(2);
  });

  test("a crash loop is seen as crashed, with its reason, and its page says where to look", async () => {
    bench = await openLocalBench();
    const spec = await live({ js: `require("node:fs").statSync("here");${fragile}`, ...(await hereFile()) });
    await rm(join(slugDir(spec), "here"));
    await bench.ask("shop", "/die");
    await eventually(async () => {
      const [process] = await bench.runtime.processes.list(spec.appId);
      expect(process).toMatchObject({ state: "crashed", reason: expect.stringContaining("ENOENT") });
      expect(process!.restarts).toBeGreaterThan(1);
    });
    const page = await bench.ask("shop", "/");
    expect(page.status).toBe(503);
    expect(page.body).toContain("zyndra logs shop");
  });

  function slugDir(spec: ReleaseSpec): string {
    return join(bench.dataDir, spec.image.replace("slug:", "slugs/"));
  }

  async function hereFile(): Promise<Partial<ReleaseSpec>> {
    const appId = randomUUID();
    const types = { web: { command: "node app.js" } };
    const js = `require("node:fs").statSync("here");${fragile}`;
    return { appId, image: await makeSlug(bench.dataDir, appId, { "app.js": js, here: "" }, types) };
  }

  test("a keeper killed with -9 is replaced, and the process it left runs once", async () => {
    bench = await openLocalBench({ watchEveryMs: 100 });
    const spec = await live();
    const before = (await bench.ask("shop", "/pid")).body;
    process.kill(await keeperPid(spec), "SIGKILL");
    await eventually(async () => {
      const pid = (await bench.ask("shop", "/pid")).body;
      expect(pid).not.toBe(before);
      expect(await programs()).toEqual([Number(pid)]);
    });
  });
});

test("two changes of an app at once are made one after the other, whoever asks", async () => {
  bench = await openLocalBench();
  const spec = await release();
  let inside = 0;
  const most: number[] = [];
  const change = async (fence: number) => {
    await raiseFence(bench.dataDir, spec.appId, fence).catch(() => {});
    await withApp(bench.dataDir, spec.appId, {}, async () => {
      most.push(++inside);
      await delay(20);
      inside--;
    });
  };
  await Promise.all([1, 2, 3, 4, 5, 6].map(change));
  expect(most).toEqual([1, 1, 1, 1, 1, 1]);
});

describe("the platform goes and comes back", () => {
  test("apps run on without it, and are found again as they are", async () => {
    bench = await openLocalBench();
    const spec = await live({ formation: { web: 2, worker: 1 } });
    const before = await programs();
    expect(before).toHaveLength(3);
    await bench.reopen();
    expect(await programs()).toEqual(before);
    expect((await bench.runtime.processes.list(spec.appId)).map(({ state }) => state)).toEqual(["up", "up", "up"]);
  });

  test("after a reboot of the machine everything is started again, on ports that are free", async () => {
    bench = await openLocalBench({ keepsRunning: false });
    const spec = await live({ formation: { web: 2 } });
    for (const pid of [...(await keepersOf(spec)), ...(await programs())]) process.kill(pid, "SIGKILL");
    await eventually(async () => (await bench.ask("shop", "/")).status === 503);
    expect(await programs()).toEqual([]);
    await bench.reopen({ keepsRunning: true });
    await eventually(async () => (await bench.ask("shop", "/")).body === "version v1");
    expect(await programs()).toHaveLength(2);
  });

  async function keepersOf(spec: ReleaseSpec): Promise<number[]> {
    const folder = processesFolder(bench.dataDir, spec.appId);
    const texts = await Promise.all((await readdir(folder)).map((id) => readFile(join(folder, id, "status"), "utf8")));
    return texts.map((status) => JSON.parse(status).keeperPid as number);
  }

  test("killed before the switch, it takes the half-made release away at its return, and makes it when asked again", async () => {
    bench = await openLocalBench({ keepsRunning: false });
    const first = await live();
    const second = await release({ of: first });
    const { child, lines } = startPlatform(await specFileOf({ ...second }), "wait");
    while ((await lines.next()).value !== "last word");
    expect(await programs()).toHaveLength(2);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect((await bench.ask("shop", "/")).body).toBe("version v1");

    const again = await openAgain();
    expect(await programs()).toHaveLength(1);
    expect(await again.rollout.apply(second, 2, aCall())).toEqual({ ok: true });
    expect((await bench.ask("shop", "/")).body).toBe("version v2");
    expect(await programs()).toHaveLength(1);
  });

  async function openAgain() {
    return bench.reopen({ keepsRunning: true });
  }

  test.each([0, 4, 10, 25, 60])(
    "killed %i ms after its last word, it ends in the same state when asked again",
    async (ms) => {
      bench = await openLocalBench({ keepsRunning: false });
      const first = await live();
      const second = await release({ of: first });
      const { child } = startPlatform(await specFileOf(second), String(ms));
      await once(child, "exit");
      const again = await openAgain();
      // Whichever side of the switch the crash was on, exactly one version is there, and it answers.
      const version = (await findDesired(bench.dataDir, first.appId))!.spec.version;
      await eventually(async () => expect((await bench.ask("shop", "/")).body).toBe(`version v${version}`));
      expect(await programs()).toHaveLength(1);
      expect(await again.rollout.apply(second, 2, aCall())).toEqual({ ok: true });
      expect((await bench.ask("shop", "/")).body).toBe("version v2");
      expect(await programs()).toHaveLength(1);
    },
  );

  test.each([
    "run echo begun; sleep 600",
    "flood echo begun; sleep 600",
    "terminal echo begun; sleep 600",
    "terminal exec bash --norc -ic 'set -m; nohup sleep 600 & setsid sleep 600 & echo begun; sleep 600'",
  ])("a one-off command does not outlive a killed platform: %s", async (command) => {
    bench = await openLocalBench();
    const spec = await release();
    const { child, lines } = startPlatform(await specFileOf(spec), command);
    while (!/^begun\r?$/.test((await lines.next()).value));
    await eventually(async () => (await programs()).length > 0);
    child.kill("SIGKILL");
    await eventually(async () => expect(await programs()).toEqual([]));
  });

  test("stopAll ends everything that a killed platform left, also what has lost its keeper", async () => {
    bench = await openLocalBench({ keepsRunning: false });
    const spec = await live({ formation: { web: 2, worker: 1 } });
    process.kill(await keeperPid(spec), "SIGKILL");
    await stopAll(bench.dataDir);
    expect(await programs()).toEqual([]);
    const again = await openAgain();
    expect((await again.processes.list(spec.appId)).map(({ name }) => name)).toEqual(["web.1", "web.2", "worker.1"]);
    await eventually(async () => (await bench.ask("shop", "/")).body === "version v1");
  });
});

describe("keepers", () => {
  test("a process that ignores SIGTERM, and a daemon that has left its group, end with the release", async () => {
    bench = await openLocalBench({ stopGraceMs: 300 });
    const spec = await live({
      processTypes: {
        web: { command: "node web.js" },
        worker: { command: "setsid sleep 1000 & trap '' TERM; node worker.js" },
      },
      formation: { web: 1, worker: 1 },
    });
    await eventually(async () => expect(await programs()).toHaveLength(3));
    await bench.runtime.rollout.destroy(spec.appId, 2);
    expect(await programs()).toEqual([]);
  });

  /** Leaves its group, its parent and all that marks it. */
  const daemon = (seconds: number) => `env -i setsid sh -c 'sleep ${seconds} & sleep ${seconds}' &`;
  const sleepers = async (seconds: number) => {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")));
    return lines.filter((line) => line === `sleep\0${seconds}\0`).length;
  };
  const oddSeconds = () => 100_000 + Math.floor(Math.random() * 900_000);

  test("a daemon that has dropped its mark ends with the release", async () => {
    bench = await openLocalBench({ stopGraceMs: 300 });
    const seconds = oddSeconds();
    const worker = { command: `${daemon(seconds)} exec node worker.js` };
    const spec = await live({
      processTypes: { web: { command: "node web.js" }, worker },
      formation: { web: 1, worker: 1 },
    });
    await eventually(async () => expect(await sleepers(seconds)).toBe(2));
    await bench.runtime.rollout.destroy(spec.appId, 2);
    expect(await sleepers(seconds)).toBe(0);
  });

  test("a daemon that has dropped its mark ends with the command, however that ends", async () => {
    bench = await openLocalBench({ stopGraceMs: 300 });
    const spec = await live();
    const seconds = oddSeconds();
    const stop = new AbortController();
    const run = (command: string, signal = never) => bench.runtime.processes.run(spec, command, () => {}, signal);
    expect(await run(`${daemon(seconds)} sleep 0.2; exit 3`)).toBe(3);
    expect(await sleepers(seconds)).toBe(0);

    const stopped = run(`${daemon(seconds)} sleep 900`, stop.signal).catch((error: Error) => error);
    await eventually(async () => expect(await sleepers(seconds)).toBe(2));
    stop.abort(new Error("stopped"));
    expect(await stopped).toMatchObject({ message: "stopped" });
    expect(await sleepers(seconds)).toBe(0);

    const removed = run(`${daemon(seconds)} sleep 900`).catch((error: Error) => error);
    await eventually(async () => expect(await sleepers(seconds)).toBe(2));
    await bench.runtime.rollout.destroy(spec.appId, 2);
    expect(await removed).toMatchObject({ message: "Nothing of shop is here any more: it is being removed." });
    expect(await sleepers(seconds)).toBe(0);
  });

  test("garbage, endless lines and lines without an end arrive as lines of bounded length", async () => {
    bench = await openLocalBench();
    const js = `
      process.stdout.write(Buffer.from([0xff, 0x00, 0x07, 0x1b, 0x5d]));
      process.stdout.write("\\n" + "ü".repeat(12_000) + "\\n");
      process.stdout.write("\\x1b[31mred\\x1b[0m\\n");
      process.stdout.write("no end");
      require("node:http").createServer((q, r) => r.end()).listen(process.env.PORT);
    `;
    const spec = await live({ js });
    const lines = await eventually(async () => {
      const found = (await logOf(spec)).map((line) => line.text);
      expect(found).toContain("no end");
      return found;
    });
    expect(lines).toContain("\x1b[31mred\x1b[0m");
    const long = lines.filter((line) => /^ü+$/.test(line));
    expect(long.join("")).toBe("ü".repeat(12_000));
    expect(Math.max(...lines.map((line) => Buffer.byteLength(line)))).toBeLessThanOrEqual(10_000);
    expect(lines.some((line) => /[\x00\x07]|\x1b\]/.test(line))).toBe(false);
  });

  test("a flood of output fills neither the disk nor the memory, and says what was dropped", async () => {
    bench = await openLocalBench();
    const js = `
      const line = "hat ".repeat(50) + "\\n";
      const flood = () => { while (process.stdout.write(line)); process.stdout.once("drain", flood); };
      flood();
      require("node:http").createServer((q, r) => r.end("still here")).listen(process.env.PORT);
    `;
    const spec = await live({ js });
    const folder = logFolder(bench.dataDir, spec.appId);
    await eventually(async () => (await stat(join(folder, "app.log.1"))).size > 0, { withinMs: 30_000 });
    const sizes = await Promise.all(
      ["app.log", "app.log.1"].map(async (name) => (await stat(join(folder, name))).size),
    );
    for (const size of sizes) expect(size).toBeLessThan(6 * 1024 * 1024);
    const memory = await readFile(`/proc/${await keeperPid(spec)}/status`, "utf8");
    expect(Number(/VmRSS:\s+(\d+) kB/.exec(memory)![1])).toBeLessThan(20_000);
    expect((await logOf(spec)).some((line) => /^zyndra: \d+ lines dropped/.test(line.text))).toBe(true);
    expect((await bench.ask("shop", "/")).body).toBe("still here");
  });

  test("a flood from a command that writes into the app's log is held back likewise, and no process waits for it", async () => {
    bench = await openLocalBench();
    const spec = await live({
      js: `require("node:http").createServer((q, r) => r.end("hats")).listen(process.env.PORT)`,
    });
    const flood = "yes hats hats hats hats hats hats hats hats | head -c 40000000; echo the end";
    const options = { name: "cron.flood", intoLog: true };
    const read: string[] = [];
    const keepLast = ({ text: line }: { text: string }) => void (read[0] = line);
    expect(await bench.runtime.processes.run(spec, flood, keepLast, never, options)).toBe(0);
    expect(read).toEqual(["the end"]);
    const file = join(logFolder(bench.dataDir, spec.appId), "app.log");
    const sizes = await Promise.all(
      [file, `${file}.1`].map((path) =>
        stat(path).then(
          (found) => found.size,
          () => 0,
        ),
      ),
    );
    expect(sizes[0]! + sizes[1]!).toBeLessThan(15_000_000);
    expect((await logOf(spec)).some((line) => /^zyndra: \d+ lines dropped/.test(line.text))).toBe(true);
  });

  test("followed logs go on across the moment a full log is moved aside", async () => {
    bench = await openLocalBench();
    const js = `
      let count = 0;
      require("node:http").createServer((q, r) => {
        for (let i = 0; i < 100; i++) console.log("line " + count++ + " " + "x".repeat(1_000));
        r.end();
      }).listen(process.env.PORT);
    `;
    const spec = await live({ js });
    const line = `2026-11-23T17:00:00.000Z web.1 ${"x".repeat(970)}\n`;
    await writeFile(join(logFolder(bench.dataDir, spec.appId), "app.log"), line.repeat(5_000));
    const stop = new AbortController();
    const seen: number[] = [];
    const following = (async () => {
      const options = { lines: 0, follow: true, process: "web" };
      for await (const { text: line } of bench.runtime.processes.logs(spec.appId, options, stop.signal)) {
        if (line.startsWith("line ")) seen.push(Number(line.split(" ")[1]));
      }
    })();
    for (let round = 0; round < 8; round++) {
      await bench.ask("shop", "/");
      await eventually(() => seen.length === (round + 1) * 100);
    }
    stop.abort();
    await following;
    expect(seen).toEqual(Array.from({ length: 800 }, (_, index) => index));
    expect((await stat(join(logFolder(bench.dataDir, spec.appId), "app.log.1"))).size).toBeGreaterThan(5_000_000);
  });

  test("a full disk costs lines of the log, not the process", async () => {
    bench = await openLocalBench();
    const spec = await release({
      js: `console.log("lost"); require("node:http").createServer((q, r) => { console.log("lost too"); r.end("alive"); }).listen(process.env.PORT);`,
    });
    const folder = logFolder(bench.dataDir, spec.appId);
    await mkdir(folder, { recursive: true });
    await symlink("/dev/full", join(folder, "app.log"));
    expect(await bench.runtime.rollout.apply(spec, 1, aCall())).toEqual({ ok: true });
    for (let round = 0; round < 3; round++) expect((await bench.ask("shop", "/")).body).toBe("alive");
    expect((await bench.runtime.processes.list(spec.appId))[0]).toMatchObject({ state: "up", restarts: 0 });
  });

  test("a keeper whose folder was removed goes, and takes its process along", async () => {
    bench = await openLocalBench({ keepsRunning: false });
    const spec = await live();
    await rm(processesFolder(bench.dataDir, spec.appId), { recursive: true });
    await eventually(async () => expect(await programs()).toEqual([]));
  });
});
