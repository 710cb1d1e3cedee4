import { symlink } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { getApp } from "../../src/db/apps.ts";
import { findLiveRelease } from "../../src/db/releases.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { type StandInBuilder, type StandInRuntime, standInBuilder, standInRuntime } from "../support/stand-ins.ts";

/** What an app's own files do to a deploy: with real pushes on a real database; builder and runtime stand in. */
let platform: TestPlatform;
let builder: StandInBuilder;
let runtime: StandInRuntime;
let name: string;
let pusher: Pusher;
let count = 0;

beforeAll(async () => {
  builder = standInBuilder();
  runtime = standInRuntime();
  platform = await testPlatform({ overrides: { builder, runtime } });
});

afterAll(() => platform?.[Symbol.asyncDispose]());

beforeEach(async () => {
  name = `app${++count}`;
  await ask("apps:create");
  pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/${name}.git`);
  runtime.ran.length = 0;
  builder.builds.length = 0;
  return async () => {
    builder.reset();
    runtime.reset();
    await pusher[Symbol.asyncDispose]();
  };
});

const ask = (command: string, input: Record<string, unknown> = {}) => platform.ask(command, { app: name, ...input });
const app = () => getApp(platform.deps.db.db, platform.owner.orgId, name);
const serving = async () => runtime.serving.get((await app()).id);
const live = async () => (await findLiveRelease(platform.deps.db.db, await app()))!;
const yml = (...lines: string[]) => ({ "zyndra.yml": ["version: 1", ...lines, ""].join("\n") });
const statuses = async () =>
  ((await ask("deploys")).data as { number: number; status: string }[]).map(
    ({ number, status }) => `#${number} ${status}`,
  );

async function push(files: Record<string, string | null>, ...args: string[]) {
  await pusher.commit({ "a.txt": String(Math.random()), ...files });
  return pusher.push(...args, "main");
}

describe("what is wrong in the files", () => {
  test("is told all at once, with line and column, before anything is built; mended, the push goes through", async () => {
    const refused = await push({
      ...yml("processes:", "  web:", "    instances: 2", "deploy: { timeout: 30 }"),
      Procfile: "web node server.js\n",
    });
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toContain(
      'remote:        zyndra.yml:4:5: "instances" is not known in web; did you mean replicas?',
    );
    expect(refused.output).toContain(
      "remote:        zyndra.yml:5:20: timeout has no unit: 30 of what?; write 30s, 30m or 30h",
    );
    expect(refused.output).toContain('remote:        Procfile:1:1: "web node server.js" has no colon;');
    expect(refused.output).toContain("remote: error: zyndra.yml and Procfile have 3 faults: zyndra.yml:4:5:");
    expect(refused.output).toContain("! [remote rejected] main -> main (zyndra.yml and Procfile have 3 faults)");
    expect(builder.builds).toEqual([]);
    const mended = await push({ ...yml("processes:", "  web:", "    replicas: 2"), Procfile: null });
    expect(mended.exitCode).toBe(0);
  });

  test("and stands alone is told in two lines", async () => {
    const refused = await push(yml("processes: { web: { port: 3000 } }"));
    expect(refused.output).toMatch(
      /remote: error: zyndra\.yml has a fault: zyndra\.yml:2:21: port is not in this version\nremote: hint: remove it: web must listen on \$PORT/,
    );
    expect(refused.output).not.toContain("Reading");
  });

  test("names the app in the lines to type", async () => {
    const refused = await push(yml("addons: { db: { type: postgres } }"));
    expect(refused.output).toContain(`zyndra addons:create postgres --app ${name}`);
  });

  test("a zyndra.yml that is a link is refused", async () => {
    await symlink("/etc/passwd", `${pusher.folder}/zyndra.yml`);
    const refused = await push({});
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toContain("zyndra.yml:1:1: it is a symbolic link, and Zyndra follows no links of a commit");
    expect(refused.output).not.toContain("root:");
  });

  test("a file with another name is refused with the right one", async () => {
    const refused = await push({ "zyndra.yaml": "version: 1\n" });
    expect(refused.output).toContain("zyndra.yaml is not read: the file is called zyndra.yml");
    expect(refused.output).toContain("hint: git mv zyndra.yaml zyndra.yml");
  });

  test("a root that is not there is refused, also where it is a link", async () => {
    const refused = await push({ ...yml("build: { root: shpo }"), "shop/index.html": "hats" });
    expect(refused.output).toContain("zyndra.yml:2:10: the commit has no folder shpo");
    expect(refused.output).toContain("hint: did you mean shop?");
    await symlink("shop", `${pusher.folder}/link`);
    const linked = await push(yml("build: { root: link }"));
    expect(linked.output).toContain("the commit has no folder link");
  });
});

describe("name", () => {
  test("keeps a push from the wrong app", async () => {
    const refused = await push(yml("name: blog"));
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toContain(
      `remote: error: this zyndra.yml is for another app: blog: zyndra.yml:2: name: blog; this is ${name}`,
    );
    expect(refused.output).toContain(`hint: push to blog (zyndra git:remote blog), or write name: ${name}`);
    expect(builder.builds).toEqual([]);
    expect((await push(yml(`name: ${name}`))).exitCode).toBe(0);
  });
});

describe("what is said of the build", () => {
  test("reaches the builder; Procfile and app.json are looked for in the root", async () => {
    await push({
      ...yml("build: { root: apps/shop, cache: false, timeout: 2m, args: { LEVEL: 3 } }"),
      Procfile: "web: ./not-this\n",
      "apps/shop/Procfile": "web: ./web\nworker: ./worker\nrelease: ./migrate\n",
      "apps/shop/app.json": JSON.stringify({ formation: { worker: { quantity: 2 } } }),
    });
    expect(builder.builds[0]!.settings).toMatchObject({
      build: { root: "apps/shop", cache: false, timeoutMs: 120_000, args: { LEVEL: "3" } },
      processes: { web: { command: "./web" }, worker: { command: "./worker", count: 2 } },
      hooks: { release: { command: "./migrate" } },
      origins: { "processes.web.command": "apps/shop/Procfile:1", "build.root": "zyndra.yml:2" },
    });
    expect((await serving())?.formation).toEqual({ web: 1, worker: 2 });
    expect(runtime.ran).toEqual([{ command: "./migrate", version: 1 }]);
  });

  test("a config var that the build cannot do without is asked for before the build", async () => {
    const refused = await push(
      yml("build:", "  secrets: [NPM_TOKEN, OTHER]", "env: { OTHER: { required: true, description: the other one } }"),
    );
    expect(refused.output).toContain(
      "error: 2 config vars are not set: OTHER: the other one (zyndra.yml:4), NPM_TOKEN (zyndra.yml:3)",
    );
    expect(refused.output).toContain(`hint: zyndra config:set ${name} OTHER=VALUE NPM_TOKEN=VALUE, then push again`);
    expect(builder.builds).toEqual([]);
    await ask("config:set", { vars: ["NPM_TOKEN=secret-token-1", "OTHER=2"] });
    expect((await pusher.push("main")).exitCode).toBe(0);
    expect(builder.builds[0]!.env).toEqual({ NPM_TOKEN: "secret-token-1", OTHER: "2" });
  });
});

describe("env", () => {
  test("a default holds until a config var is set, sync wins over it, and the platform fills in what it knows", async () => {
    const pushed = await push(
      yml(
        "env:",
        "  LOG_LEVEL: info",
        "  FEATURES: { value: new, sync: true }",
        "  PUBLIC_URL: { from: app.url }",
        "  NAME: { from: app.name }",
      ),
    );
    expect(pushed.output).toContain("remote:        4 config vars, from zyndra.yml");
    expect((await serving())?.env).toEqual({
      LOG_LEVEL: "info",
      FEATURES: "new",
      PUBLIC_URL: `http://${name}.test`,
      NAME: name,
    });
    await ask("config:set", { vars: ["LOG_LEVEL=debug", "FEATURES=old"] });
    await eventually(async () =>
      expect((await serving())?.env).toMatchObject({ LOG_LEVEL: "debug", FEATURES: "new", NAME: name }),
    );
  });

  test("generate makes a value once; from then on it is a config var, set by the file", async () => {
    const pushed = await push(yml("env:", "  SESSION_SECRET: { generate: 24, secret: true }"));
    expect(pushed.output).toContain("SESSION_SECRET is made: zyndra.yml:3 asks for it");
    const made = (await serving())!.env.SESSION_SECRET!;
    expect(made).toMatch(/^[0-9a-f]{48}$/);
    expect(pushed.output).not.toContain(made);
    const again = await push({});
    expect(again.output).not.toContain("is made");
    expect((await serving())!.env.SESSION_SECRET).toBe(made);
    const { data } = await ask("config");
    expect(data).toMatchObject([{ name: "SESSION_SECRET", updatedBy: "zyndra.yml" }]);
  });

  test("a config change that takes away what is required fails, and what was live goes on", async () => {
    await ask("config:set", { vars: ["STRIPE_KEY=hats"] });
    await push(yml("env: { STRIPE_KEY: { required: true } }"));
    await ask("config:unset", { names: ["STRIPE_KEY"] });
    await eventually(async () => expect(await statuses()).toEqual(["#2 failed", "#1 live"]));
    expect((await serving())?.env).toEqual({ STRIPE_KEY: "hats" });
  });

  test("app.json's required is only warned of, and an add-on it asks for until it is there", async () => {
    const appJson = {
      env: {
        STRIPE_KEY: { description: "for payments" },
        TOKEN: { generator: "secret" },
        LEVEL: "info",
        NOT: { required: false },
      },
      addons: ["heroku-postgresql"],
    };
    const pushed = await push({ "app.json": JSON.stringify(appJson) });
    expect(pushed.exitCode).toBe(0);
    expect(pushed.output).toContain(
      `warning: app.json asks for STRIPE_KEY: zyndra config:set ${name} STRIPE_KEY=VALUE`,
    );
    expect(pushed.output).toContain(`it asks for heroku-postgresql: zyndra addons:create postgres --app ${name}`);
    expect((await serving())?.env).toEqual({ TOKEN: expect.stringMatching(/^[0-9a-f]{64}$/), LEVEL: "info" });
    await ask("config:set", { vars: ["STRIPE_KEY=hats", "DATABASE_URL=postgres://elsewhere"] });
    expect((await push({})).output).not.toContain("warning:");
  });
});

describe("hooks", () => {
  const hooks = yml("hooks:", "  release: ./migrate", "  first_deploy: ./seed", "  after_deploy: ./warm");

  test("run in their order: release and first deploy before the switch, the other one after it", async () => {
    const pushed = await push(hooks);
    expect(runtime.ran.map(({ command }) => command)).toEqual(["./migrate", "./seed", "./warm"]);
    expect(pushed.output).toMatch(
      /Releasing v1\n[\s\S]*\.\/migrate\n[\s\S]*\.\/seed\n[\s\S]*Rolling out\n[\s\S]*\.\/warm\n[\s\S]*is live/,
    );
    runtime.ran.length = 0;
    await push({});
    expect(runtime.ran.map(({ command }) => command)).toEqual(["./migrate", "./warm"]);
    runtime.ran.length = 0;
    await ask("releases:rollback");
    await eventually(async () => expect(await statuses()).toEqual(["#3 live", "#2 live", "#1 live"]));
    await eventually(() => expect(runtime.ran.map(({ command }) => command)).toEqual(["./warm"]));
  });

  test("the first deploy's runs again as long as nothing went live, and its failure keeps the deploy from it", async () => {
    runtime.whenRun(async (command) => (command === "./seed" ? 3 : 0));
    const refused = await push(hooks);
    expect(refused.output).toContain("error: the first deploy's hook failed: ./seed: exit 3");
    expect(await serving()).toBeUndefined();
    runtime.reset();
    runtime.ran.length = 0;
    expect((await pusher.push("main")).exitCode).toBe(0);
    expect(runtime.ran.map(({ command }) => command)).toEqual(["./migrate", "./seed", "./warm"]);
  });

  test("the one after the deploy only warns when it fails", async () => {
    runtime.whenRun(async (command) => (command === "./warm" ? 1 : 0));
    const pushed = await push(hooks);
    expect(pushed.exitCode).toBe(0);
    expect(pushed.output).toContain(
      "warning: the hook after the deploy failed: ./warm: exit 1; the new version serves nevertheless",
    );
  });

  test("one that takes too long is ended, as the file says", async () => {
    runtime.whenRun(
      (_, signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );
    const refused = await push(yml("hooks: { release: { command: ./migrate, timeout: 1s } }"));
    expect(refused.output).toContain("error: the release command took longer than 1.0 s: ./migrate");
  });
});

describe("processes", () => {
  test("counts hold until somebody scales, and the runtime is told how to ask and how long to wait", async () => {
    const pushed = await push(
      yml(
        "deploy: { drain: 3s, stop_grace: 20s }",
        "processes:",
        "  web: { replicas: 2, health: { readiness: { path: /up, timeout: 3s } } }",
        "  worker: { command: work, replicas: 1, stop_grace: 2m }",
      ),
    );
    expect(pushed.exitCode).toBe(0);
    expect(await serving()).toMatchObject({
      formation: { web: 2, worker: 1 },
      healthPath: "/up",
      healthTimeoutMs: 3_000,
      drainMs: 3_000,
      stopGraceMs: { web: 20_000, worker: 120_000 },
    });
    expect((await ask("ps")).view.text).toContain("web=2");
    await ask("ps:scale", { changes: ["worker=3"] });
    await push({});
    expect((await serving())?.formation).toEqual({ web: 2, worker: 3 });
  });

  test("a rollback brings back what the files said, and the same files again do so without a build", async () => {
    await push(yml("processes: { web: { replicas: 2 } }", "env: { MODE: first }", "hooks: { after_deploy: ./one }"));
    await push(yml("processes: { web: { replicas: 3 } }", "env: { MODE: second }"));
    expect(await serving()).toMatchObject({ formation: { web: 3, worker: 0 }, env: { MODE: "second" } });
    await ask("releases:rollback");
    await eventually(async () => expect(await statuses()).toEqual(["#3 live", "#2 live", "#1 live"]));
    expect(await serving()).toMatchObject({ formation: { web: 2, worker: 0 }, env: { MODE: "first" } });
    expect((await live()).settings).toMatchObject({ hooks: { afterDeploy: { command: "./one" } } });
    await ask("deploy", {});
    await eventually(async () => expect((await statuses())[0]).toBe("#4 live"));
    expect(await serving()).toMatchObject({ formation: { web: 3 }, env: { MODE: "second" } });
    expect(builder.builds).toHaveLength(2);
  });
});
