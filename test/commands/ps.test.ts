import { afterAll, beforeAll, expect, test } from "vitest";
import { listAudit } from "../../src/db/audit.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher } from "../support/pusher.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";

let platform: TestPlatform;
const runtime = standInRuntime();

beforeAll(async () => {
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime } });
  for (const app of ["shop", "new"]) await platform.ask("apps:create", { app });
  await using pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
  await pusher.commit({ "a.txt": "a" });
  await pusher.push("main");
});
afterAll(() => platform?.[Symbol.asyncDispose]());

const scale = (app: string, ...changes: string[]) => platform.ask("ps:scale", { app, changes });
const text = async (app: string, ...changes: string[]) => (await scale(app, ...changes)).view.text;
const served = () => [...runtime.serving.values()][0]!.formation;

test("ps:scale without a change shows what is to run, and leaves no trace", async () => {
  const rows = async () => (await listAudit(platform.deps.db.db, platform.owner.orgId, 100)).length;
  const before = await rows();
  const shown = await platform.ask("ps:scale", { app: "shop" });
  expect(shown.view.text).toBe("web=1 worker=0");
  expect(shown.data).toEqual({ app: "shop", isLive: true, formation: { web: 1, worker: 0 } });
  expect(shown.follow).toBeUndefined();
  expect(await rows()).toBe(before);
});

test("ps:scale sets, adds and takes away", async () => {
  expect(await text("shop", "web=2", "worker+1")).toBe("shop is asked to run web=2 worker=1");
  await eventually(() => expect(served()).toEqual({ web: 2, worker: 1 }));
  expect(await text("shop", "web-1")).toBe("shop is asked to run web=1 worker=1");
  await eventually(() => expect(served()).toEqual({ web: 1, worker: 1 }));
});

test("ps:scale before the first push is kept for it", async () => {
  expect(await text("new")).toBe("Nothing of new was deployed yet.");
  expect(await text("new", "web+1")).toBe("new is asked to run web=2; it takes effect with the first push");
});

test("ps:scale refuses types that are not there, sizes, and fewer than none", async () => {
  await expect(scale("shop", "wrker=1")).rejects.toMatchObject({
    message: 'shop has no process type "wrker"',
    hint: "its process types: web, worker; did you mean worker?",
  });
  await expect(scale("shop", "web=1:standard-2x")).rejects.toThrow("processes have no sizes here");
  await expect(scale("shop", "web-9")).rejects.toMatchObject({
    message: "web is at 1, so there are none to take away beyond that",
    hint: "zyndra ps:scale shop shows what there is",
  });
});
