import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { getApp } from "../../src/db/apps.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { type StandInRuntime, standInBuilder, standInRuntime } from "../support/stand-ins.ts";

/** What cannot end a deploy any more once traffic has moved; with real pushes on a real database. */
let platform: TestPlatform;
let runtime: StandInRuntime;
let name: string;
let pusher: Pusher;
let count = 0;

beforeAll(async () => {
  runtime = standInRuntime();
  const limits = { leaseMs: 1_500, sweepMs: 200, addonMs: 20_000 };
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime, limits } });
});

afterAll(() => platform?.[Symbol.asyncDispose]());

beforeEach(async () => {
  name = `app${++count}`;
  await ask("apps:create");
  pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/${name}.git`);
  runtime.ran.length = 0;
  return async () => {
    runtime.reset();
    await pusher[Symbol.asyncDispose]();
  };
});

const ask = (command: string, input: Record<string, unknown> = {}) => platform.ask(command, { app: name, ...input });
const app = () => getApp(platform.deps.db.db, platform.owner.orgId, name);
const serving = async () => runtime.serving.get((await app()).id);
const ran = () => runtime.ran.map(({ command }) => command);
const yml = (...lines: string[]) => ({ "zyndra.yml": ["version: 1", ...lines, ""].join("\n") });
const startPush = async (files: Record<string, string>) => {
  await pusher.commit({ "a.txt": String(Math.random()), ...files });
  return pusher.startPush("main");
};
const push = async (files: Record<string, string> = {}) => (await startPush(files)).ended;
const statuses = async () =>
  ((await ask("deploys")).data as { number: number; status: string }[]).map(
    ({ number, status }) => `#${number} ${status}`,
  );
const settled = (expected: string[]) => eventually(async () => expect(await statuses()).toEqual(expected));

/** As after a kill of the worker: someone else takes the app up. */
async function loseLease(): Promise<void> {
  await platform.deps.db.db.execute(sql`update apps set fence = fence + 1, lease_until = now() where name = ${name}`);
}

/** Runs a command until it is told to end, or its signal aborts. */
function untilTold() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const does = (_: string, signal: AbortSignal) =>
    new Promise<number>((end, fail) => {
      if (signal.aborted) return fail(signal.reason);
      signal.addEventListener("abort", () => fail(signal.reason));
      void promise.then(() => end(0));
    });
  return { does, tell: resolve };
}

describe("a deploy that is taken up after its switch", () => {
  test("goes live whatever was changed since, and runs nothing again that came before", async () => {
    await ask("config:set", { vars: ["API_KEY=a-long-enough-secret"] });
    const open = runtime.holdAfterSwitch();
    const pushed = await startPush(
      yml(
        `name: ${name}`,
        "env: { API_KEY: { required: true } }",
        "hooks: { release: ./migrate, first_deploy: ./seed }",
      ),
    );
    await eventually(async () => expect((await serving())?.version).toBe(1));
    await ask("config:unset", { names: ["API_KEY"], detach: true });
    await ask("apps:rename", { newName: `${name}-new` });
    name = `${name}-new`;
    await loseLease();
    open();
    expect((await pushed.ended).output).toContain("v1 is live");
    expect(ran()).toEqual(["./migrate", "./seed"]);
    expect((await serving())?.version).toBe(1);
  });
});

describe("the hook after the deploy", () => {
  const warm = yml("hooks: { after_deploy: ./warm }");

  test("keeps nobody from the app: what it follows is live, changes are applied, and a cancel ends the hook alone", async () => {
    runtime.whenRun(untilTold().does);
    const pushed = await startPush(warm);
    await settled(["#1 live"]);
    expect((await app()).mainCommit).toBe((await pusher.git("rev-parse", "HEAD")).output.trim());
    await ask("maintenance:on");
    await eventually(async () => expect((await serving())?.isInMaintenance).toBe(true));
    const { view } = await ask("cancel");
    expect(view.text).toBe(`deploy #1 of ${name} is live and stays so; its hook after the deploy is being ended`);
    const { exitCode, output } = await pushed.ended;
    expect(output).toContain(
      "warning: the hook after the deploy was ended by ana; the new version serves nevertheless",
    );
    expect(exitCode).toBe(0);
    expect(await statuses()).toEqual(["#1 live"]);
  });

  test("is what the next deploy says that it waits for; ended, that one goes on", async () => {
    const hook = untilTold();
    runtime.whenRun(hook.does);
    const first = await startPush(warm);
    await settled(["#1 live"]);
    const second = await startPush({ "zyndra.yml": "version: 1\n" });
    await second.printed(/waiting for deploy #1 \(ana, .*, live, its hook runs\)/);
    hook.tell();
    expect((await first.ended).exitCode).toBe(0);
    expect((await second.ended).exitCode).toBe(0);
  });

  test("does not keep the app from being destroyed", async () => {
    runtime.whenRun(untilTold().does);
    await startPush(warm);
    await settled(["#1 live"]);
    await ask("apps:destroy");
    await eventually(async () => expect(app()).rejects.toThrow("no app is called"));
  });

  test("is not run again by whoever takes over; the deploy is told as live", async () => {
    runtime.whenRun(untilTold().does);
    const pushed = await startPush(warm);
    await settled(["#1 live"]);
    await loseLease();
    expect((await pushed.ended).output).toContain("v1 is live");
    expect(ran()).toEqual(["./warm"]);
  });
});

describe("an add-on that is not there yet", () => {
  test("does not keep a rollback waiting; a config deploy brings its vars once it is there", async () => {
    await push();
    await push();
    const open = runtime.data.hold();
    await platform.ask("addons:create", { engine: "postgres", app: name });
    await settled(["#3 releasing", "#2 live", "#1 live"]);
    await ask("cancel");
    await settled(["#3 cancelled", "#2 live", "#1 live"]);
    await ask("releases:rollback");
    await eventually(async () => expect(await statuses()).toContain("#4 live"));
    expect((await serving())?.env).not.toHaveProperty("DATABASE_URL");
    open();
    await settled(["#5 live", "#4 live", "#3 cancelled", "#2 live", "#1 live"]);
    expect((await serving())?.env).toHaveProperty("DATABASE_URL");
  });
});

describe("a rollback", () => {
  test("leaves what a file had made: another secret would not open what was sealed with it", async () => {
    await push();
    await push(yml("env: { SECRET_KEY: { generate: 32 } }"));
    const made = (await serving())?.env.SECRET_KEY;
    expect(made).toMatch(/^[0-9a-f]{64}$/);
    await ask("releases:rollback");
    await eventually(async () => expect(await statuses()).toContain("#3 live"));
    await push();
    expect((await serving())?.env.SECRET_KEY).toBe(made);
  });

  test("leaves what was set of a var that the older release's file overrules", async () => {
    await ask("config:set", { vars: ["MODE=mine-and-only-mine"] });
    await push(yml("env: { MODE: { value: of the file, sync: true } }"));
    await push({ "zyndra.yml": "version: 1\n" });
    await ask("releases:rollback");
    await eventually(async () => expect(await statuses()).toContain("#3 live"));
    expect((await serving())?.env.MODE).toBe("of the file");
    await push({ "zyndra.yml": "version: 1\n" });
    expect((await serving())?.env.MODE).toBe("mine-and-only-mine");
  });
});

test.each(["constructor", "toString", "__proto__"])("a config var cannot be called %s", async (odd) => {
  await expect(ask("config:set", { vars: [`${odd}=a-long-enough-value`] })).rejects.toThrow(
    `${odd} cannot be set: the name has a meaning of its own in JavaScript`,
  );
});
