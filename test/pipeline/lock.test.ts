import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type AppBench, openAppBench, type TestApp } from "../commands/app-bench.ts";
import { eventually } from "../support/eventually.ts";
import { newPusher } from "../support/pusher.ts";

/** Rule 3: while an app is locked no source work starts, but for those who may and say why. */
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

type Row = { number: number; status: string };
const statuses = async () =>
  ((await shop.ask("deploys")).data as Row[]).map(({ number, status }) => `#${number} ${status}`);
const settled = (expected: string[]) => eventually(async () => expect(await statuses()).toEqual(expected));
const lockedBy = (name: string) =>
  expect.stringMatching(
    new RegExp(`^${shop.name} is locked by ${name} since \\d\\d:\\d\\d \\(\\d+\\.\\d s ago\\): "launch at 3 pm"$`),
  );

async function audited() {
  const { rows } = await bench.platform.deps.db.db.execute(
    sql`select command, outcome, actor_name as who, input, reason from audit where subject = ${shop.name} order by id`,
  );
  return rows as { command: string; outcome: string; who: string; input: unknown; reason: string | null }[];
}

/** The app's repository as another person has it. */
async function checkoutOf(token: string) {
  const pusher = await newPusher(`http://x:${token}@127.0.0.1:${bench.platform.port}/${shop.name}.git`);
  await pusher.git("pull", "--quiet", "zyndra", "main");
  return pusher;
}

test("a push of two branches: main is refused with the reason and what those who may can type, the other is stored", async () => {
  await shop.ask("lock", { reason: "launch at 3 pm" });
  await shop.pusher.commit({ "a.txt": "tea" });
  await shop.pusher.git("branch", "feature");
  const { exitCode, output } = await shop.pusher.push("main", "feature");
  expect(exitCode).toBe(1);
  expect(output).toMatch(
    /! \[remote rejected\] main -> main \(\S+ is locked by ana since \d\d:\d\d \(\d+\.\d s ago\): "launch at 3 pm"\)/,
  );
  expect(output).toContain('remote: hint: those who may (ana, admins and owners): git push -o force="why" zyndra main');
  expect(output).toContain("* [new branch]      feature -> feature");
  expect(await statuses()).toEqual(["#1 live"]);
  expect((await audited()).at(-1)).toMatchObject({
    command: "git:push",
    outcome: "refused",
    who: "ana",
    reason: lockedBy("ana"),
  });
  await shop.ask("unlock");
  expect((await shop.pusher.push("main")).exitCode).toBe(0);
});

describe("with a reason", () => {
  test("an admin's push gets past another's lock: said in its first line, kept with the deploy, and audited", async () => {
    await shop.ask("lock", { reason: ["launch", "at", "3", "pm"] }, bench.ben);
    const admin = await bench.platform.member(`adm-${shop.name}`, "admin");
    await using pusher = await checkoutOf(admin.token);
    await pusher.commit({ "a.txt": "hot fix" }, "Mend the cart");
    expect((await pusher.push("main")).exitCode).toBe(1);
    const { exitCode, output } = await pusher.push("-o", "force=the cart is broken", "main");
    expect(output).toMatch(
      /remote: \S+, deploy #2: [0-9a-f]{7} "Mend the cart" by adm-\S+, past the lock of ben: "the cart is broken"\n/,
    );
    expect(exitCode).toBe(0);
    const { rows } = await bench.platform.deps.db.db.execute(
      sql`select number, force_reason from deploys where app_id = ${shop.id} order by number`,
    );
    expect(rows).toEqual([
      { number: 1, force_reason: null },
      { number: 2, force_reason: "the cart is broken" },
    ]);
    expect((await audited()).at(-1)).toMatchObject({
      command: "git:push",
      outcome: "done",
      input: { force: "the cart is broken" },
    });
  });

  test("a developer's does not, unless the lock is their own", async () => {
    const dora = await bench.platform.member(`dora-${shop.name}`, "developer");
    await shop.ask("lock", { reason: "launch at 3 pm" });
    await using pusher = await checkoutOf(dora.token);
    await pusher.commit({ "a.txt": "mine" });
    const refused = await pusher.push("-o", "force=please", "main");
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toContain("remote: hint: only ana, admins and owners get past it, with a reason");
    expect((await audited()).at(-1)).toMatchObject({
      outcome: "refused",
      who: dora.actor.name,
      input: { force: "please" },
    });
    await shop.ask("unlock");
    await shop.ask("lock", { reason: "mine" }, dora.actor);
    expect((await pusher.push("main")).exitCode).toBe(1);
    expect((await pusher.push("-o", "force=it is my lock", "main")).exitCode).toBe(0);
  });

  test("deploy and retry get past it as well, and without one are told how", async () => {
    bench.builder.answer(() => ({ ok: false, cause: { headline: "build failed" } }));
    await shop.pusher.commit({ "a.txt": "tea" });
    await shop.pusher.push("main");
    bench.builder.reset();
    await shop.ask("lock", { reason: "launch at 3 pm" });
    await expect(shop.ask("deploy", { ref: "main" })).rejects.toMatchObject({
      code: "locked",
      status: 423,
      message: lockedBy("ana"),
      hint: `those who may (ana, admins and owners): zyndra deploy ${shop.name} --force "why"`,
    });
    await expect(shop.ask("retry")).rejects.toMatchObject({
      code: "locked",
      hint: `those who may (ana, admins and owners): zyndra retry ${shop.name} 2 --force "why"`,
    });
    await expect(shop.ask("retry", { force: "why not" }, bench.ben)).rejects.toMatchObject({ code: "forbidden" });
    await expect(shop.ask("retry", { force: " " })).rejects.toThrow("--force needs a reason");
    await shop.ask("retry", { force: "it was the network" });
    await settled(["#3 live", "#2 failed", "#1 live"]);
    await shop.ask("deploy", { force: "again" });
    await settled(["#4 live", "#3 live", "#2 failed", "#1 live"]);
  });

  test("one that is given where nothing is locked changes nothing", async () => {
    await shop.pusher.commit({ "a.txt": "tea" });
    const { output } = await shop.pusher.push("-o", "force=just in case", "main");
    expect(output).toMatch(/deploy #2: [0-9a-f]{7} "A change" by ana\n/);
  });
});

test("what was queued goes on; rollback, config, scale and restart pass", async () => {
  const open = bench.builder.hold();
  await shop.pusher.commit({ "a.txt": "tea" });
  const pushed = shop.pusher.push("main");
  await settled(["#2 building", "#1 live"]);
  await shop.ask("lock", { reason: "launch at 3 pm" });
  // Pushed again it starts nothing: it follows what runs.
  const again = shop.pusher.startPush("main");
  await again.printed(/brings this commit already; followed from here/);
  open();
  expect([(await pushed).exitCode, (await again.ended).exitCode]).toEqual([0, 0]);
  await shop.ask("releases:rollback");
  await settled(["#3 live", "#2 live", "#1 live"]);
  await shop.ask("config:set", { vars: ["A=1"] });
  await settled(["#4 live", "#3 live", "#2 live", "#1 live"]);
  await shop.change("ps:scale", { changes: ["web=2"] });
  await shop.change("ps:restart");
});

describe("lock and unlock", () => {
  test("say who, why and how to go on", async () => {
    const { view } = await shop.ask("lock", { reason: "launch at 3 pm" });
    expect(view.text).toContain(`${shop.name} is locked by ana: "launch at 3 pm"`);
    expect((await shop.ask("freeze", { reason: "launch at 4 pm" })).view.text).toContain('"launch at 4 pm"');
    expect((await shop.ask("unlock")).view.text).toBe(`${shop.name} is unlocked; ana had locked it: "launch at 4 pm"`);
    await expect(shop.ask("unlock")).rejects.toMatchObject({ code: "conflict", message: `${shop.name} is not locked` });
    await expect(shop.ask("lock")).rejects.toThrow('why? For example: "launch at 3 pm"');
    await expect(shop.ask("lock", { reason: [" "] })).rejects.toThrow("why?");
  });

  test("another's lock is neither replaced nor, by a developer, opened", async () => {
    await shop.ask("lock", { reason: "launch at 3 pm" }, bench.ben);
    for (const actor of [bench.eve, bench.platform.owner]) {
      await expect(shop.ask("lock", { reason: "mine" }, actor)).rejects.toMatchObject({
        code: "conflict",
        message: lockedBy("ben"),
      });
    }
    await expect(shop.ask("unlock", {}, bench.eve)).rejects.toMatchObject({
      code: "forbidden",
      message: lockedBy("ben"),
      hint: "ben, admins and owners can unlock it",
    });
    await shop.ask("unlock", {}, bench.ben);
    await shop.ask("lock", { reason: "again" }, bench.ben);
    await shop.ask("unlock");
  });
});
