import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listAudit } from "../../src/db/audit.ts";
import type { Change } from "../../src/model/release-diff.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { standInBuilder, standInRuntime, succeeded } from "../support/stand-ins.ts";

/**
 * One app and its history: v1 a push, v2 a config change, v3 a push of two commits with another process, v4 a push that
 * crashes and never is live.
 */
let platform: TestPlatform;
let pusher: Pusher;
const commits: string[] = [];
const builder = standInBuilder();
const runtime = standInRuntime();

beforeAll(async () => {
  platform = await testPlatform({ overrides: { builder, runtime } });
  await ask("apps:create");
  pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
  await ask("config:set", { vars: ["LOG_LEVEL=info", "OLD_FLAG=1"] });
  await push({ "a.txt": "1" }, "Sell hats");
  await ask("config:set", { vars: ["LOG_LEVEL=debug"] });
  await live(2);
  await ask("config:set", { vars: ["STRIPE_KEY=a-long-enough-secret"] });
  await live(3);
  await ask("config:unset", { names: ["OLD_FLAG"] });
  await live(4);
  builder.answer((request) => ({
    ...succeeded(request),
    processTypes: { web: { command: "serve --fast" }, clock: { command: "tick" } },
  }));
  commits.push(await pusher.commit({ "a.txt": "2", "b.txt": "b" }, "Hats in colour"));
  await push({ "c.txt": "c" }, "Fix the cart");
  await live(5);
  runtime.answer(() => ({
    ok: false,
    cause: { headline: "web crashes at start", detail: "Cannot find module 'hats'" },
  }));
  await push({ "a.txt": "3" }, "Break it");
  runtime.reset();
  builder.reset();
});

afterAll(async () => {
  await pusher?.[Symbol.asyncDispose]();
  await platform?.[Symbol.asyncDispose]();
});

const ask = (command: string, input: Record<string, unknown> = {}) => platform.ask(command, { app: "shop", ...input });
const push = async (files: Record<string, string>, message: string) => {
  commits.push(await pusher.commit(files, message));
  return pusher.push("main");
};
const releases = async () => (await ask("releases")).data as { version: number; state: string }[];
const live = (version: number) =>
  eventually(async () => expect(await releases()).toContainEqual(expect.objectContaining({ version, state: "live" })));
const short = (index: number) => commits[index]!.slice(0, 7);
const text = async (command: string, input: Record<string, unknown> = {}) => (await ask(command, input)).view.text!;

describe("releases:list", () => {
  test("tells for each release whether it is live, was live, or why it never was", async () => {
    const { data, view } = await ask("releases");
    expect(
      (data as { version: number; state: string; problem: string | null }[]).map(({ version, state, problem }) => [
        version,
        state,
        problem,
      ]),
    ).toEqual([
      [6, "failed", "web crashes at start"],
      [5, "live", null],
      [4, "past", null],
      [3, "past", null],
      [2, "past", null],
      [1, "past", null],
    ]);
    expect(view.table!.rows.map((row) => row[1])).toEqual(["failed", "live", "", "", "", ""]);
    expect(view.hint).toBeUndefined();
  });

  test("says how many there are where it shows fewer", async () => {
    expect((await ask("releases", { num: 2 })).view.hint).toBe("2 of 6; zyndra releases shop -n 6 shows more");
    expect((await ask("deploys", { num: 1 })).view.hint).toBe("1 of 6; zyndra deploys shop -n 6 shows more");
    expect((await ask("deploys", { num: 6 })).view.hint).toBeUndefined();
  });
});

describe("releases:info", () => {
  test("without a version tells of what is live", async () => {
    const { data, view } = await ask("releases:info");
    expect(data).toMatchObject({
      app: "shop",
      version: 5,
      state: "live",
      commit: commits[2],
      subject: "Fix the cart",
      by: "ana",
      image: expect.stringContaining(commits[2]!),
      processTypes: { web: "serve --fast", clock: "tick" },
      releaseCommand: null,
      config: [
        { name: "LOG_LEVEL", origin: null },
        { name: "STRIPE_KEY", origin: null },
      ],
      deploy: { number: 5, status: "live", cause: null },
    });
    expect(view.fields).toContainEqual({
      name: "Release",
      value: expect.stringMatching(/^v5 of shop, live for .*$/),
    });
    expect(view.fields).toContainEqual({ name: "Config vars", value: "LOG_LEVEL, STRIPE_KEY" });
    expect(view.hint).toBe("zyndra releases:diff shop tells what is new in it");
  });

  test("of one that failed tells why; of an older one how to bring it back", async () => {
    const failed = await ask("releases:info", { version: "v6" });
    expect(failed.view.fields).toContainEqual({ name: "Release", value: "v6 of shop, never live: failed" });
    expect(failed.view.fields).toContainEqual({ name: "Why", value: "web crashes at start" });
    expect(failed.view.fields).toContainEqual({ name: "", value: "Cannot find module 'hats'" });
    const past = await ask("releases:info", { version: "1" });
    expect(past.view.fields![0]!.value).toMatch(/^v1 of shop, not live any more; it went live .* ago$/);
    expect(past.view.hint).toBe("zyndra releases:rollback shop v1 brings it back");
  });

  test("never shows a value", async () => {
    expect(JSON.stringify([await ask("releases:info"), await ask("releases:diff", { from: 1 })])).not.toContain(
      "secret",
    );
  });

  test("of a version that is not there, and of an app without releases, says so", async () => {
    await expect(ask("releases:info", { version: "v9" })).rejects.toMatchObject({
      code: "not_found",
      message: "shop has no release v9",
      hint: "zyndra releases shop lists what there is",
    });
    await platform.ask("apps:create", { app: "empty" });
    await expect(platform.ask("releases:info", { app: "empty" })).rejects.toThrow("empty has no releases yet");
    await expect(platform.ask("releases:diff", { app: "empty" })).rejects.toThrow(
      "empty has nothing live to compare with",
    );
  });
});

describe("releases:diff", () => {
  test("without versions tells what is new in what is live", async () => {
    expect(await text("releases:diff")).toBe(
      [
        "shop v4 → v5",
        "",
        `Code: ${short(0)} → ${short(2)}: 2 new commits, 3 files changed`,
        `  + ${short(2)} Fix the cart`,
        `  + ${short(1)} Hats in colour`,
        "",
        "Processes:",
        "  + clock: tick",
        "  ~ web: serve → serve --fast",
        "  - worker: work",
      ].join("\n"),
    );
  });

  test("of an older release compares it with what is live; a failed one comes second", async () => {
    expect(await text("releases:diff", { from: "v6" })).toContain("shop v5 → v6\n");
    expect(await text("releases:diff", { from: "v1" })).toContain(
      ["Config vars:", "  ~ LOG_LEVEL", "  - OLD_FLAG", "  + STRIPE_KEY"].join("\n"),
    );
  });

  test("takes two in the order in which they were named", async () => {
    const back = await text("releases:diff", { from: 5, to: 1 });
    expect(back).toContain(`shop v5 → v1\n\nCode: ${short(2)} → ${short(0)}: 2 commits taken back, 3 files changed\n`);
    expect(back).toContain(`  - ${short(2)} Fix the cart\n`);
    expect(back).toContain("  + OLD_FLAG\n");
    expect(await text("releases:diff", { from: 1, to: 2 })).toBe(
      `shop v1 → v2\n\nCode: ${short(0)} in both, the same image\n\nConfig vars:\n  ~ LOG_LEVEL`,
    );
    expect(await text("releases:diff", { from: 2, to: 2 })).toContain(
      "Config vars, processes and settings are the same.",
    );
  });

  test("shows values to admins and owners with --reveal, and notes it", async () => {
    const { data, view } = await ask("releases:diff", { from: 1, to: 4, reveal: true });
    expect((data as { config: Change[] }).config).toContainEqual({
      name: "LOG_LEVEL",
      change: "changed",
      from: "info",
      to: "debug",
      origin: null,
    });
    expect(view.text).toContain("  ~ LOG_LEVEL: info → debug\n");
    const { actor } = await platform.member("dev", "developer");
    await expect(platform.ask("releases:diff", { app: "shop", reveal: true }, actor)).rejects.toMatchObject({
      code: "forbidden",
    });
    const [refused, shown] = await listAudit(platform.deps.db.db, platform.owner.orgId, 2);
    expect(refused).toMatchObject({ command: "releases:diff", actorName: "dev", outcome: "refused" });
    expect(shown).toMatchObject({ command: "releases:diff --reveal", subject: "shop", outcome: "done" });
  });

  test("says that commits are no longer kept where they are not", async () => {
    const { deps } = platform;
    const appId = runtime.applied[0]!.spec.appId;
    expect(await deps.repos.commitRange(appId, commits[0]!, "f".repeat(40))).toBeNull();
  });
});

describe("deploys:info", () => {
  test("tells the headline, the steps with their times, and why it failed", async () => {
    const failed = await ask("deploys:info");
    expect(failed.data).toMatchObject({
      app: "shop",
      number: 6,
      status: "failed",
      headline: "shop, deploy #6 failed: web crashes at start",
      by: "ana",
      version: 6,
      title: "Break it",
      steps: [
        { name: "wait", state: "done" },
        { name: "build", state: "done" },
        { name: "release", state: "done" },
        { name: "roll-out", state: "failed" },
      ],
      cause: { headline: "web crashes at start" },
    });
    expect(failed.view.fields).toContainEqual({ name: "Why", value: "Cannot find module 'hats'" });
    const { view } = await ask("deploys:info", { number: "#2" });
    expect(view.text).toMatch(/^shop v2 is live at http:\/\/shop\.test \(.* s\)$/);
    expect(view.fields!.map(({ name }) => name)).toEqual(["What", "By", "Version", "Wait", "Release", "Roll-out"]);
  });
});

describe("releases:rollback", () => {
  test("to what is live, with the config that is set, is refused", async () => {
    await expect(ask("releases:rollback", { version: "v5" })).rejects.toMatchObject({
      code: "conflict",
      message: "v5 of shop is live, with the config vars that are set: there is nothing to go back to",
      hint: "zyndra releases shop lists what was live before",
    });
    await expect(ask("releases:rollback", { version: "v6" })).rejects.toThrow("v6 of shop was never live");
  });

  test("tells what it will change: vars, processes, and from where to where", async () => {
    expect(await text("releases:rollback", { version: "v1" })).toBe(
      [
        `shop goes back from v5 (${short(2)} Fix the cart) to v1 (${short(0)} Sell hats): deploy #7`,
        "  set again as in v1: LOG_LEVEL, OLD_FLAG",
        "  unset, since v1 did not have it: STRIPE_KEY",
        "  process clock goes",
        "  process web runs serve",
        "  process worker runs work",
      ].join("\n"),
    );
    await live(7);
  });
});
