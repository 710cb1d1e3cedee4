import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stopEverything } from "../../src/platform.ts";
import { webApp } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { getPage } from "../support/get-page.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { askOver, claimSpawned, type SpawnedPlatform, spawnPlatform } from "../support/spawned-platform.ts";

/** A platform that is killed while it removes an app: whatever was done by then, the next start does the rest. */
let dataDir: string;
let env: Record<string, string>;
let port: number;
let platform: SpawnedPlatform;
let token: string;
let pusher: Pusher;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "zyndra-destroy-"));
  port = await freePort();
  env = { ZYNDRA_DATA: dataDir, PORT: String(port), ZYNDRA_LEASE_SECONDS: "2", ZYNDRA_DRAIN_SECONDS: "1" };
  platform = await spawnPlatform(env);
  token = await claimSpawned(platform);
  pusher = await newPusher(`http://ana:${token}@127.0.0.1:${port}/shop.git`);
  await ask("apps:create", { app: "shop" });
});

afterEach(async () => {
  await platform.kill9();
  await stopEverything(dataDir);
  await pusher[Symbol.asyncDispose]();
  await rm(dataDir, { recursive: true, force: true });
});

const ask = (name: string, input: object) => askOver(platform.url, token, name, input);
const appNames = async () => ((await ask("apps:list", {})) as { name: string }[]).map(({ name }) => name);
const status = async () => (await getPage(`http://shop.localhost:${port}/`)).status;
const goneWithin = { withinMs: 45_000 };

async function pushed(files: Record<string, string>): Promise<string> {
  await pusher.commit(files);
  expect((await pusher.push("main")).exitCode).toBe(0);
  await ask("domains:add", { app: "shop", hosts: ["www.hats.example"] });
  const [appId] = await readdir(join(dataDir, "apps"));
  return appId!;
}

/** What the data folder still has of an app: files of its name, and processes. Its fence outlives it. */
async function remainsOf(appId: string): Promise<string[]> {
  const names = (await readdir(dataDir, { recursive: true })).filter((name) => !name.startsWith("postgres"));
  const files = names.filter((name) => name.includes(appId) && !name.startsWith("owners"));
  const routes = await readFile(join(dataDir, "routes.json"), "utf8").catch(() => "");
  const environments = await Promise.all(
    (await readdir("/proc"))
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => readFile(`/proc/${pid}/environ`, "latin1").catch(() => "")),
  );
  return [
    ...files,
    ...(routes.includes(appId) ? ["routes.json"] : []),
    ...environments.filter((environment) => environment.includes(appId)).map(() => "a process"),
  ];
}

async function isGoneAndFree(appId: string): Promise<void> {
  await eventually(async () => expect(await appNames()).toEqual([]), goneWithin);
  expect(await remainsOf(appId)).toEqual([]);
  await ask("apps:create", { app: "shop" });
  await ask("domains:add", { app: "shop", hosts: ["www.hats.example"] });
}

test.each([0, 40, 120, 350])("killed with -9 %i ms after it was asked to", async (ms) => {
  const appId = await pushed(webApp("soon gone"));
  await ask("apps:destroy", { app: "shop" });
  await delay(ms);
  await platform.kill9();
  platform = await spawnPlatform(env);
  await isGoneAndFree(appId);
});

test("killed with -9 while a process does not want to end", async () => {
  const files = webApp("stubborn");
  const appId = await pushed({ ...files, "server.js": `process.on("SIGTERM", () => {});\n${files["server.js"]}` });
  await ask("apps:destroy", { app: "shop" });
  await eventually(async () => expect(await status()).toBe(404));
  await platform.kill9();
  expect(await remainsOf(appId)).toContain("a process");
  platform = await spawnPlatform(env);
  await isGoneAndFree(appId);
});
