import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { listAudit } from "../../src/db/audit.ts";
import { loseRuns } from "../../src/db/runs.ts";
import { mostRuns } from "../../src/pipeline/runs.ts";
import { eventually } from "../support/eventually.ts";
import { livePlatform } from "../support/live-platform.ts";
import type { TestPlatform } from "../support/platform.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";

/** Commands that run once, as they are asked for; builder and runtime stand in. */
let platform: TestPlatform;
const runtime = standInRuntime();

beforeAll(async () => {
  platform = await livePlatform({ overrides: { builder: standInBuilder(), runtime } });
  await platform.ask("config:set", { app: "shop", vars: ["STRIPE_KEY=a-long-enough-secret"] });
  await eventually(async () => expect([...runtime.serving.values()][0]?.version).toBe(2));
});
afterAll(() => platform?.[Symbol.asyncDispose]());
beforeEach(() => async () => {
  runtime.reset();
  await platform.deps.db.db.execute(sql`update runs set status = 'ended' where status in ('waiting', 'running')`);
});

const ask = (command: string, input: Record<string, unknown> = {}) => platform.ask(command, { app: "shop", ...input });
const run = (command: string[], input: Record<string, unknown> = {}) => ask("run", { command, ...input });
const audited = async () => (await listAudit(platform.deps.db.db, platform.owner.orgId, 1))[0]!;
const rows = async () =>
  (await platform.deps.db.db.execute(sql`select status, exit_code, command from runs order by created_at`)).rows;
const shownRuns = async () =>
  ((await ask("ps")).data as { runs: { name: string; command: string; by: string }[] }).runs;

describe("run", () => {
  test("waits for whoever asked, in what is live now", async () => {
    const { data, follow } = await run(["npm", "run", "migrate"]);
    expect(data).toMatchObject({ app: "shop", name: expect.stringMatching(/^run\.\d+$/), version: 2 });
    const { runId, name } = data as { runId: string; name: string };
    expect(follow).toEqual({ kind: "run", appName: "shop", runId, name, where: "shop v2", tty: null });
    expect((await run(["ls"], { tty: true })).follow).toMatchObject({ tty: true });
    expect((await run(["ls"], { noTty: true })).follow).toMatchObject({ tty: false });
    expect(runtime.ran.map(({ command }) => command)).not.toContain("npm run migrate");
  });

  test("numbers go on, whatever becomes of the commands", async () => {
    const numbers = [];
    for (let count = 0; count < 3; count++) {
      const { name } = (await run(["ls"])).data as { name: string };
      numbers.push(Number(name.slice(4)));
    }
    expect(numbers).toEqual([numbers[0], numbers[0]! + 1, numbers[0]! + 2]);
  });

  test("is audited with its line, secrets left out, also where it is refused", async () => {
    await run(["API_KEY=s3cret", "node", "x.js", "--token", "abc", "a-long-enough-secret", "it's"]);
    expect(await audited()).toMatchObject({
      command: "run",
      subject: "shop",
      outcome: "done",
      input: { command: "API_KEY=… node x.js --token … [STRIPE_KEY hidden] 'it'\\''s'" },
    });
    await platform.ask("apps:create", { app: "empty" });
    await expect(platform.ask("run", { app: "empty", command: ["A=1 ls"] })).rejects.toMatchObject({
      code: "conflict",
      message: "nothing of empty is live yet",
      hint: "git push zyndra main",
    });
    expect(await audited()).toMatchObject({ subject: "empty", outcome: "refused", input: { command: "A=… ls" } });
    await ask("run:detached", { command: ["ls"] });
    expect(await audited()).toMatchObject({ command: "run:detached", input: { command: "ls" } });
  });

  test("its line lies sealed in the database", async () => {
    await run(["echo", "something-secret"]);
    expect(JSON.stringify(await rows())).not.toContain("something-secret");
  });

  test("is refused to an app with too many, which names how to end one", async () => {
    const { name: first } = (await run(["ls"])).data as { name: string };
    for (let count = 1; count < mostRuns; count++) await run(["ls"]);
    await expect(run(["ls"])).rejects.toMatchObject({
      code: "conflict",
      message: `shop runs ${mostRuns} commands already, and that is the most`,
      hint: `zyndra ps shop lists them, zyndra run:stop shop ${first} ends one`,
    });
    // Those that nobody attached to in time do not count.
    await platform.deps.db.db.execute(sql`update runs set created_at = created_at - interval '2 minutes'`);
    await run(["ls"]);
  });

  test.each([
    ["nothing", { command: [] }, "which command? For example: npm run migrate"],
    ["a NUL", { command: ["a\0b"] }, "a NUL character has no place in a command"],
    ["too much", { command: ["x".repeat(200_000)] }, "the command is longer than 128 KiB"],
    ["a terminal and none", { command: ["ls"], tty: true, noTty: true }, "--tty and --no-tty exclude each other"],
    ["a terminal of nobody", { command: ["ls"], tty: true, detach: true }, "nobody sits at a terminal of what runs"],
  ])("of %s is refused", async (_, input, message) => {
    await expect(ask("run", input)).rejects.toMatchObject({
      code: "bad_input",
      message: expect.stringContaining(message),
    });
  });
});

describe("a detached command", () => {
  test("runs without anybody, and its log says how it ended", async () => {
    runtime.exitCode(3);
    for (const begin of [
      () => run(["npm run import"], { detach: true }),
      () => ask("run:detached", { command: ["ls"] }),
    ]) {
      const asked = await begin();
      const { name } = asked.data as { name: string };
      expect(asked.follow).toBeUndefined();
      expect(asked.view.text).toBe(`${name} runs in shop v2`);
      await eventually(() => expect(runtime.notes.at(-1)?.line).toMatch(new RegExp(`^${name} exit 3 after `)));
      expect(runtime.ran.at(-1)).toMatchObject({ name, version: 2 });
      await eventually(async () => expect((await rows()).at(-1)).toMatchObject({ status: "ended", exit_code: 3 }));
    }
  });

  test("is shown by ps with who asked for it, secrets left out, until it is stopped", async () => {
    runtime.whenRun(untilAborted);
    const { name } = (await run(["TOKEN=x", "node", "a-long-enough-secret"], { detach: true })).data as {
      name: string;
    };
    await eventually(async () =>
      expect(await shownRuns()).toEqual([
        expect.objectContaining({ name, version: 2, by: "ana", command: "TOKEN=… node [STRIPE_KEY hidden]" }),
      ]),
    );
    const { view } = await ask("ps");
    expect(view.table!.rows.at(-1)).toEqual([
      name,
      "up",
      "v2",
      expect.stringMatching(/ ago$/),
      "",
      "TOKEN=… node [STRIPE_KEY hidden] (ana)",
    ]);
    expect((await ask("run:stop", { run: name })).view.text).toBe(`${name} of shop is being stopped`);
    await eventually(() => expect(runtime.notes.at(-1)?.line).toMatch(new RegExp(`^${name} stopped after `)));
    expect(await shownRuns()).toEqual([]);
    await expect(ask("run:stop", { run: name })).rejects.toMatchObject({
      code: "not_found",
      message: `no ${name} of shop runs`,
      hint: "zyndra ps shop shows what does",
    });
  });

  test("that broke for reasons of our own says so, and no more", async () => {
    runtime.whenRun(async () => {
      throw new Error("the disk is on fire");
    });
    await run(["ls"], { detach: true });
    await eventually(() =>
      expect(runtime.notes.at(-1)?.line).toMatch(/^run\.\d+ ended, since Zyndra itself failed after /),
    );
  });
});

test("run:stop takes a number too, and names what is none", async () => {
  await expect(ask("run:stop", { run: "7777" })).rejects.toMatchObject({ message: "no run.7777 of shop runs" });
  await expect(ask("run:stop", { run: "web.1" })).rejects.toMatchObject({
    code: "bad_input",
    message: '"web.1" is no run: run.3, for example',
  });
});

test("whoever would stop it as a process is told how to", async () => {
  await expect(ask("ps:stop", { types: ["run.3"] })).rejects.toMatchObject({
    message: "run.3 is a command that runs once, and no process type",
    hint: "zyndra run:stop shop run.3 ends it",
  });
});

test("what another platform ran is lost with it; what waits still waits", async () => {
  runtime.whenRun(untilAborted);
  const { name } = (await run(["sleep"], { detach: true })).data as { name: string };
  await eventually(async () => expect((await shownRuns()).map((each) => each.name)).toEqual([name]));
  await run(["ls"]);
  await loseRuns(platform.deps.db.db);
  expect((await rows()).slice(-2).map(({ status }) => status)).toEqual(["lost", "waiting"]);
  expect(await shownRuns()).toEqual([]);
});

test("an app that is being destroyed runs nothing more", async () => {
  await platform.ask("apps:create", { app: "doomed" });
  await platform.deps.db.db.execute(
    sql`update apps set destroy_requested_at = now(), destroy_requested_by = 'ben', lease_holder = gen_random_uuid(), lease_until = now() + interval '1 hour' where name = 'doomed'`,
  );
  await expect(platform.ask("run", { app: "doomed", command: ["ls"] })).rejects.toMatchObject({ code: "gone" });
});

const untilAborted = (_: string, signal: AbortSignal) =>
  new Promise<number>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
