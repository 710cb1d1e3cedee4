import { afterAll, beforeAll, expect, test } from "vitest";
import { webApp } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { getPage } from "../support/get-page.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";

/** An app's own files, from the push to the page: with the builder and the runtime of this machine. */
let platform: TestPlatform;
let appNumber = 0;

beforeAll(async () => {
  platform = await testPlatform();
});

afterAll(() => platform?.[Symbol.asyncDispose]());

async function newApp(): Promise<{ name: string; pusher: Pusher; page(path?: string): Promise<string> }> {
  const name = `app${++appNumber}`;
  await platform.ask("apps:create", { app: name });
  const pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/${name}.git`);
  const url = `http://${name}.localhost:${platform.port}`;
  return { name, pusher, page: async (path = "/") => (await getPage(`${url}${path}`)).body };
}

const yml = (...lines: string[]) => ({ "zyndra.yml": ["version: 1", ...lines, ""].join("\n") });
const inFolder = (folder: string, files: Record<string, string>) =>
  Object.fromEntries(Object.entries(files).map(([path, text]) => [`${folder}/${path}`, text]));

test("the smallest file changes nothing, and one that says it all is followed", async () => {
  const { pusher, page } = await newApp();
  await using _ = pusher;
  await pusher.commit({ ...webApp("smallest"), ...yml() });
  expect((await pusher.push("main")).exitCode).toBe(0);
  expect(await page()).toBe("smallest");

  await pusher.commit({
    ...webApp("all"),
    ...yml(
      "processes:",
      "  web:",
      "    command: node server.js --flag",
      "    replicas: 2",
      "    health: { readiness: { path: /healthz, timeout: 3s } }",
      "deploy: { timeout: 1m, drain: 1s, stop_grace: 5s }",
      "env:",
      "  WORD: hats",
      "  WHERE: { from: app.name }",
      "hooks:",
      '  release: "echo release of $WORD"',
      '  after_deploy: "echo after $ZYNDRA_RELEASE_VERSION"',
    ),
  });
  const pushed = await pusher.push("main");
  expect(pushed.output).toContain("remote:        zyndra.yml: web, release\n");
  expect(pushed.output).toContain("remote:        2 config vars, from zyndra.yml, WHERE, WORD added since v1\n");
  expect(pushed.output).toContain("remote:        release of hats\n");
  expect(pushed.output).toContain("remote:        web 2 of 2 healthy (GET /healthz 200)\n");
  expect(pushed.output).toMatch(/web 2 of 2 healthy[\s\S]*remote: {8}after v2\n[\s\S]*success: /);
  expect(await page("/env/WORD")).toBe("hats");
});

test("a health path that is not well keeps the old version", async () => {
  const { pusher, page } = await newApp();
  await using _ = pusher;
  await pusher.commit(webApp("well"));
  await pusher.push("main");
  const app = webApp("ill");
  app["server.js"] = app["server.js"]!.replace("res.end(", 'res.statusCode = req.url === "/up" ? 500 : 200; res.end(');
  await pusher.commit({ ...app, ...yml("processes: { web: { health: /up } }", "deploy: { timeout: 2s }") });
  const refused = await pusher.push("main");
  expect(refused.exitCode).toBe(1);
  expect(refused.output).toMatch(/error: .*\/up.*500/);
  expect(await page()).toBe("well");
});

test("one app of a repository of several is built and run in its folder, and reaches what lies beside it", async () => {
  const { pusher, page } = await newApp();
  await using _ = pusher;
  const shop = webApp("shop");
  shop["server.js"] = shop["server.js"]!.replace('"shop"', 'require("../../shared/word.js")');
  await pusher.commit({
    ...inFolder("apps/shop", shop),
    ...inFolder("apps/blog", webApp("blog")),
    "shared/word.js": 'module.exports = "hats of " + require("path").basename(process.cwd());\n',
    "apps/shop/Procfile": "web: node server.js\nrelease: ls\n",
  });
  const nothing = await pusher.push("main");
  expect(nothing.output).toContain("error: found nothing to build");
  expect(nothing.output).toContain('with the two lines "version: 1" and "build: { root: apps/blog }" names the folder');
  await pusher.commit(yml("build: { root: apps/shop }"));
  const pushed = await pusher.push("main");
  expect(pushed.output).toContain("remote:        apps/shop/Procfile: web, release\n");
  expect(pushed.output).toContain("remote:        server.js\n");
  expect(pushed.exitCode).toBe(0);
  expect(await page()).toBe("hats of shop");
});

test("a static site is built and served, with nothing else", async () => {
  const { pusher, page } = await newApp();
  await using _ = pusher;
  await pusher.commit({
    "package.json": JSON.stringify({
      private: true,
      scripts: { build: "mkdir -p web/out && echo hats > web/out/index.html", start: "exit 1" },
    }),
    ...yml("build: { builder: static, output: web/out }"),
  });
  expect((await pusher.push("main")).exitCode).toBe(0);
  expect(await page()).toBe("hats\n");
});

test("Heroku's files work unchanged: Procfile, app.json with its formation, env and scripts", async () => {
  const { name, pusher, page } = await newApp();
  await using _ = pusher;
  await pusher.commit({
    ...webApp("heroku"),
    Procfile: "web: node server.js\nworker: node -e 'setInterval(() => {}, 1000)'\nrelease: echo migrated\n",
    "app.json": JSON.stringify({
      name: "Hats",
      env: { SECRET: { generator: "secret" }, WORD: { value: "hats" }, NEEDED: { description: "for payments" } },
      formation: { web: { quantity: 1, size: "basic" }, worker: { quantity: 1 } },
      scripts: { postdeploy: "echo seeded" },
      stack: "heroku-24",
      buildpacks: [{ url: "heroku/nodejs" }],
    }),
  });
  const pushed = await pusher.push("main");
  expect(pushed.exitCode).toBe(0);
  expect(pushed.output).toContain(`warning: app.json asks for NEEDED: zyndra config:set ${name} NEEDED=VALUE`);
  expect(pushed.output).toMatch(/remote: {8}migrated\n[\s\S]*remote: {8}seeded\n[\s\S]*worker 1 of 1 healthy/);
  expect(await page("/env/WORD")).toBe("hats");
  expect(await page("/env/SECRET")).toMatch(/^[0-9a-f]{64}$/);

  await pusher.commit({ Procfile: "web: node server.js\n", "app.json": null });
  await pusher.push("main");
  expect(await page("/env/WORD")).toBe("undefined");
  await platform.ask("releases:rollback", { app: name });
  await eventually(async () => expect(await page("/env/WORD")).toBe("hats"));
});
