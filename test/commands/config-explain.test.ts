import { afterAll, beforeAll, expect, test } from "vitest";
import type { Explained } from "../../src/model/explain.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher } from "../support/pusher.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";

let platform: TestPlatform;

beforeAll(async () => {
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime: standInRuntime() } });
});
afterAll(() => platform?.[Symbol.asyncDispose]());

const ask = (command: string, input: Record<string, unknown> = {}) => platform.ask(command, { app: "shop", ...input });
const explained = async () => ((await ask("config:explain")).data as { values: Explained[] }).values;

test("config:explain tells every value that is in effect, and where it comes from", async () => {
  await ask("apps:create");
  await expect(ask("config:explain")).rejects.toMatchObject({
    code: "conflict",
    message: "nothing of shop is live yet",
  });
  await using pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
  await ask("config:set", { vars: ["STRIPE_KEY=a-long-enough-secret"] });
  await pusher.commit({
    "zyndra.yml": [
      "version: 1",
      "build: { timeout: 7m }",
      "processes:",
      "  web: { replicas: 2, health: /up, stop_grace: 1m }",
      "  worker:",
      "env:",
      "  LOG_LEVEL: info",
      "  SESSION_SECRET: { generate: 32 }",
      "hooks: { after_deploy: { command: ./warm, timeout: 30s } }",
      "cron: [{ name: nightly, schedule: '0 3 * * *', timezone: Europe/Stockholm, command: ./report }]",
    ].join("\n"),
    Procfile: "worker: work\nrelease: ./migrate\n",
    "app.json": JSON.stringify({ env: { WORD: "hats" } }),
  });
  expect((await pusher.push("main")).exitCode).toBe(0);
  const ben = (await platform.member("ben", "developer")).actor;
  await platform.ask("ps:scale", { app: "shop", changes: ["worker=3"] }, ben);

  const values = await explained();
  expect(values.map(({ key, value, from }) => `${key} | ${value} | ${from}`)).toEqual([
    "build.builder | auto | default",
    "build.root | . | default",
    "build.cache | true | default",
    "build.timeout | 7m | zyndra.yml:2",
    "deploy.timeout | 20s | default",
    "hooks.release | ./migrate (at most 10m) | Procfile:2",
    "hooks.after_deploy | ./warm (at most 30s) | zyndra.yml:9",
    "processes.web.command | serve | detected",
    "processes.web.replicas | 2 | zyndra.yml:4",
    "processes.web.health | GET /up | zyndra.yml:4",
    "processes.web.stop_grace | 1m | zyndra.yml:4",
    "processes.worker.command | work | Procfile:1",
    "processes.worker.replicas | 3 | ps:scale by ben",
    "cron.nightly | 0 3 * * * Europe/Stockholm: ./report | zyndra.yml:10",
    "env.LOG_LEVEL | info | zyndra.yml:7",
    "env.SESSION_SECRET | (hidden) | zyndra.yml:8, made once",
    "env.STRIPE_KEY | (hidden) | config:set by ana",
    "env.WORD | hats | app.json:1",
  ]);
  expect(JSON.stringify(values)).not.toContain("a-long-enough-secret");
  const { view } = await ask("config:explain");
  expect(view.text).toBe("shop v1");
  expect(view.table?.columns).toEqual(["KEY", "VALUE", "FROM"]);
});
