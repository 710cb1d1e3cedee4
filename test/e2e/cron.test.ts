import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { webApp } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { readLog } from "../support/read-log.ts";

let platform: TestPlatform;
let pusher: Pusher;
let clock = new Date("2024-03-04T02:59:30Z");

beforeAll(async () => {
  platform = await testPlatform({ overrides: { cron: { now: async () => clock } } });
  await platform.ask("apps:create", { app: "shop" });
  await platform.ask("config:set", { app: "shop", vars: ["API_KEY=correct-horse-battery"] });
  pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
});

afterAll(async () => {
  await pusher?.[Symbol.asyncDispose]();
  await platform?.[Symbol.asyncDispose]();
});

type Run = { name: string; status: string; exitCode: number | null; reason: string | null };
const runs = async () => (await platform.ask("cron:runs", { app: "shop" })).data as Run[];

test("a cron entry runs in the app's image and environment when it is due, and writes into the app's log, masked", async () => {
  await pusher.commit({
    ...webApp("hats"),
    "report.js": `
      const { ZYNDRA_PROCESS, ZYNDRA_RELEASE_VERSION, API_KEY } = process.env;
      console.log("I am", ZYNDRA_PROCESS, "of", ZYNDRA_RELEASE_VERSION, "with", API_KEY);
      console.error("no hats left");
      process.exitCode = Number(process.argv[2]);`,
    "zyndra.yml": `
      version: 1
      cron:
        - { name: good, schedule: "0 3 * * *", command: node report.js 0 }
        - { name: bad, schedule: "0 3 * * *", command: node report.js 3 }
        - { name: slow, schedule: "0 3 * * *", command: "echo begun; sleep 600", timeout: 1.5s }`,
  });
  expect((await pusher.push("main")).exitCode).toBe(0);
  // It went live by the real clock, far ahead of the one of this test.
  await platform.deps.db.db.execute(sql`update releases set live_at = ${clock.toISOString()}`);
  // The app need not run for it.
  await platform.ask("ps:scale", { app: "shop", changes: ["web=0"] });
  clock = new Date("2024-03-04T03:00:00.010Z");
  // Asked for by hand, it is looked at what has become due, too.
  await platform.ask("cron:run", { app: "shop", name: "good" });
  await eventually(async () => {
    const ended = (await runs()).filter(({ status }) => status !== "running");
    expect(new Set(ended.map(({ name }) => name))).toEqual(new Set(["good", "bad", "slow"]));
  });
  expect((await runs()).find(({ name }) => name === "bad")).toMatchObject({ status: "failed", exitCode: 3 });
  expect((await runs()).find(({ name }) => name === "slow")).toMatchObject({ status: "failed", exitCode: null });

  const log = await readLog(platform, "shop", "cron.bad");
  expect(log).toHaveLength(3);
  expect(log).toContainEqual(expect.stringMatching(/^I am cron\.bad of v1 with \S*API_KEY/));
  expect(log).toContain("no hats left");
  expect(log[2]).toMatch(/^zyndra: exit 3 after \d+(\.\d)? s$/);
  expect(await readLog(platform, "shop", "cron.slow")).toEqual([
    "begun",
    expect.stringMatching(/^zyndra: ended after \d+(\.\d)? s: it may take 1\.5 s$/),
  ]);
});
