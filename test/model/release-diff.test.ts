import { describe, expect, test } from "vitest";
import type { AppSettings } from "../../src/model/app-settings.ts";
import { changesBetween, processChanges, settingChanges, settingsThatMatter } from "../../src/model/release-diff.ts";

const release = (
  processes: Record<string, string>,
  releaseCommand: string | null = null,
  settings: AppSettings = {},
) => ({
  processTypes: Object.fromEntries(Object.entries(processes).map(([type, command]) => [type, { command }])),
  releaseCommand,
  settings,
});

test("what was added, changed and removed is told by name, sorted; an empty value is one", () => {
  expect(changesBetween({ SAME: "1", OLD: "", LEVEL: "info" }, { SAME: "1", LEVEL: "debug", EMPTY: "" })).toEqual([
    { name: "EMPTY", change: "added", to: "" },
    { name: "LEVEL", change: "changed", from: "info", to: "debug" },
    { name: "OLD", change: "removed", from: "" },
  ]);
  expect(changesBetween({ A: "1" }, { A: "1" })).toEqual([]);
});

test("process types are compared by their commands, the release command among them", () => {
  const before = release({ web: "node a.js", clock: "node clock.js" });
  const after = release({ web: "node b.js", worker: "node work.js" }, "npm run migrate");
  expect(processChanges(before, after)).toEqual([
    { name: "clock", change: "removed", from: "node clock.js" },
    { name: "release", change: "added", to: "npm run migrate" },
    { name: "web", change: "changed", from: "node a.js", to: "node b.js" },
    { name: "worker", change: "added", to: "node work.js" },
  ]);
});

describe("settings", () => {
  test("are named by where they stand, times in words; commands, counts, env and origins are left out", () => {
    expect(
      settingsThatMatter({
        name: "shop",
        build: { root: "web", secrets: ["NPM_TOKEN", "KEY"], timeoutMs: 1_200_000 },
        processes: { web: { command: "node a.js", count: 2, health: { path: "/up" }, stopGraceMs: 30_000 } },
        hooks: { release: { command: "migrate", timeoutMs: 5_000 }, afterDeploy: { command: "warm" } },
        rollout: { drainMs: 45_000 },
        cron: [{ name: "nightly", schedule: "0 3 * * *", command: "node report.js", overlap: "forbid" }],
        env: { LOG_LEVEL: { value: "info" } },
        origins: { "build.root": "zyndra.yml:3" },
      }),
    ).toEqual({
      "build.root": "web",
      "build.secrets": "NPM_TOKEN, KEY",
      "build.timeout": "20 min",
      "processes.web.health.path": "/up",
      "processes.web.stopGrace": "30 s",
      "hooks.release.timeout": "5.0 s",
      "hooks.after_deploy.command": "warm",
      "rollout.drain": "45 s",
      "cron.nightly.schedule": "0 3 * * *",
      "cron.nightly.command": "node report.js",
      "cron.nightly.overlap": "forbid",
    });
    expect(settingsThatMatter({})).toEqual({});
  });

  test("that changed are told", () => {
    const before = release({}, null, { rollout: { drainMs: 30_000 }, build: { cache: false } });
    const after = release({}, null, { rollout: { drainMs: 60_000 } });
    expect(settingChanges(before, after)).toEqual([
      { name: "build.cache", change: "removed", from: "false" },
      { name: "rollout.drain", change: "changed", from: "30 s", to: "60 s" },
    ]);
  });
});
