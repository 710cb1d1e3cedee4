import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { getApp } from "../../src/db/apps.ts";
import { ring } from "../../src/db/events.ts";
import { UserError } from "../../src/errors.ts";
import type { CronEntry } from "../../src/model/app-settings.ts";
import { appTopic, cronTopic } from "../../src/model/event.ts";
import { type Cron, type CronOptions, startCron } from "../../src/pipeline/cron.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { type StandInRuntime, standInBuilder, standInRuntime } from "../support/stand-ins.ts";

/** The cron entries of apps on a real database, with two workers at once and a clock that the tests move. */
let platform: TestPlatform;
let workers: Cron[] = [];
let runtime: StandInRuntime;
let clock: Date;
let appId: string;
let pusher: Pusher;

/** How often each worker has looked. */
const looks: { count: number }[] = [];

/** A worker's clock, which counts how often it is looked at: once in each round. */
function newOptions(): CronOptions {
  const looked = { count: 0 };
  looks.push(looked);
  const now = async () => {
    looked.count++;
    return clock;
  };
  return { now, retryPauseMs: 20 };
}

/** Every worker has begun a round after this moment, and ended it. */
async function allLooked(): Promise<void> {
  const before = looks.map(({ count }) => count);
  await eventually(async () => {
    await ring(platform.deps.db.db, cronTopic);
    return looks.every(({ count }, index) => count >= before[index]! + 2);
  });
}

/** Long past, so that no row comes to stand after one that somebody asked for by hand. */
const evening = "2024-03-04T02:59:30Z";

beforeAll(async () => {
  runtime = standInRuntime();
  clock = new Date(evening);
  // The platform's own worker takes up nothing: those of the tests can be stopped.
  const limits = { leaseMs: 400, sweepMs: 200, cronAtOnce: 0 };
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime, limits, cron: newOptions() } });
  await ask("apps:create");
  appId = (await getApp(platform.deps.db.db, platform.owner.orgId, "shop")).id;
  pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
  await pusher.commit({ "a.txt": "a" });
  expect((await pusher.push("main")).exitCode).toBe(0);
  workers = [startWorker(), startWorker()];
});

afterAll(async () => {
  await stopWorkers();
  await pusher?.[Symbol.asyncDispose]();
  await platform?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  clock = new Date(evening);
  runtime.reset();
  runtime.ran.length = 0;
  runtime.notes.length = 0;
  await haveEntries([]);
  await execute(sql`delete from cron_runs`);
  await execute(sql`delete from events where topic = ${appTopic(appId)}`);
});

const startWorker = () =>
  startCron({ ...platform.deps, limits: { ...platform.deps.limits, cronAtOnce: 4 } }, newOptions());
async function stopWorkers(): Promise<void> {
  // The first is that of the platform itself.
  looks.splice(1);
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
}
const ask = (command: string, input: Record<string, unknown> = {}) => platform.ask(command, { app: "shop", ...input });
const execute = async (query: Parameters<typeof platform.deps.db.db.execute>[0]) =>
  (await platform.deps.db.db.execute(query)).rows;

const report: CronEntry = { name: "report", schedule: "0 3 * * *", command: "node report.js", overlap: "forbid" };

/** As if the live release had been made with these entries. */
async function haveEntries(entries: CronEntry[], liveAt = new Date(clock.getTime() - 1)): Promise<void> {
  await execute(sql`
    update releases set settings = ${JSON.stringify({ cron: entries })}::jsonb, live_at = ${liveAt.toISOString()}
    where id = (select live_release_id from apps where id = ${appId})`);
  await allLooked();
}

const isAt = async (moment: string) => {
  clock = new Date(moment);
  await allLooked();
};

type Run = {
  name: string;
  dueAt: Date;
  status: string;
  exitCode: number | null;
  reason: string | null;
  version: number;
};
const runs = async () => (await ask("cron:runs", { num: 500 })).data as Run[];
const shortRuns = async () =>
  (await runs()).map(({ name, dueAt, status }) => `${name} ${dueAt.toISOString().slice(5, 16)} ${status}`);
const settled = (expected: string[]) => eventually(async () => expect(await shortRuns()).toEqual(expected));
const notes = () => runtime.notes.map(({ line }) => line);

/** A command that goes on until it is ended, or the test ends it with a code. */
function hold(): { end(code: number): void; begun(count: number): Promise<unknown>; ended: () => number } {
  const ends: ((code: number) => void)[] = [];
  let endedCount = 0;
  runtime.whenRun((_, signal) =>
    new Promise<number>((resolve, reject) => {
      ends.push(resolve);
      const abort = () => {
        ends.splice(ends.indexOf(resolve), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
    }).finally(() => endedCount++),
  );
  return {
    end: (code) => ends.shift()!(code),
    begun: (expected) => eventually(() => expect(runtime.ran).toHaveLength(expected)),
    ended: () => endedCount,
  };
}

describe("a due moment", () => {
  test("is run once, by one of two workers, with the command and image of what is live", async () => {
    await haveEntries([report, { ...report, name: "often", schedule: "*/2 * * * *", command: "node often.js" }]);
    await isAt("2024-03-04T02:59:59.999Z");
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["often 03-04T03:00 done", "report 03-04T03:00 done"]);
    await isAt("2024-03-04T03:01:00.002Z");
    await isAt("2024-03-04T03:02:00.002Z");
    await settled(["often 03-04T03:02 done", "often 03-04T03:00 done", "report 03-04T03:00 done"]);
    await isAt("2024-03-04T03:04:00.002Z");
    await settled([
      "often 03-04T03:04 done",
      "often 03-04T03:02 done",
      "often 03-04T03:00 done",
      "report 03-04T03:00 done",
    ]);
    expect(runtime.ran.map(({ name, command, version }) => `${name} ${command} v${version}`).sort()).toEqual([
      "cron.often node often.js v1",
      "cron.often node often.js v1",
      "cron.often node often.js v1",
      "cron.report node report.js v1",
    ]);
    expect(notes().every((line) => /^cron\.(often|report) exit 0 after 0\.\d s$/.test(line))).toBe(true);
  });

  test("of an entry that a deploy brings is met at once, of one that it takes away not at all", async () => {
    await haveEntries([report]);
    await pusher.commit({
      "zyndra.yml": 'version: 1\ncron: [{ name: new, schedule: "0 3 * * *", command: node new.js }]\n',
    });
    expect((await pusher.push("main")).exitCode).toBe(0);
    expect(((await ask("cron")).data as Run[]).map(({ name }) => name)).toEqual(["new"]);
    // Its release went live by the real clock, far ahead of this one.
    await execute(sql`update releases set live_at = ${evening} where app_id = ${appId}`);
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["new 03-04T03:00 done"]);
    expect(runtime.ran).toMatchObject([{ name: "cron.new", version: 2 }]);
  });

  test("is met by an app that is scaled to nothing, in maintenance or locked", async () => {
    await haveEntries([report]);
    await execute(sql`update apps set maintenance_since = now(), locked_at = now() where id = ${appId}`);
    await ask("ps:scale", { changes: ["web=0"] });
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 done"]);
  });

  test("that passed while nothing ran is met up to five minutes later, and only the newest", async () => {
    await haveEntries([{ ...report, schedule: "* * * * *" }]);
    await isAt("2024-03-04T03:04:30Z");
    await settled(["report 03-04T03:04 done", "report 03-04T03:03 skipped"]);
    expect(runtime.ran).toHaveLength(1);
  });

  test("that passed longer ago is recorded as skipped, with why", async () => {
    await haveEntries([report]);
    await isAt("2024-03-07T03:05:00.001Z");
    await settled(["report 03-07T03:00 skipped", "report 03-06T03:00 skipped"]);
    expect((await runs())[0]).toMatchObject({ reason: "it could not begin within 5 min of its time" });
    expect(notes()).toContain("cron.report left out: it could not begin within 5 min of its time");
    expect(runtime.ran).toEqual([]);
  });

  test("before the entry went live is none of its", async () => {
    await haveEntries([]);
    await isAt("2024-03-04T03:01:00Z");
    await haveEntries([report], clock);
    await isAt("2024-03-04T03:01:30Z");
    await isAt("2024-03-05T03:00:00.100Z");
    await settled(["report 03-05T03:00 done"]);
  });

  test("is on record across a restart, and not met again", async () => {
    await haveEntries([report]);
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 done"]);
    await stopWorkers();
    workers = [startWorker(), startWorker()];
    await isAt("2024-03-04T03:00:10Z");
    await isAt("2024-03-05T03:00:00.002Z");
    await settled(["report 03-05T03:00 done", "report 03-04T03:00 done"]);
    expect(runtime.ran).toHaveLength(2);
  });

  test("is not met twice where the clock is put back", async () => {
    await haveEntries([report]);
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 done"]);
    await isAt("2024-03-04T02:59:00Z");
    await isAt("2024-03-04T03:00:01Z");
    await isAt("2024-03-05T03:00:01Z");
    await settled(["report 03-05T03:00 done", "report 03-04T03:00 done"]);
  });

  test("of an entry whose schedule has a fault does not keep others from theirs", async () => {
    await haveEntries([
      { ...report, name: "odd", schedule: "61 99 * * *" },
      { ...report, name: "far", timezone: "Mars/X" },
      report,
    ]);
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 done"]);
  });
});

describe("an entry that is due while its last run still goes on", () => {
  const often = { ...report, schedule: "* * * * *" };

  test("is left out where overlap is forbidden, and the reason is told", async () => {
    await haveEntries([often]);
    const held = hold();
    await isAt("2024-03-04T03:00:00.002Z");
    await held.begun(1);
    await isAt("2024-03-04T03:01:00.002Z");
    await settled(["report 03-04T03:01 skipped", "report 03-04T03:00 running"]);
    expect((await runs())[0]).toMatchObject({ reason: "the one of 60 s before still goes on" });
    held.end(0);
    await settled(["report 03-04T03:01 skipped", "report 03-04T03:00 done"]);
    await isAt("2024-03-04T03:02:00.002Z");
    await held.begun(2);
    held.end(0);
    await settled(["report 03-04T03:02 done", "report 03-04T03:01 skipped", "report 03-04T03:00 done"]);
  });

  test("runs beside it where overlap is allowed, but never takes more than half of the places of a worker", async () => {
    await haveEntries([{ ...often, overlap: "allow" }]);
    const held = hold();
    for (const minute of ["00", "01", "02", "03", "04"]) {
      await isAt(`2024-03-04T03:${minute}:00.002Z`);
      await eventually(async () => expect(await runs()).toHaveLength(Number(minute) + 1));
    }
    // Two workers with four places each.
    await held.begun(4);
    held.end(0);
    await held.begun(5);
    for (let left = 0; left < 4; left++) held.end(0);
    await eventually(async () => expect((await runs()).every(({ status }) => status === "done")).toBe(true));
  });
});

describe("a run that does not go well", () => {
  const events = async () => {
    const rows = await execute(sql`select data from events where topic = ${appTopic(appId)} order by seq`);
    return rows.map(({ data }) => data).filter((data) => (data as { type: string }).type === "cron");
  };

  test("is failed with its exit code, told in the log and as an event", async () => {
    await haveEntries([report]);
    runtime.exitCode(3);
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 failed"]);
    expect((await runs())[0]).toMatchObject({ exitCode: 3, reason: expect.stringMatching(/^exit 3 after 0\.\d s$/) });
    expect(notes()).toEqual([expect.stringMatching(/^cron\.report exit 3 after 0\.\d s$/)]);
    const reason = expect.stringMatching(/^exit 3 after/);
    expect(await events()).toEqual([
      { type: "cron", name: "report", dueAt: "2024-03-04T03:00:00.000Z", status: "failed", reason },
    ]);
  });

  test("is tried again as often as the entry says, after a pause", async () => {
    await haveEntries([{ ...report, retries: 2 }]);
    const codes = [1, 2, 0];
    runtime.whenRun(async () => codes.shift()!);
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 done"]);
    expect(notes()).toEqual([
      expect.stringMatching(/^cron\.report exit 1 after 0\.\d s \(try 1 of 3\), the next in 0\.0 s$/),
      expect.stringMatching(/^cron\.report exit 2 after 0\.\d s \(try 2 of 3\), the next in 0\.0 s$/),
      expect.stringMatching(/^cron\.report exit 0 after 0\.\d s$/),
    ]);
    expect(await events()).toEqual([]);
  });

  test("and does not get well is failed after its last try", async () => {
    await haveEntries([{ ...report, retries: 1 }]);
    runtime.exitCode(7);
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 failed"]);
    expect(runtime.ran).toHaveLength(2);
    expect((await runs())[0]).toMatchObject({ exitCode: 7, reason: expect.stringContaining("(try 2 of 2)") });
  });

  test("is ended when it takes longer than it may", async () => {
    await haveEntries([{ ...report, timeoutMs: 100 }]);
    const held = hold();
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 failed"]);
    expect(held.ended()).toBe(1);
    expect((await runs())[0]).toMatchObject({
      exitCode: null,
      reason: expect.stringMatching(/^ended after \d\.\d s: it may take 0\.1 s$/),
    });
  });

  test("whose files are gone says so", async () => {
    await haveEntries([report]);
    runtime.whenRun(async () => {
      throw new UserError("gone", "The files of v1 are gone.");
    });
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 failed"]);
    expect((await runs())[0]).toMatchObject({ reason: "not begun: The files of v1 are gone." });
  });

  test("is ended with the platform, and not run again", async () => {
    await haveEntries([{ ...report, retries: 3 }]);
    const held = hold();
    await isAt("2024-03-04T03:00:00.002Z");
    await held.begun(1);
    await stopWorkers();
    expect(held.ended()).toBe(1);
    expect(await runs()).toMatchObject([
      {
        status: "failed",
        exitCode: null,
        reason: expect.stringMatching(/^ended after .*: Zyndra was stopped \(try 1/),
      },
    ]);
    workers = [startWorker(), startWorker()];
    await isAt("2024-03-05T03:00:00.002Z");
    await held.begun(2);
    held.end(0);
    await settled(["report 03-05T03:00 done", "report 03-04T03:00 failed"]);
  });

  test("of a worker that died is lost: told, and not run again", async () => {
    await haveEntries([report]);
    await execute(sql`insert into cron_runs (app_id, org_id, project_id, name, due_at, version, lease_until)
      select id, org_id, project_id, 'report', '2024-03-04T02:58:00Z', 1, now() - interval '1 s' from apps where id = ${appId}`);
    await allLooked();
    await settled(["report 03-04T02:58 lost"]);
    expect(notes()).toEqual(["cron.report lost: Zyndra was killed while it ran"]);
    expect(await events()).toMatchObject([{ status: "lost" }]);
    expect(runtime.ran).toEqual([]);
  });

  test("ends when it is taken for lost by others", async () => {
    await haveEntries([report]);
    const held = hold();
    await isAt("2024-03-04T03:00:00.002Z");
    await held.begun(1);
    await execute(sql`update cron_runs set status = 'lost' where name = 'report' and status = 'running'`);
    await eventually(() => expect(held.ended()).toBe(1));
    await settled(["report 03-04T03:00 lost"]);
  });
});

describe("commands", () => {
  test("cron lists the entries, with when each is next due and how it last ran", async () => {
    await haveEntries([report, { ...report, name: "weekly", schedule: "0 3 * * MON", timezone: "Europe/Stockholm" }]);
    runtime.exitCode(1);
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["report 03-04T03:00 failed"]);
    const { view, data } = await ask("cron");
    expect(view.table!.rows).toEqual([
      [
        "report",
        "0 3 * * * UTC",
        expect.stringMatching(/^in \d+ (s|min|h)$/),
        expect.stringMatching(/^failed \d+ d ago$/),
        "node report.js",
      ],
      ["weekly", "0 3 * * MON Europe/Stockholm", expect.stringMatching(/^in /), "", "node report.js"],
    ]);
    expect(data).toMatchObject([
      { name: "report", last: { status: "failed", exitCode: 1 } },
      { name: "weekly", timezone: "Europe/Stockholm", last: null },
    ]);
  });

  test("cron of an app without entries says where they are named", async () => {
    await haveEntries([]);
    expect((await ask("cron")).view.table).toMatchObject({ rows: [], none: expect.stringContaining("zyndra.yml") });
  });

  test("cron:run runs an entry at once, beside its schedule, and says where its lines are", async () => {
    await haveEntries([report]);
    const { view } = await ask("cron:run", { name: "report" });
    expect(view.text).toBe(`report of shop is started`);
    expect(view.hint).toContain(`zyndra logs shop --tail --process cron.report`);
    await eventually(async () => {
      expect(await runs()).toMatchObject([{ name: "report", status: "done", reason: "asked for by ana" }]);
    });
    expect(runtime.ran).toMatchObject([{ name: "cron.report", command: "node report.js" }]);
    runtime.exitCode(2);
    await ask("cron:run", { name: "report" });
    await eventually(async () => {
      expect((await runs())[0]).toMatchObject({
        status: "failed",
        reason: expect.stringMatching(/^asked for by ana: exit 2 after/),
      });
    });
  });

  test("cron:run is refused while the entry runs, where that is forbidden", async () => {
    await haveEntries([report]);
    const held = hold();
    await ask("cron:run", { name: "report" });
    await held.begun(1);
    await expect(ask("cron:run", { name: "report" })).rejects.toMatchObject({
      code: "conflict",
      message: expect.stringMatching(/^report of \S+ has been running for \d\.\d s, and may not run twice at once$/),
    });
    held.end(0);
  });

  test("an entry that does not exist is answered with the nearest that does", async () => {
    await ask("apps:create", { app: "new" });
    await expect(ask("cron:run", { app: "new", name: "report" })).rejects.toMatchObject({
      code: "conflict",
      message: "nothing of new is live yet",
    });
    await haveEntries([report]);
    for (const command of ["cron:run", "cron:runs"]) {
      await expect(ask(command, { name: "reprot" })).rejects.toMatchObject({
        code: "not_found",
        message: expect.stringMatching(/^v\d of shop has no cron entry "reprot"\. Did you mean report\?$/),
      });
    }
  });

  test("cron:runs shows one entry's runs, or all", async () => {
    await haveEntries([report, { ...report, name: "other" }]);
    await isAt("2024-03-04T03:00:00.002Z");
    await settled(["other 03-04T03:00 done", "report 03-04T03:00 done"]);
    const { view } = await ask("cron:runs", { name: "report" });
    expect(view.table!.rows).toEqual([
      ["2024-03-04 03:00 UTC", "report", "done", "0", expect.stringMatching(/ s$/), expect.stringMatching(/^v\d$/), ""],
    ]);
  });
});

test("a run keeps its place for as long as it goes on", async () => {
  await haveEntries([report]);
  const held = hold();
  await isAt("2024-03-04T03:00:00.002Z");
  await held.begun(1);
  const leaseUntil = async () => (await execute(sql`select lease_until from cron_runs`))[0]!.lease_until as string;
  const first = await leaseUntil();
  // Longer than the lease lasts that it was begun with.
  await eventually(async () => {
    expect((await execute(sql`select now() > ${first}::timestamptz as over`))[0]!.over).toBe(true);
  });
  await allLooked();
  expect(await shortRuns()).toEqual(["report 03-04T03:00 running"]);
  held.end(0);
  await settled(["report 03-04T03:00 done"]);
});

test("of each entry the last hundred runs are remembered", async () => {
  await haveEntries([report, { ...report, name: "other" }]);
  await execute(sql`insert into cron_runs (app_id, org_id, project_id, name, due_at, version, status)
    select apps.id, org_id, project_id, names.name, '2024-03-01T00:00:00Z'::timestamptz + minute * interval '1 min', 1, 'done'
    from apps, generate_series(1, 150) minute, (values ('report'), ('gone')) names (name)
    where apps.id = ${appId}`);
  await isAt("2024-03-04T03:00:00.002Z");
  await eventually(async () => {
    const rows = await execute(sql`select name, count(*)::int as count, max(due_at) as newest from cron_runs
      group by name order by name`);
    expect(rows).toMatchObject([
      { name: "gone", count: 150 },
      { name: "other", count: 1 },
      { name: "report", count: 100 },
    ]);
  });
});

test("an app that is being destroyed runs nothing more, and what runs is ended", async () => {
  await haveEntries([report]);
  const held = hold();
  await isAt("2024-03-04T03:00:00.002Z");
  await held.begun(1);
  // Somebody holds the app, so that it is not removed at once.
  await execute(sql`update apps set lease_holder = gen_random_uuid(), lease_until = now() + interval '1 hour',
    destroy_requested_at = now(), destroy_requested_by = 'ana' where id = ${appId}`);
  await eventually(() => expect(held.ended()).toBe(1));
  await isAt("2024-03-05T03:00:00.002Z");
  expect(await shortRuns()).toEqual(["report 03-04T03:00 running"]);
  await execute(sql`update apps set lease_until = now() where id = ${appId}`);
  await eventually(async () => expect(await execute(sql`select 1 from cron_runs`)).toEqual([]));
  expect(runtime.ran).toHaveLength(1);
});
