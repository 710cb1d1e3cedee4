import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { getApp } from "../../src/db/apps.ts";
import type { ReleaseSpec } from "../../src/runtime/runtime.ts";
import { eventually } from "../support/eventually.ts";
import { type AppBench, openAppBench, type TestApp } from "./app-bench.ts";

/** What is changed about an app without a release: maintenance, restarts, its name. */
let bench: AppBench;
let shop: TestApp;

beforeAll(async () => {
  bench = await openAppBench();
});
afterAll(() => bench?.[Symbol.asyncDispose]());
beforeEach(async () => {
  shop = await bench.newApp();
});
afterEach(() => {
  bench.builder.reset();
  bench.runtime.reset();
});

const served = (app: TestApp): ReleaseSpec => bench.runtime.serving.get(app.id)!;
const stateOf = async (app: TestApp) => ((await app.ask("apps:info")).data as { state: string }).state;
const statuses = async (app: TestApp) =>
  ((await app.ask("deploys")).data as { status: string }[]).map(({ status }) => status);

describe("maintenance", () => {
  test("goes on and off, and is seen in the lists", async () => {
    expect((await shop.ask("maintenance")).view.text).toBe(`${shop.name} is not in maintenance`);
    await shop.change("maintenance:on");
    expect(served(shop).isInMaintenance).toBe(true);
    expect((await shop.ask("maintenance")).view.text).toMatch(/has been in maintenance for \d\.\d s \(ana\)$/);
    expect(await stateOf(shop)).toBe("maintenance");
    const { view } = await bench.platform.ask("apps", {});
    expect(view.table!.rows.find(([name]) => name === shop.name)![1]).toBe("maintenance");
    expect((await shop.ask("apps:info")).view.fields).toContainEqual({
      name: "Maintenance",
      value: expect.stringMatching(/^since \d\d:\d\d \(\d\.\d s ago\), by ana$/),
    });
    await shop.change("maintenance:off");
    expect(served(shop).isInMaintenance).toBe(false);
  });

  test("that is on already, or off, changes nothing and says since when", async () => {
    expect((await shop.ask("maintenance:off")).view.text).toBe(`${shop.name} is not in maintenance`);
    await shop.change("maintenance:on");
    const { view, follow } = await shop.ask("maintenance:on", {}, bench.ben);
    expect(view.text).toMatch(/^\S+ has been in maintenance for \d\.\d s already \(ana\)$/);
    expect(follow).toBeUndefined();
  });

  test("of an app that was never pushed begins with its first push", async () => {
    const app = await bench.newApp({ live: false });
    const { view, follow } = await app.ask("maintenance:on");
    expect([view.text, follow]).toEqual([`${app.name} is in maintenance from its first push on`, undefined]);
    expect((await app.pusher.push("main")).exitCode).toBe(0);
    expect(served(app).isInMaintenance).toBe(true);
  });
});

describe("ps:restart", () => {
  test("asks for all, for a type or for one process; a wider wish takes in the narrower ones", async () => {
    await shop.change("ps:scale", { changes: ["web=2", "worker=1"] });
    const one = await shop.change("ps:restart", { processes: ["web.2"] });
    expect(served(shop).restarts).toEqual({ "web.2": one.revision });
    const more = await shop.change("ps:restart", { processes: ["worker", "web.1"] });
    expect(served(shop).restarts).toEqual({ "web.2": one.revision, "web.1": more.revision, worker: more.revision });
    const web = await shop.change("ps:restart", { processes: ["web"] });
    expect(served(shop).restarts).toEqual({ web: web.revision, worker: more.revision });
    const all = await shop.change("ps:restart");
    expect(served(shop).restarts).toEqual({ "*": all.revision });
    const { view, follow } = await shop.ask("restart", { processes: ["worker"] });
    expect(view.text).toBe(`worker of ${shop.name} is being restarted: new processes take over when they are healthy`);
    expect(follow).toMatchObject({ done: `worker of ${shop.name} is restarted` });
  });

  test("of what does not run says what does", async () => {
    await expect(shop.ask("ps:restart", { processes: ["wbe"] })).rejects.toMatchObject({
      code: "bad_input",
      message: `${shop.name} has no process or process type "wbe"`,
      hint: "what runs: web.1; did you mean web?",
    });
    await expect(shop.ask("ps:restart", { processes: ["web.2"] })).rejects.toMatchObject({ code: "bad_input" });
    await expect(shop.ask("ps:restart", { processes: ["worker"] })).rejects.toMatchObject({
      code: "conflict",
      message: `no worker of ${shop.name} runs`,
      hint: `zyndra ps:scale ${shop.name} worker=1 starts one`,
    });
    await shop.change("ps:scale", { changes: ["web=0"] });
    await expect(shop.ask("ps:restart")).rejects.toMatchObject({
      hint: `zyndra ps:scale ${shop.name} web=1 starts it`,
    });
    const app = await bench.newApp({ live: false });
    await expect(app.ask("ps:restart")).rejects.toMatchObject({ message: `nothing of ${app.name} runs yet` });
  });

  test("during a roll-out is refused with that reason; before it, it is taken", async () => {
    const openBuild = bench.builder.hold();
    await shop.pusher.commit({ "a.txt": "tea" });
    const pushed = shop.pusher.push("main");
    await eventually(async () => expect((await statuses(shop))[0]).toBe("building"));
    await shop.ask("ps:restart");
    const openRollout = bench.runtime.hold();
    openBuild();
    await eventually(async () => expect((await statuses(shop))[0]).toBe("rolling_out"));
    await expect(shop.ask("ps:restart")).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringMatching(
        /^deploy #2 of \S+ \(ana, \d\.\d s\) is rolling out, which starts all its processes anew$/,
      ),
    });
    openRollout();
    expect((await pushed).exitCode).toBe(0);
  });

  test("that fails is told with its cause, and is not tried again with the next change", async () => {
    bench.runtime.answer((spec) =>
      Object.keys(spec.restarts ?? {}).length > 0
        ? { ok: false, cause: { headline: "web crashes at start" } }
        : { ok: true },
    );
    expect(await shop.change("ps:restart")).toMatchObject({ cause: { headline: "web crashes at start" } });
    expect((await shop.ask("ps:restart")).follow).toMatchObject({ failed: "the processes of before go on" });
    await eventually(async () =>
      expect((await getApp(bench.platform.deps.db.db, bench.platform.owner.orgId, shop.name)).restarts).toEqual({}),
    );
    const scaled = await shop.change("ps:scale", { changes: ["worker=1"] });
    expect(scaled.cause).toBeUndefined();
    expect(served(shop).formation).toEqual({ web: 1, worker: 1 });
  });
});

describe("while a deploy builds", () => {
  test("changes do not wait for it, and its roll-out keeps them", async () => {
    const open = bench.builder.hold();
    await shop.pusher.commit({ "a.txt": "tea" });
    const pushed = shop.pusher.push("main");
    await eventually(async () => expect((await statuses(shop))[0]).toBe("building"));
    await shop.change("maintenance:on");
    await shop.change("ps:scale", { changes: ["web=2"] });
    await shop.change("ps:restart");
    const { version, isInMaintenance, formation } = served(shop);
    expect({ version, isInMaintenance, formation }).toEqual({
      version: 1,
      isInMaintenance: true,
      formation: { web: 2, worker: 0 },
    });
    expect(await statuses(shop)).toEqual(["building", "live"]);
    open();
    expect((await pushed).exitCode).toBe(0);
    expect(served(shop)).toMatchObject({ version: 2, isInMaintenance: true, formation: { web: 2, worker: 0 } });
  });

  test("a change that does not come up is told, and the deploy goes on", async () => {
    const open = bench.builder.hold();
    await shop.pusher.commit({ "a.txt": "tea" });
    const pushed = shop.pusher.push("main");
    await eventually(async () => expect((await statuses(shop))[0]).toBe("building"));
    bench.runtime.answer(({ version }) =>
      version === 1 ? { ok: false, cause: { headline: "web crashes at start" } } : { ok: true },
    );
    expect(await shop.change("ps:restart")).toMatchObject({ cause: { headline: "web crashes at start" } });
    open();
    expect((await pushed).exitCode).toBe(0);
  });
});

describe("ps:stop and ps:start", () => {
  test("scale what is named, or all, to nothing and back, and say how it was", async () => {
    await shop.change("ps:scale", { changes: ["web=3", "worker=2"] });
    const { view } = await shop.ask("ps:stop", { types: ["worker"] });
    expect(view).toEqual({
      text: `${shop.name} is asked to run worker=0`,
      hint: `zyndra ps:scale ${shop.name} worker=2 brings back what ran`,
    });
    await shop.change("ps:stop");
    expect(served(shop).formation).toEqual({ web: 0, worker: 0 });
    expect((await shop.ask("ps:stop")).view.text).toBe(`${shop.name} is stopped already`);
    const { view: started, follow } = await shop.ask("ps:start");
    expect(started.text).toBe(`${shop.name} is asked to run web=1`);
    expect(follow).toMatchObject({ done: `${shop.name} runs web=1 worker=0` });
    await shop.change("ps:start", { types: ["worker"] });
    expect(served(shop).formation).toEqual({ web: 1, worker: 1 });
    expect((await shop.ask("ps:start")).view.text).toBe(`${shop.name} runs already: web=1 worker=1`);
  });

  test("of what is no process type are answered with what to type", async () => {
    await expect(shop.ask("ps:stop", { types: ["web.1"] })).rejects.toMatchObject({
      code: "bad_input",
      message: "web.1 is one process: how many of them run is said for each process type",
      hint: `zyndra ps:restart ${shop.name} web.1 starts it anew; zyndra ps:scale ${shop.name} web=0 runs fewer`,
    });
    await expect(shop.ask("ps:start", { types: ["wrker"] })).rejects.toMatchObject({
      message: `${shop.name} has no process type "wrker"`,
      hint: "its process types: web, worker; did you mean worker?",
    });
    const app = await bench.newApp({ live: false });
    await expect(app.ask("ps:stop")).rejects.toMatchObject({ message: `nothing of ${app.name} runs yet` });
  });
});

describe("apps:rename", () => {
  test("gives the app another address; the old name is free, and every word of before knows the new one", async () => {
    const answer = await shop.ask("apps:rename", { newName: `${shop.name}-anew` });
    expect(answer).toMatchObject({
      view: {
        text: `${shop.name} is called ${shop.name}-anew now`,
        hint: `in other folders that push to it: zyndra git:remote ${shop.name}-anew`,
      },
      renamed: { from: shop.name, to: `${shop.name}-anew` },
      follow: { appName: `${shop.name}-anew`, done: `${shop.name}-anew is at http://${shop.name}-anew.test` },
    });
    await eventually(() => expect(served(shop).appName).toBe(`${shop.name}-anew`));
    await expect(shop.ask("apps:info")).rejects.toMatchObject({ code: "not_found" });
    const { data } = await bench.platform.ask("releases", { app: `${shop.name}-anew` });
    expect(data).toHaveLength(1);
    await bench.platform.ask("apps:create", { app: shop.name });
  });

  test("to a name that is taken, by whomever, that is no name, or that it has already is refused", async () => {
    const { ask } = bench.platform;
    await ask("apps:create", { app: "rename-theirs" }, bench.stranger);
    await expect(shop.ask("apps:rename", { newName: "rename-theirs" })).rejects.toMatchObject({
      code: "conflict",
      message: "the name rename-theirs is taken",
    });
    await expect(shop.ask("apps:rename", { newName: "Hats!" })).rejects.toThrow('"Hats!" is not a good name');
    await expect(shop.ask("apps:rename", { newName: "www" })).rejects.toThrow("keeps for itself");
    await expect(shop.ask("apps:rename", { newName: shop.name })).rejects.toThrow("is what it is called already");
    await shop.change("maintenance:on");
  });

  test("of an app that was never pushed needs nothing to be applied", async () => {
    const app = await bench.newApp({ live: false });
    const { view, follow } = await app.ask("rename", { newName: `${app.name}-anew` });
    expect(view.text).toBe(`${app.name} is called ${app.name}-anew now; it will be at http://${app.name}-anew.test`);
    expect(follow).toBeUndefined();
  });

  test("while a deploy runs, the deploy finishes, and tells the new address", async () => {
    const open = bench.builder.hold();
    await shop.pusher.commit({ "a.txt": "tea" });
    const pushed = shop.pusher.push("main");
    await eventually(async () => expect((await statuses(shop))[0]).toBe("building"));
    await shop.ask("apps:rename", { newName: `${shop.name}-anew` });
    open();
    const { exitCode, output } = await pushed;
    expect(output).toContain(`success: ${shop.name}-anew v2 is live at http://${shop.name}-anew.test`);
    expect(exitCode).toBe(0);
    expect(served(shop)).toMatchObject({ appName: `${shop.name}-anew`, version: 2 });
  });

  test("while a deploy rolls out, the new name follows at once", async () => {
    const open = bench.runtime.hold();
    await shop.pusher.commit({ "a.txt": "tea" });
    const pushed = shop.pusher.push("main");
    await eventually(async () => expect((await statuses(shop))[0]).toBe("rolling_out"));
    await shop.ask("apps:rename", { newName: `${shop.name}-anew` });
    open();
    expect((await pushed).exitCode).toBe(0);
    await eventually(() => expect(served(shop)).toMatchObject({ appName: `${shop.name}-anew`, version: 2 }));
  });
});

test("apps:info shows what there is to know of an app", async () => {
  await shop.change("domains:add", { hosts: ["häte.example"] });
  await shop.ask("lock", { reason: "launch at 3 pm" });
  const { view } = await shop.ask("apps:info");
  expect(view.fields).toEqual([
    { name: "App", value: shop.name },
    { name: "State", value: "stopped" },
    { name: "Locked", value: expect.stringMatching(/^by ana since \d\d:\d\d \(\d\.\d s ago\): "launch at 3 pm"$/) },
    { name: "URL", value: `http://${shop.name}.test` },
    { name: "Domains", value: "häte.example (xn--hte-qla.example)" },
    { name: "Release", value: expect.stringMatching(/^v1, [0-9a-f]{7} Sell hats, live for \d\.\d s$/) },
    { name: "Last deploy", value: expect.stringMatching(/^#1 live, Sell hats, by ana, \d\.\d s ago$/) },
    { name: "Main", value: expect.stringMatching(/^[0-9a-f]{7}$/) },
    { name: "Processes", value: "none" },
    { name: "Git", value: `${bench.platform.url}/${shop.name}.git` },
    { name: "Created", value: expect.stringMatching(/ago$/) },
  ]);
  const { view: list } = await bench.platform.ask("apps", {});
  expect(list.table!.rows.find(([name]) => name === shop.name)![1]).toBe("stopped, locked");
  const fresh = await bench.newApp({ live: false });
  expect((await fresh.ask("apps:info")).view.fields).toContainEqual({ name: "Last deploy", value: "none yet" });
});

test("nothing is changed about an app that is being destroyed", async () => {
  const open = bench.runtime.hold();
  await shop.pusher.commit({ "a.txt": "tea" });
  const pushed = shop.pusher.push("main");
  await eventually(async () => expect((await statuses(shop))[0]).toBe("rolling_out"));
  await bench.platform.deps.db.db.execute(
    sql`update apps set destroy_requested_at = now(), destroy_requested_by = 'ben' where id = ${shop.id}`,
  );
  const changes: [string, object][] = [
    ["maintenance:on", {}],
    ["maintenance:off", {}],
    ["ps:restart", {}],
    ["ps:scale", { changes: ["web=2"] }],
    ["ps:stop", {}],
    ["lock", { reason: "launch" }],
    ["unlock", {}],
    ["domains:add", { hosts: ["late.example"] }],
    ["domains:remove", { hosts: ["late.example"] }],
    ["apps:rename", { newName: "too-late" }],
  ];
  for (const [command, input] of changes) {
    await expect(shop.ask(command, { ...input }), command).rejects.toMatchObject({
      code: "gone",
      message: `${shop.name} is being destroyed, as ben asked`,
    });
  }
  open();
  await pushed;
});
