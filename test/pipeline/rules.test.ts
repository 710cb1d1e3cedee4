import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { runCommand } from "../../src/commands/command.ts";
import { pushDeploy } from "../../src/commands/deploys.ts";
import { findAppById, getApp } from "../../src/db/apps.ts";
import { listEvents } from "../../src/db/events.ts";
import { claimLease, holdFence, releaseLease, renewLease, StaleLease } from "../../src/db/work.ts";
import { applied } from "../support/applied.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import {
  type StandInBuilder,
  type StandInRuntime,
  standInBuilder,
  standInRuntime,
  succeeded,
} from "../support/stand-ins.ts";

/** The rules of a deploy, on a real database and with real pushes; builder and runtime stand in, so that a test can hold them. */
let platform: TestPlatform;
let builder: StandInBuilder;
let runtime: StandInRuntime;
let name: string;
let pusher: Pusher;
let count = 0;

beforeAll(async () => {
  builder = standInBuilder();
  runtime = standInRuntime();
  platform = await testPlatform({ overrides: { builder, runtime, limits: { leaseMs: 1_500, sweepMs: 200 } } });
});

afterAll(() => platform?.[Symbol.asyncDispose]());

beforeEach(async () => {
  name = `app${++count}`;
  await ask("apps:create");
  pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/${name}.git`);
  return async () => {
    builder.reset();
    runtime.reset();
    await pusher[Symbol.asyncDispose]();
  };
});

const ask = (command: string, input: Record<string, unknown> = {}) => platform.ask(command, { app: name, ...input });
const app = () => getApp(platform.deps.db.db, platform.owner.orgId, name);
type Row = { number: number; status: string; title: string; cause: { headline: string } | null };
const deploys = async () => (await ask("deploys")).data as Row[];
const statuses = async () => (await deploys()).map(({ number, status }) => `#${number} ${status}`);
const settled = (expected: string[]) => eventually(async () => expect(await statuses()).toEqual(expected));
const commitAndPush = async (...args: string[]) => {
  await pusher.commit({ "a.txt": String(Math.random()) });
  return pusher.push(...args, "main");
};
const remoteMain = async () => (await pusher.git("ls-remote", "zyndra", "refs/heads/main")).output.split("\t")[0];
const liveVersion = async () => runtime.serving.get((await app()).id)?.version;

/** As after a long pause of the worker: someone else has claimed the app meanwhile, and died. */
async function loseLease(): Promise<void> {
  await platform.deps.db.db.execute(sql`update apps set fence = fence + 1, lease_until = now() where name = ${name}`);
}

describe("4: one app, one worker", () => {
  test("a lease is held by one, renewed by its holder, and lost by who does not renew it; a stale writer stops", async () => {
    const { id } = await app();
    const { db } = platform.deps;
    const first = await db.transaction((tx) => claimLease(tx, id, crypto.randomUUID(), 60_000));
    expect(first).toMatchObject({ wasLost: false });
    expect(await db.transaction((tx) => claimLease(tx, id, crypto.randomUUID(), 60_000))).toBeNull();
    expect(await renewLease(db.db, first!.lease, 0)).toBe(true);
    const second = await db.transaction((tx) => claimLease(tx, id, crypto.randomUUID(), 60_000));
    expect(second).toMatchObject({ wasLost: true });
    expect(second!.lease.fence).toBeGreaterThan(first!.lease.fence);
    expect(await renewLease(db.db, first!.lease, 60_000)).toBe(false);
    await expect(db.transaction((tx) => holdFence(tx, first!.lease))).rejects.toThrow(StaleLease);
    await releaseLease(db.db, first!.lease);
    expect(await db.transaction((tx) => claimLease(tx, id, crypto.randomUUID(), 60_000))).toBeNull();
    await releaseLease(db.db, second!.lease);
  });

  test("a worker that lost the app to another writes nothing more, and the other finishes", async () => {
    const open = builder.hold();
    const pushed = commitAndPush();
    await eventually(async () => expect(await statuses()).toEqual(["#1 building"]));
    await loseLease();
    open();
    expect((await pushed).exitCode).toBe(0);
    const { rows } = await platform.deps.db.db.execute(
      sql`select lost_leases from deploys d join apps a on a.id = d.app_id where a.name = ${name}`,
    );
    expect(rows).toHaveLength(1);
    expect(await liveVersion()).toBe(1);
  });

  test("a third lost lease in one step ends the deploy as failed", async () => {
    const open = builder.hold();
    const pushed = commitAndPush();
    for (let lost = 0; lost < 3; lost++) {
      await eventually(async () => {
        expect(builder.builds.filter(({ appName }) => appName === name)).toHaveLength(lost + 1);
      });
      await loseLease();
    }
    expect((await pushed).output).toContain("Zyndra was stopped three times in this step");
    open();
    await settled(["#1 failed"]);
  });
});

describe("5 and 6: main", () => {
  test("is what was pushed last and went live; rollback, deploy and config leave it where it is", async () => {
    await commitAndPush();
    await commitAndPush();
    const main = await remoteMain();
    expect((await app()).mainCommit).toBe(main);
    await ask("releases:rollback");
    await settled(["#3 live", "#2 live", "#1 live"]);
    await ask("config:set", { vars: ["A=1"] });
    await settled(["#4 live", "#3 live", "#2 live", "#1 live"]);
    const other = await pusher.commit({ "b.txt": "b" });
    await pusher.push("main:feature");
    await ask("deploy", { ref: other.slice(0, 10) });
    await settled(["#5 live", "#4 live", "#3 live", "#2 live", "#1 live"]);
    expect((await app()).mainCommit).toBe(main);
    expect(await remoteMain()).toBe(main);
  });

  test("is mirrored into the repository before anyone is told, also over a lock that a killed git left", async () => {
    await commitAndPush();
    const { id } = await app();
    const { writeFile } = await import("node:fs/promises");
    await writeFile(`${platform.deps.repos.gitDir(id)}/refs/heads/main.lock`, "");
    const pushed = await commitAndPush();
    expect(pushed.exitCode).toBe(0);
    expect(await remoteMain()).toBe((await app()).mainCommit);
  });

  test("that git lost is put back at the next claim", async () => {
    await commitAndPush();
    const { id, mainCommit } = await app();
    await platform.deps.repos.moveRef(
      id,
      "refs/heads/main",
      (await pusher.commit({ x: "1" })) && mainCommit!,
      mainCommit,
    );
    const { rm } = await import("node:fs/promises");
    await rm(`${platform.deps.repos.gitDir(id)}/refs/heads/main`);
    await ask("config:set", { vars: ["A=1"] });
    await settled(["#2 live", "#1 live"]);
    expect(await remoteMain()).toBe(mainCommit);
  });
});

test("what went live in the moment of a crash is mirrored and told by whoever looks at the app next", async () => {
  await commitAndPush();
  const { id, mainCommit } = await app();
  const [deploy] = (await deploys()) as (Row & { id: string })[];
  const { db } = platform.deps.db;
  await platform.deps.repos.moveRef(id, "refs/heads/main", (await olderCommit(id))!, mainCommit, { holdsLease: true });
  const { rows } = await db.execute(sql`select last_seq from topics where name = ${`deploy:${deploy!.id}`}`);
  await db.execute(sql`update deploys set told_at = null where id = ${deploy!.id}`);
  const told = platform.deps.events.follow(
    `deploy:${deploy!.id}`,
    Number(rows[0]!.last_seq),
    AbortSignal.timeout(10_000),
  );
  const texts: string[] = [];
  for await (const { data } of told) {
    texts.push(data.type);
    if (data.type === "deploy") break;
  }
  expect(texts).toEqual(["log", "deploy"]);
  expect(await remoteMain()).toBe(mainCommit);
});

/** Another commit that the repository has: pushed to a branch. */
async function olderCommit(appId: string): Promise<string | null> {
  await pusher.commit({ "other.txt": "other" });
  await pusher.push("main:other");
  return platform.deps.repos.resolveCommit(appId, "other");
}

describe("10: config", () => {
  test("before the first push no deploy is made, and the push takes the vars", async () => {
    expect((await ask("config:set", { vars: ["A=1"] })).view.text).toContain("the next push takes it");
    expect(await deploys()).toEqual([]);
    await commitAndPush();
    expect(runtime.serving.get((await app()).id)!.env).toEqual({ A: "1" });
  });

  test("changes while a deploy runs join one config deploy, which is never superseded and takes its turn by age", async () => {
    await commitAndPush();
    const open = runtime.hold();
    const second = commitAndPush();
    await settled(["#2 rolling_out", "#1 live"]);
    await ask("config:set", { vars: ["A=1"] });
    await ask("config:set", { vars: ["B=2"] });
    await pusher.commit({ c: "c" });
    const third = pusher.startPush("main");
    await third.printed(/waiting for deploy #2/);
    expect(await deploys()).toMatchObject([
      { number: 4 },
      { number: 3, title: "config: A, B" },
      { number: 2 },
      { number: 1 },
    ]);
    open();
    await Promise.all([second, third.ended]);
    await settled(["#4 live", "#3 live", "#2 live", "#1 live"]);
    const order = runtime.applied
      .filter(({ spec }) => spec.appName === name)
      .map(({ spec }) => Object.keys(spec.env).length);
    expect(order).toEqual([0, 0, 2, 2]);
  });

  test("that the live release has already ends live on that release", async () => {
    await commitAndPush();
    const open = builder.hold();
    const second = commitAndPush();
    await settled(["#2 building", "#1 live"]);
    await ask("config:set", { vars: ["A=1"] });
    open();
    await second;
    await settled(["#3 live", "#2 live", "#1 live"]);
    const releases = (await ask("releases")).data as { version: number }[];
    expect(releases.map(({ version }) => version)).toEqual([2, 1]);
  });

  test("that fails to roll out stays set, and the old release serves", async () => {
    await commitAndPush();
    runtime.answer((spec) =>
      spec.appName === name ? { ok: false, cause: { headline: "web crashes at start" } } : { ok: true },
    );
    await ask("config:set", { vars: ["A=1"] });
    await settled(["#2 failed", "#1 live"]);
    expect(await liveVersion()).toBe(1);
    expect((await ask("config")).data).toMatchObject([{ name: "A" }]);
  });

  test("waiting when the first push fails ends cancelled: the next push takes it", async () => {
    const open = builder.hold();
    builder.answer(() => ({ ok: false, cause: { headline: "build failed" } }));
    const pushed = commitAndPush();
    await settled(["#1 building"]);
    await ask("config:set", { vars: ["A=1"] });
    open();
    await pushed;
    await settled(["#2 cancelled", "#1 failed"]);
    builder.answer(succeeded);
    expect((await deploys())[0]!.cause!.headline).toContain("the next push takes the config");
  });
});

describe("11: scale", () => {
  test("makes no release, and a running roll-out's end applies it", async () => {
    await commitAndPush();
    const open = runtime.hold();
    const second = commitAndPush();
    await settled(["#2 rolling_out", "#1 live"]);
    await ask("ps:scale", { changes: ["worker=2"] });
    open();
    await second;
    await eventually(async () => expect(runtime.serving.get((await app()).id)!.formation).toMatchObject({ worker: 2 }));
    expect(await statuses()).toEqual(["#2 live", "#1 live"]);
    expect(await liveVersion()).toBe(2);
  });
});

describe("12: rollback", () => {
  test("takes the image and the vars of the release before, runs no release command, and a later config:set wins", async () => {
    builder.answer((request) => ({ ...succeeded(request), releaseCommand: "migrate" }));
    await ask("config:set", { vars: ["A=one", "ONLY_OLD=1"] });
    await commitAndPush();
    await ask("config:unset", { names: ["ONLY_OLD"] });
    await settled(["#2 live", "#1 live"]);
    await commitAndPush();
    const open = runtime.hold();
    await ask("releases:rollback", { version: "v1" });
    await eventually(async () => expect((await statuses())[0]).toBe("#4 rolling_out"));
    await ask("config:set", { vars: ["A=two"] });
    open();
    await settled(["#5 live", "#4 live", "#3 live", "#2 live", "#1 live"]);
    const live = runtime.serving.get((await app()).id)!;
    expect(live.env).toEqual({ A: "two", ONLY_OLD: "1" });
    expect(runtime.ran.filter(({ version }) => version === 4)).toEqual([]);
  });

  test("to a release that was never live, or to one that does not exist, is refused", async () => {
    await commitAndPush();
    await expect(ask("releases:rollback", { version: "v9" })).rejects.toThrow(`${name} has no release v9`);
    await expect(ask("releases:rollback")).rejects.toThrow("no release to go back to");
    runtime.answer((spec) => (spec.appName === name ? { ok: false, cause: { headline: "sick" } } : { ok: true }));
    await commitAndPush();
    await expect(ask("releases:rollback", { version: "v2" })).rejects.toThrow("v2 of app");
  });
});

describe("13 and 18: the same again", () => {
  test("a retry of a failed push acts as its original would: it moves main", async () => {
    builder.answer(() => ({ ok: false, cause: { headline: "build failed" } }));
    expect((await commitAndPush()).exitCode).toBe(1);
    builder.answer(succeeded);
    await ask("deploys:retry");
    await settled(["#2 live", "#1 failed"]);
    expect(await remoteMain()).toBe((await pusher.git("rev-parse", "HEAD")).output.trim());
    await expect(ask("deploys:retry")).rejects.toThrow("went live");
  });

  test("the commits of the last 20 deploys are kept, older ones are let go", async () => {
    for (let round = 0; round < 22; round++) await commitAndPush();
    const { id } = await app();
    await eventually(async () => {
      const kept = (await platform.deps.repos.listDeployRefs(id)).map(({ number }) => number);
      expect(kept).toEqual(Array.from({ length: 20 }, (_, index) => index + 3));
    });
  });
});

describe("14: cancel", () => {
  test("is taken until the runtime has switched, and refused from then on", async () => {
    await commitAndPush();
    const open = runtime.holdAfterSwitch();
    const pushed = commitAndPush();
    await eventually(async () => expect(await liveVersion()).toBe(2));
    await expect(ask("cancel")).rejects.toThrow("already live; roll back instead");
    open();
    expect((await pushed).exitCode).toBe(0);
  });

  test("before the switch ends the roll-out and the old release serves", async () => {
    await commitAndPush();
    const open = runtime.hold();
    const pushed = commitAndPush();
    await settled(["#2 rolling_out", "#1 live"]);
    await ask("cancel");
    expect((await pushed).output).toContain("(cancelled by ana; v1 keeps serving)");
    open();
    expect(await liveVersion()).toBe(1);
    await settled(["#2 cancelled", "#1 live"]);
  });

  test("of a deploy whose worker died is done by the next claimer", async () => {
    const open = builder.hold();
    const pushed = commitAndPush();
    await settled(["#1 building"]);
    await platform.deps.db.db.execute(
      sql`update deploys set cancel_requested_at = now(), cancel_requested_by = 'ben' where app_id = ${(await app()).id}`,
    );
    await loseLease();
    expect((await pushed).output).toContain("(cancelled by ben)");
    open();
  });
});

describe("17: destroy", () => {
  test("waits for the lease, removes the app, and its name can be taken again", async () => {
    await commitAndPush();
    const { id } = await app();
    const open = runtime.hold();
    const pushed = commitAndPush();
    await settled(["#2 rolling_out", "#1 live"]);
    await ask("apps:destroy");
    await pushed;
    open();
    await eventually(async () => expect(await findAppById(platform.deps.db.db, id)).toBeNull());
    await ask("apps:create");
    expect((await app()).id).not.toBe(id);
  });
});

test("everything that changes is audited with who and how; plain readings are not", async () => {
  await ask("config:set", { vars: ["SECRET_WORD=horse-battery"] });
  await ask("config");
  await ask("config", { reveal: true });
  await expect(ask("ps:scale", { changes: ["web=9999"] })).rejects.toThrow();
  const { rows } = await platform.deps.db.db.execute(
    sql`select command, outcome, actor_name, input from audit where subject = ${name} order by id`,
  );
  expect(rows).toMatchObject([
    { command: "apps:create", outcome: "done", actor_name: "ana" },
    { command: "config:set", outcome: "done", input: { names: ["SECRET_WORD"] } },
    { command: "config:list --reveal", outcome: "done" },
    { command: "ps:scale", outcome: "refused" },
  ]);
  expect(JSON.stringify(rows)).not.toContain("horse-battery");
});

describe("what a fault leaves behind", () => {
  test("a scale that a roll-out interrupts is done by it, and told as done", async () => {
    await commitAndPush();
    const openBuild = builder.hold();
    const second = commitAndPush();
    await settled(["#2 building", "#1 live"]);
    const open = runtime.hold();
    const applied = runtime.applied.length;
    const { follow } = await ask("ps:scale", { changes: ["worker=2"] });
    await eventually(() => expect(runtime.applied.length).toBe(applied + 1));
    openBuild();
    await eventually(() => expect(runtime.applied.at(-1)!.spec.version).toBe(2));
    open();
    await second;
    const { appId, after, until } = follow as { appId: string; after: number; until: { applied: number } };
    const events = platform.deps.events.follow(`app:${appId}`, after, AbortSignal.timeout(10_000));
    const { value } = await events.next();
    expect(value?.data).toMatchObject({ type: "applied", revision: until.applied, formation: { worker: 2 } });
    await events.return();
  });

  test.each(["the runtime", "the builder", "the repository"])(
    "a destroy that is interrupted before or after it has removed what %s keeps is finished",
    async (what) => {
      await commitAndPush();
      const { id } = await app();
      const room = { "the runtime": runtime.rollout, "the builder": builder, "the repository": platform.deps.repos }[
        what
      ]!;
      const name = { "the runtime": "destroy", "the builder": "removeApp", "the repository": "removeRepo" }[what]!;
      const step = (room as unknown as Record<string, (...args: unknown[]) => Promise<void>>)[name]!;
      let times = 0;
      Object.assign(room, {
        async [name](...args: unknown[]) {
          times++;
          if (times === 1) throw new Error("the disk is away");
          await step.apply(room, args);
          if (times === 2) throw new Error("the power is away");
        },
      });
      await ask("apps:destroy");
      await eventually(async () => expect(await findAppById(platform.deps.db.db, id)).toBeNull());
      Object.assign(room, { [name]: step });
      expect(times).toBe(3);
    },
  );

  test("a destroy that was interrupted after the repository went is finished", async () => {
    await commitAndPush();
    const { id } = await app();
    await platform.deps.repos.removeRepo(id);
    await ask("apps:destroy");
    await eventually(async () => expect(await findAppById(platform.deps.db.db, id)).toBeNull());
  });

  test("a title of characters that are cut in half, and lines with a NUL, are stored", async () => {
    builder.answer((request) => ({
      ok: false,
      cause: { headline: "odd output", lastLines: [`half \ud83c of a hat in ${request.appName}`, "a\0b"] },
    }));
    await pusher.commit({ "a.txt": "1" }, `${"a".repeat(78)}🎩🎩`);
    const pushed = await pusher.push("main");
    expect(pushed.output).toContain("(odd output)");
    expect((await deploys())[0]).toMatchObject({ status: "failed", title: expect.stringMatching(/^a+/) });
  });

  test("a deploy that breaks after its switch does not leave its release serving", async () => {
    await commitAndPush();
    const { id } = await app();
    const { apply } = runtime.rollout;
    runtime.rollout.apply = async (spec, fence, call) => {
      const outcome = await apply(spec, fence, call);
      if (spec.version === 2) throw new Error("the disk is full");
      return outcome;
    };
    const pushed = await commitAndPush();
    runtime.rollout.apply = apply;
    expect(pushed.output).toContain("(Zyndra itself failed; v1 keeps serving)");
    expect(pushed.output).not.toContain("the disk is full");
    expect(runtime.serving.get(id)!.version).toBe(1);
  });

  test("a release that cannot be put back at once is not said to serve, and is put back later", async () => {
    await commitAndPush();
    const { id } = await app();
    const { apply } = runtime.rollout;
    let failures = 0;
    runtime.rollout.apply = async (spec, fence, call) => {
      if (spec.version === 1 && ++failures <= 3) throw new Error("no process ids");
      const outcome = await apply(spec, fence, call);
      if (spec.version === 2) throw new Error("the disk is full");
      return outcome;
    };
    const pushed = await commitAndPush();
    expect(pushed.output).toContain("(Zyndra itself failed; v1 could not be put back)");
    expect(pushed.output).toContain("v1 could not be put back: Zyndra itself failed, and tries again");
    expect(pushed.output).not.toContain("keeps serving");
    await eventually(() => expect(runtime.serving.get(id)!.version).toBe(1));
    runtime.rollout.apply = apply;
    expect(failures).toBe(4);
  });

  test("a release that does not come up again is not said to serve, and why", async () => {
    await commitAndPush();
    const { apply } = runtime.rollout;
    runtime.rollout.apply = async (spec, fence, call) => {
      if (spec.version === 1) return { ok: false, cause: { headline: "web crashes at start" } };
      await apply(spec, fence, call);
      throw new Error("the disk is full");
    };
    const pushed = await commitAndPush();
    runtime.rollout.apply = apply;
    expect(pushed.output).toContain("(Zyndra itself failed; v1 could not be put back)");
    expect(pushed.output).toContain(
      `v1 could not be put back: web crashes at start; zyndra ps ${name} shows what runs`,
    );
  });

  test("a change that Zyndra fails to apply is told once, and tried until it is there", async () => {
    await commitAndPush();
    const { apply } = runtime.rollout;
    let tries = 0;
    runtime.rollout.apply = async (spec, fence, call) => {
      // Three in the first round, three in the second.
      if (++tries <= 6) throw new Error("no space left on device");
      return apply(spec, fence, call);
    };
    const { follow } = await ask("maintenance:on");
    const { appId, after, until } = follow as { appId: string; after: number; until: { applied: number } };
    await eventually(() => expect(runtime.serving.get(appId)!.isInMaintenance).toBe(true));
    runtime.rollout.apply = apply;
    await eventually(async () => expect((await app()).appliedRevision).toBe(until.applied));
    expect(tries).toBe(7);
    const told = await listEvents(platform.deps.db.db, `app:${appId}`, after, 10);
    const revision = until.applied;
    expect(told.map(({ data }) => data)).toEqual([
      expect.objectContaining({ revision, cause: expect.objectContaining({ headline: "Zyndra itself failed" }) }),
      expect.not.objectContaining({ cause: expect.anything() }),
    ]);
  });

  test("a change that fails only once is told as done", async () => {
    await commitAndPush();
    const { apply } = runtime.rollout;
    runtime.rollout.apply = async () => {
      runtime.rollout.apply = apply;
      throw new Error("no process ids");
    };
    const told = await applied(platform, await ask("maintenance:on"));
    expect(told.cause).toBeUndefined();
    expect(runtime.serving.get((await app()).id)!.isInMaintenance).toBe(true);
  });

  test("a build that starts again with other config vars is used again for those, and not for its first ones", async () => {
    await commitAndPush();
    const open = builder.hold();
    const pushed = commitAndPush();
    await settled(["#2 building", "#1 live"]);
    await ask("config:set", { vars: ["COLOUR=red"] });
    await loseLease();
    const builds = () => builder.builds.filter(({ appName }) => appName === name);
    await eventually(() => expect(builds().at(-1)!.env).toMatchObject({ COLOUR: "red" }));
    open();
    await pushed;
    await settled(["#3 live", "#2 live", "#1 live"]);
    const count = builds().length;
    await ask("deploy");
    await settled(["#4 live", "#3 live", "#2 live", "#1 live"]);
    expect(builds()).toHaveLength(count);
    await ask("config:unset", { names: ["COLOUR"] });
    await ask("deploy");
    await settled(["#6 live", "#5 live", "#4 live", "#3 live", "#2 live", "#1 live"]);
    expect(builds()).toHaveLength(count + 1);
    expect(builds().at(-1)!.env).not.toHaveProperty("COLOUR");
  });

  test("a push deploys the app that it was made to, whatever has its name by then", async () => {
    await commitAndPush();
    const pushedTo = await app();
    await ask("apps:rename", { newName: `${name}-old` });
    await ask("apps:create");
    const push = (appId: string) => {
      const { mainCommit: commit } = pushedTo;
      const asked = { app: name, appId, requestId: "push:1", commit, pushedOver: null, skipCache: false };
      return runCommand(platform.deps, pushDeploy, asked, platform.owner);
    };
    expect((await push(pushedTo.id)).data).toMatchObject({ app: `${name}-old`, number: 2 });
    expect(await deploys()).toEqual([]);
    await expect(push(crypto.randomUUID())).rejects.toMatchObject({ code: "not_found" });
  });

  test("a reset in the middle of an upgrade does not end the platform", async () => {
    const { connect } = await import("node:net");
    for (const host of ["localhost", "nothing.localhost", `${name}.localhost`]) {
      await new Promise<void>((resolve) => {
        const socket = connect(platform.port, "127.0.0.1", () => {
          socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
          socket.resetAndDestroy();
        });
        socket.on("error", () => {});
        socket.on("close", () => resolve());
      });
    }
    expect((await fetch(`${platform.url}/healthz`)).status).toBe(200);
  });

  test("a request for two hosts is refused, whoever reads it first", async () => {
    const { connect } = await import("node:net");
    const { text } = await import("node:stream/consumers");
    const socket = connect(platform.port, "127.0.0.1");
    socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\nHost: ${name}.localhost\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1.1 400 [\s\S]*names two hosts/);
  });
});
