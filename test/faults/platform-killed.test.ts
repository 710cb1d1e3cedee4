import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startEmbeddedPostgres, stopEmbeddedPostgres } from "../../src/db/embedded/postgres.ts";
import { openLog } from "../../src/log.ts";
import { stopEverything } from "../../src/platform.ts";
import { gatedApp, webApp } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { getPage } from "../support/get-page.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { askOver, claimSpawned, runMain, type SpawnedPlatform, spawnPlatform } from "../support/spawned-platform.ts";

let dataDir: string;
let gates: string;
let env: Record<string, string>;
let port: number;
let platform: SpawnedPlatform;
let token: string;
let pusher: Pusher;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "zyndra-killed-"));
  gates = await mkdtemp(join(tmpdir(), "zyndra-gates-"));
  port = await freePort();
  env = { ZYNDRA_DATA: dataDir, PORT: String(port), ZYNDRA_LEASE_SECONDS: "2", ZYNDRA_DRAIN_SECONDS: "3" };
  platform = await spawnPlatform(env);
  token = await claimSpawned(platform);
  pusher = await newPusher(`http://ana:${token}@127.0.0.1:${port}/shop.git`);
  await ask("apps:create", { app: "shop" });
  await ask("config:set", { app: "shop", vars: [`GATES=${gates}`] });
});

afterEach(async () => {
  await platform.kill9();
  await stopEverything(dataDir);
  await pusher[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
  await rm(gates, { recursive: true, force: true });
});

const ask = (name: string, input: object) => askOver(platform.url, token, name, input);
const page = async () => (await getPage(`http://shop.localhost:${port}/`)).body;
const openGate = (name: string) => writeFile(join(gates, name), "");
const reached = (name: string) => eventually(() => readFile(join(gates, `${name}.reached`), "utf8"));
const deploys = async () => (await ask("deploys:list", { app: "shop" })) as { number: number; status: string }[];
const restart = async () => {
  await platform.kill9();
  platform = await spawnPlatform(env);
};

test("apps run on while the platform is dead, and are found again, exactly once", async () => {
  await pusher.commit({
    ...webApp("alive"),
    "server.js": `
      const { createServer } = require("node:http");
      createServer((_, res) => res.end(String(process.pid))).listen(process.env.PORT);`,
  });
  expect((await pusher.push("main")).exitCode).toBe(0);
  const pid = await page();
  await restart();
  expect(await page()).toBe(pid);
  const { processes } = (await ask("ps:list", { app: "shop" })) as { processes: { name: string; state: string }[] };
  expect(processes).toMatchObject([{ name: "web.1", state: "up" }]);
});

test.each(["build", "release", "start"] as const)(
  "killed with -9 in the %s step, the deploy is taken up again and goes live",
  async (step) => {
    await pusher.commit(webApp("before"));
    expect((await pusher.push("main")).exitCode).toBe(0);
    const commit = await pusher.commit(gatedApp("after", { [step]: "held" }));
    const push = pusher.startPush("main");
    await reached("held");
    await restart();
    expect((await push.ended).exitCode).not.toBe(0);
    expect(await page()).toBe("before");

    await openGate("held");
    await eventually(async () => expect(await page()).toBe("after"), { withinMs: 30_000 });
    await eventually(async () =>
      expect(await deploys()).toMatchObject([
        { number: 2, status: "live" },
        { number: 1, status: "live" },
      ]),
    );
    await eventually(async () => expect((await pusher.git("ls-remote", "zyndra", "main")).output).toContain(commit));
    const again = await pusher.push("main");
    expect(again.output).toContain("Everything up-to-date");
  },
);

test("killed with -9 right after a push was accepted, the push is not lost", async () => {
  await pusher.commit(webApp("detached"));
  expect((await pusher.push("-o", "detach", "main")).exitCode).toBe(0);
  await restart();
  await eventually(async () => expect(await page()).toBe("detached"), { withinMs: 30_000 });
});

test("told to stop, it tells who waits what goes on, and the next start finishes it", async () => {
  await pusher.commit(gatedApp("handed over", { start: "held" }));
  const push = pusher.startPush("main");
  await reached("held");
  const stopped = platform.terminate();
  const told = await push.ended;
  expect(told.exitCode).toBe(1);
  expect(told.output).toMatch(
    /\[remote rejected\] main -> main \(zyndra restarts; deploy #1 goes on; zyndra deploys:logs shop 1\)/,
  );
  expect(await stopped).toBe(0);
  await openGate("held");
  platform = await spawnPlatform(env);
  await eventually(async () => expect(await page()).toBe("handed over"), { withinMs: 30_000 });
});

test("a database of ours that is killed is started again by itself, and a deploy goes on", async () => {
  await pusher.commit(gatedApp("survived", { start: "held" }));
  const push = pusher.startPush("main");
  await reached("held");
  await stopEmbeddedPostgres(dataDir);
  await openGate("held");
  const pushed = await push.ended;
  expect(pushed.output).toMatch(/success: shop v1 is live/);
  expect(pushed.exitCode).toBe(0);
});

test("a database that is away for ten seconds delays a deploy, and nothing of it is lost", async () => {
  // A server that the platform does not look after, as one on another machine.
  const elsewhere = await mkdtemp(join(tmpdir(), "zyndra-postgres-"));
  const log = openLog("silent");
  try {
    const server = await startEmbeddedPostgres({ dataDir: elsewhere, log });
    await platform.kill9();
    await rm(join(dataDir, "keys"), { recursive: true });
    env.DATABASE_URL = server.url;
    platform = await spawnPlatform(env);
    token = await claimSpawned(platform);
    await pusher.git("remote", "set-url", "zyndra", `http://ana:${token}@127.0.0.1:${port}/shop.git`);
    await ask("apps:create", { app: "shop" });
    await ask("config:set", { app: "shop", vars: [`GATES=${gates}`] });

    await pusher.commit(gatedApp("survived", { start: "held" }));
    const push = pusher.startPush("main");
    await reached("held");
    await stopEmbeddedPostgres(elsewhere);
    await openGate("held");
    // The outage itself, longer than the lease: what is shown is what comes after it.
    await delay(10_000);
    await startEmbeddedPostgres({ dataDir: elsewhere, log });
    const pushed = await push.ended;
    expect(pushed.output).toMatch(/success: shop v1 is live/);
    expect(pushed.exitCode).toBe(0);
    expect(await page()).toBe("survived");
  } finally {
    await stopEmbeddedPostgres(elsewhere);
    await rm(elsewhere, { recursive: true, force: true });
  }
});

test("an owner who lost the token gets another one on the machine itself, whether the platform runs or not", async () => {
  for (const isRunning of [true, false]) {
    if (!isRunning) await platform.kill9();
    const { code, output } = await runMain(env, ["recover"]);
    expect(code, output).toBe(0);
    if (!isRunning) platform = await spawnPlatform(env);
    const recovered = /zyndra login \S+ --token (\S+)/.exec(output)![1]!;
    expect(await askOver(platform.url, recovered, "apps:list", {})).toMatchObject([{ name: "shop" }]);
  }
});

test("what is not there cannot be stopped or recovered, and a missing key is not replaced", async () => {
  const nowhere = { ...env, ZYNDRA_DATA: join(dataDir, "nowhere") };
  for (const words of [["stop", "--all"], ["recover"]]) {
    const { code, output } = await runMain(nowhere, words);
    expect(output).toMatch(/^error: there is no Zyndra in .*nowhere\nhint: .*ZYNDRA_DATA=/);
    expect(code).toBe(1);
  }
  await platform.kill9();
  await rename(join(dataDir, "keys"), join(dataDir, "keys.away"));
  const { code, output } = await runMain(env, []);
  expect(output).toMatch(/error: .*keys is missing: it holds the key/);
  expect(code).toBe(1);
  await rename(join(dataDir, "keys.away"), join(dataDir, "keys"));
  platform = await spawnPlatform(env);
});

test("a second platform on the same data folder, or on a taken port, is refused in a sentence", async () => {
  const other = String(await freePort());
  const same = await runMain({ ...env, PORT: other }, []);
  expect(same.output).toMatch(/^error: another Zyndra \(pid \d+, \S+\) runs on .*\nhint: /);
  const elsewhere = await runMain({ ...env, ZYNDRA_DATA: join(dataDir, "another") }, []);
  expect(elsewhere.output).toMatch(
    /^error: port \d+ of 127\.0\.0\.1 is taken by another program\nhint: choose another: PORT=/,
  );
  expect([same.code, elsewhere.code]).toEqual([1, 1]);
});
