import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getApp } from "../../src/db/apps.ts";
import { appMasker } from "../../src/pipeline/masking.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";

let platform: TestPlatform;
let pusher: Pusher;

beforeAll(async () => {
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime: standInRuntime() } });
  await platform.ask("apps:create", { app: "shop" });
  pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
});

afterAll(async () => {
  await pusher?.[Symbol.asyncDispose]();
  await platform?.[Symbol.asyncDispose]();
});

async function release(value: string): Promise<void> {
  await platform.ask("config:set", { app: "shop", vars: [`PASSWORD=${value}`] });
  await eventually(async () => {
    const { data } = await platform.ask("deploys", { app: "shop" });
    expect((data as { status: string }[]).every(({ status }) => status === "live")).toBe(true);
  });
}

test("what any release had is hidden, and each is opened once, however often an app's lines are shown", async () => {
  const { deps, owner } = platform;
  await platform.ask("config:set", { app: "shop", vars: ["PASSWORD=first-horse"] });
  await pusher.commit({ "a.txt": "a" });
  expect((await pusher.push("main")).exitCode).toBe(0);
  const app = await getApp(deps.db.db, owner.orgId, "shop");
  const mask = async (text: string) => (await appMasker(deps, app)).mask(text);
  await release("second-horse");
  expect(await mask("first-horse second-horse")).toBe("[PASSWORD hidden] [PASSWORD hidden]");
  // Whoever opens it once more, breaks.
  await deps.db.db.execute(sql`update releases set sealed_config = 'spoilt' where app_id = ${app.id} and version = 1`);
  await release("third-horse");
  expect(await mask("first-horse second-horse third-horse")).toBe(
    "[PASSWORD hidden] [PASSWORD hidden] [PASSWORD hidden]",
  );
  await platform.ask("config:unset", { app: "shop", names: ["PASSWORD"] });
  expect(await mask("first-horse third-horse fourth-horse")).toBe("[PASSWORD hidden] [PASSWORD hidden] fourth-horse");
});
