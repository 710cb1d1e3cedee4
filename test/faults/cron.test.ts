import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stopEverything } from "../../src/platform.ts";
import { webApp } from "../support/apps.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { askOver, claimSpawned, type SpawnedPlatform, spawnPlatform } from "../support/spawned-platform.ts";

let database: TestDatabase;
let folder: string;
let env: Record<string, string>;
let platform: SpawnedPlatform;
let token: string;
let pusher: Pusher;

/** A live app with a cron entry that writes its process id into a file and goes on. */
beforeEach(async () => {
  database = await testDatabase();
  folder = await mkdtemp(join(tmpdir(), "zyndra-cron-"));
  const port = await freePort();
  env = {
    ZYNDRA_DATA: join(folder, "data"),
    PORT: String(port),
    DATABASE_URL: database.url,
    ZYNDRA_LEASE_SECONDS: "1",
  };
  platform = await spawnPlatform(env);
  token = await claimSpawned(platform);
  await ask("apps:create", { app: "shop" });
  pusher = await newPusher(`http://ana:${token}@127.0.0.1:${port}/shop.git`);
  await pusher.commit({
    ...webApp("hats"),
    "zyndra.yml": `
      version: 1
      cron:
        - name: long
          schedule: "0 0 1 1 *"
          command: echo $$ >> ${join(folder, "pids")}; sleep 600
          retries: 3`,
  });
  expect((await pusher.push("main")).exitCode).toBe(0);
});

afterEach(async () => {
  await platform?.kill9();
  await stopEverything(env.ZYNDRA_DATA!);
  await pusher?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
  await database[Symbol.asyncDispose]();
});

const ask = (name: string, input: object) => askOver(platform.url, token, name, input);
const pids = async () => (await readFile(join(folder, "pids"), "utf8")).trim().split("\n").map(Number);
const runs = async () => (await ask("cron:runs", { app: "shop" })) as { status: string; reason: string }[];
const isGone = (pid: number) => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

test("a cron run whose platform is killed with -9 ends with it, is lost, and is not run again", async () => {
  await ask("cron:run", { app: "shop", name: "long" });
  const [pid] = await eventually(pids);
  await platform.kill9();
  await eventually(() => isGone(pid!));
  platform = await spawnPlatform(env);
  await eventually(async () => {
    expect(await runs()).toMatchObject([
      { status: "lost", reason: "asked for by ana: Zyndra was killed while it ran" },
    ]);
  });
  expect(await pids()).toEqual([pid]);
});

test("a cron run whose platform is told to stop is ended with it, and says so", async () => {
  await ask("cron:run", { app: "shop", name: "long" });
  const [pid] = await eventually(pids);
  expect(await platform.terminate()).toBe(0);
  expect(isGone(pid!)).toBe(true);
  platform = await spawnPlatform(env);
  expect(await runs()).toMatchObject([
    {
      status: "failed",
      reason: expect.stringMatching(/^asked for by ana: ended after .*: Zyndra was stopped \(try 1 of 4\)$/),
    },
  ]);
  expect(await pids()).toEqual([pid]);
});
