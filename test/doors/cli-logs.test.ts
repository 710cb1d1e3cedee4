import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AppLogLine, AppLogOptions } from "../../src/runtime/runtime.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";
import { type Desk, openDesk } from "./cli-harness.ts";

/** What is typed to read an app's log, and what the runtime is then asked for. */
let platform: TestPlatform;
let desk: Desk;
let asked: AppLogOptions[] = [];
let isSilent = false;
const line: AppLogLine = { at: new Date("2026-01-02T03:04:05.678Z"), process: "web.1", text: "an Error" };

beforeAll(async () => {
  const runtime = standInRuntime();
  const processes = {
    ...runtime.processes,
    async *logs(_: string, options: AppLogOptions) {
      asked.push(options);
      if (!isSilent && (options.isWanted?.(line.text) ?? true)) yield line;
    },
  };
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime: { ...runtime, processes } } });
  await platform.ask("apps:create", { app: "shop" });
  desk = await openDesk();
});
afterAll(async () => {
  await desk?.[Symbol.asyncDispose]();
  await platform?.[Symbol.asyncDispose]();
});

const zyndra = (words: string) => {
  asked = [];
  return desk.zyndra(words, { override: { url: platform.url, token: platform.token } });
};

describe("logs", () => {
  test.each<[string, Partial<AppLogOptions>]>([
    ["logs shop", { lines: 100, follow: false }],
    ["logs shop -n 5 --tail", { lines: 5, follow: true }],
    ["logs shop --since 2026-11-26T10:00:00Z", { lines: 10_000, since: new Date("2026-11-26T10:00:00Z") }],
    // Without a zone it is meant by the clock of who types it.
    ["logs shop --since 2026-11-26T10:00 -n 7", { lines: 7, since: new Date(2026, 10, 26, 10) }],
    ["logs shop --source router", { source: "router" }],
    ["logs shop -s heroku", { source: "router" }],
    ["logs shop --dyno web.1", { process: "web.1" }],
    ["logs shop --ps worker", { process: "worker" }],
    ["logs shop -d web.1", { process: "web.1" }],
    ["logs shop -p web --source=app", { process: "web", source: "app" }],
  ])("%s", async (words, options) => {
    expect(await zyndra(words)).toEqual({ code: 0, out: "2026-01-02T03:04:05.678Z web.1    an Error\n", err: "" });
    expect(asked[0]).toMatchObject(options);
  });

  test("--since of a while ago is by the server's clock", async () => {
    const before = Date.now();
    await zyndra("logs shop --since 10m");
    const sinceMs = asked[0]!.since!.getTime() + 600_000;
    expect(sinceMs).toBeGreaterThanOrEqual(before);
    expect(sinceMs).toBeLessThanOrEqual(Date.now());
  });

  test("--grep finds a text in capitals or not", async () => {
    expect((await zyndra("logs shop --grep error")).out).toContain("an Error");
    expect(await zyndra("logs shop -g nothing")).toEqual({ code: 0, out: "", err: "hint: nothing of shop fits\n" });
  });

  test("that has nothing says so beside the output, and why", async () => {
    const nothing = async (words: string) => {
      const { code, out, err } = await zyndra(words);
      expect({ code, out }).toEqual({ code: 0, out: "" });
      return err;
    };
    isSilent = true;
    expect(await nothing("logs shop")).toBe("hint: nothing was written yet by shop\n");
    expect(await nothing("logs shop -p web.1")).toBe("hint: nothing was written yet by web.1 of shop\n");
    isSilent = false;
  });

  test.each([
    ["logs shop --since yesterday", '--since needs a time such as 10m, 2h, 14:30 or 2026-11-26T10:00, not "yesterday"'],
    ["logs shop --source db", "--source is app or router"],
    ["logs shop --grep=", "--grep needs a text"],
    ["logs shop --process -x", "--process needs a value"],
    ["logs shop -n 20000", "--num can be 10000 at most"],
  ])("%s is refused in a sentence", async (words, sentence) => {
    const { code, err } = await zyndra(words);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(`error: ${sentence}`) });
  });
});
