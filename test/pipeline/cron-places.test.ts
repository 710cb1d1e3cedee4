import { once } from "node:events";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getApp } from "../../src/db/apps.ts";
import { ring } from "../../src/db/events.ts";
import { cronTopic } from "../../src/model/event.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { type StandInRuntime, standInBuilder, standInRuntime } from "../support/stand-ins.ts";

/** One cron worker with four places, two of them for one app, and two apps: the commands of `greedy` go on and on. */
let platform: TestPlatform;
let runtime: StandInRuntime;
const pushers: Pusher[] = [];
const appIds = new Map<string, string>();
let end: () => void;
let now = new Date("2024-03-04T03:00:30Z");
/** How often the worker has looked. */
let looked = 0;
/** Done once, when the worker has renewed what is its own and ended what is lost. */
let meanwhile: (() => Promise<unknown>) | undefined;

beforeAll(async () => {
  runtime = standInRuntime();
  const ended = new Promise<void>((resolve) => (end = resolve));
  runtime.whenRun(async (command, signal) => {
    if (command === "greedy") await Promise.race([ended, once(signal, "abort")]);
    signal.throwIfAborted();
    return 0;
  });
  const cron = {
    now: async () => {
      looked++;
      const act = meanwhile;
      meanwhile = undefined;
      await act?.();
      return now;
    },
  };
  // Whatever is renewed while the tests run is renewed by a look, and not by the clock.
  const limits = { leaseMs: 60_000, cronAtOnce: 4 };
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime, limits, cron } });
  for (const name of ["greedy", "modest"]) {
    await platform.ask("apps:create", { app: name });
    const pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/${name}.git`);
    pushers.push(pusher);
    await pusher.commit({
      "zyndra.yml": `version: 1\ncron: [{ name: job, schedule: "0 0 1 1 *", command: ${name}, concurrency: allow }]\n`,
    });
    const pushed = await pusher.push("main");
    expect(pushed.exitCode, pushed.output).toBe(0);
    appIds.set(name, (await getApp(platform.deps.db.db, platform.owner.orgId, name)).id);
  }
});

afterAll(async () => {
  end?.();
  for (const pusher of pushers) await pusher[Symbol.asyncDispose]();
  await platform?.[Symbol.asyncDispose]();
});

const execute = async (query: Parameters<typeof platform.deps.db.db.execute>[0]) =>
  (await platform.deps.db.db.execute(query)).rows;
const ringCron = () => ring(platform.deps.db.db, cronTopic);
/** The worker has begun a round after this moment, and ended it. */
async function hasLooked(): Promise<void> {
  const before = looked;
  await eventually(async () => {
    await ringCron();
    return looked >= before + 2;
  });
}
/** Due moments that wait for a worker, one second after the other. */
const insertWaiting = (name: string, count: number, from: string) =>
  execute(sql`
    insert into cron_runs (app_id, org_id, project_id, name, due_at, version)
    select id, org_id, project_id, 'job', ${from}::timestamptz + n * interval '1 s', 1
    from apps, generate_series(1, ${count}::int) n where id = ${appIds.get(name)}`);
const countOf = async (name: string, status: string) => {
  const [row] = await execute(sql`
    select count(*)::int as count from cron_runs where app_id = ${appIds.get(name)} and status = ${status}`);
  return row!.count;
};

test("an app with more waiting runs than one look takes up keeps no other app from its own", async () => {
  await insertWaiting("greedy", 150, "2024-03-04T02:57:00Z");
  await ringCron();
  await eventually(() => expect(runtime.ran).toHaveLength(2));
  await insertWaiting("modest", 1, "2024-03-04T03:00:00Z");
  await ringCron();
  await eventually(async () => expect(await countOf("modest", "done")).toBe(1));
  expect(runtime.ran.map(({ command }) => command)).toEqual(["greedy", "greedy", "modest"]);
});

test("runs that go on here are not taken for lost after a time without the database", async () => {
  meanwhile = () =>
    execute(sql`update cron_runs set lease_until = now() - interval '1 s' where lease_until is not null`);
  await hasLooked();
  expect(meanwhile).toBeUndefined();
  expect(await countOf("greedy", "lost")).toBe(0);
  const [row] = await execute(sql`select count(*)::int as count from cron_runs where lease_until > now()`);
  expect(row).toEqual({ count: 2 });
});

test("a run that could not begin within five minutes is left out, also while its app has no place left", async () => {
  now = new Date("2024-03-04T03:06:00Z");
  await eventually(async () => {
    await ringCron();
    expect(await countOf("greedy", "skipped")).toBeGreaterThan(0);
  });
  const { data } = await platform.ask("cron:runs", { app: "greedy", num: 500 });
  const runs = data as { status: string; reason: string | null }[];
  // Of an entry, the newest hundred are remembered, and what goes on.
  expect(runs.filter(({ status }) => status === "running")).toHaveLength(2);
  expect(new Set(runs.filter(({ status }) => status !== "running").map(({ reason }) => reason))).toEqual(
    new Set(["it could not begin within 5 min of its time"]),
  );
  expect(runs.length).toBeLessThanOrEqual(102);
  expect(runtime.notes.filter(({ appId }) => appId === appIds.get("greedy"))).toHaveLength(148);
});

test("what waits or goes on is found without reading all that is remembered", async () => {
  const plan = await platform.deps.db.transaction(async (tx) => {
    // Of so few rows all would be read otherwise.
    await tx.execute(sql`set local enable_seqscan = off`);
    return tx.execute(sql`explain select * from cron_runs where status = ${"running"} and lease_until < now()`);
  });
  expect(JSON.stringify(plan.rows)).toContain("cron_runs_running");
});
