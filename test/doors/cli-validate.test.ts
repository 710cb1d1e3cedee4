import { execFileSync } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Desk, openDesk } from "./cli-harness.ts";

/** `zyndra validate` in a folder of somebody's machine: no server is asked. */
let desk: Desk;

beforeEach(async () => {
  desk = await openDesk();
});
afterEach(() => desk[Symbol.asyncDispose]());

async function write(files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(desk.work, path)), { recursive: true });
    await writeFile(join(desk.work, path), text);
  }
}

const validate = (words = "", options: Parameters<Desk["zyndra"]>[1] = {}) => desk.zyndra(`validate ${words}`, options);
const yml = (...lines: string[]) => ({ "zyndra.yml": ["version: 1", ...lines, ""].join("\n") });

describe("what is wrong", () => {
  test("is shown all at once, each with its line and a mark below it", async () => {
    await write({ ...yml("nmae: shop", "deploy:", "\ttimeout: 30"), Procfile: "web node server.js\n" });
    expect(await validate()).toMatchObject({
      code: 1,
      out: expect.stringContaining("a tab stands where spaces indent"),
    });

    await write(yml("nmae: shop", "deploy: { timeout: 30 }"));
    expect(await validate()).toEqual({
      code: 1,
      out: `zyndra.yml:2:1: "nmae" is not known
    nmae: shop
    ^^^^
  did you mean name?

zyndra.yml:3:20: timeout has no unit: 30 of what?
    deploy: { timeout: 30 }
                       ^^
  write 30s, 30m or 30h

Procfile:1:1: "web node server.js" has no colon
    web node server.js
    ^^^^^^^^^^^^^^^^^^
  a line looks like this: web: node server.js

`,
      err: `error: zyndra.yml and Procfile have 3 faults (in ${desk.work})\n`,
    });
  });

  test("is data for a program", async () => {
    await write(yml("nmae: shop"));
    const { code, out } = await validate("--json");
    expect(code).toBe(1);
    expect(JSON.parse(out)).toEqual({
      ok: false,
      faults: [
        {
          file: "zyndra.yml",
          line: 2,
          column: 1,
          text: "nmae",
          problem: '"nmae" is not known',
          suggestion: "did you mean name?",
        },
      ],
      warnings: [],
    });
  });

  test("does not repeat a secret", async () => {
    const key = `sk_live_${"a1".repeat(12)}`;
    await write(yml(`env: { STRIPE_KEY: ${key} }`));
    const { code, out, err } = await validate();
    expect(code).toBe(1);
    expect(out).toContain("the value looks like a Stripe key");
    expect(out + err).not.toContain(key);
  });

  test("includes a link, and a root that is not there", async () => {
    await symlink("/etc/passwd", join(desk.work, "Procfile"));
    await write(yml());
    expect((await validate()).out).toContain("Procfile:1:1: it is a symbolic link");
    await write({ ...yml("build: { root: shpo }"), "shop/index.html": "hats" });
    expect((await validate()).out).toContain("did you mean shop?");
  });

  test("includes that nothing could be built of it", async () => {
    await write({ ...yml(), "notes.txt": "hats" });
    expect(await validate()).toMatchObject({
      code: 1,
      out: "zyndra.yml: no faults\n",
      err: expect.stringMatching(/^error: found nothing to build: looked for Procfile.*\nhint: /),
    });
  });
});

describe("what is right", () => {
  const app = { "package.json": JSON.stringify({ scripts: { start: "node server.js" } }) };

  test("is shown as it would run, with where each value comes from", async () => {
    await write({
      ...app,
      ...yml("processes:", "  web: { replicas: 2, health: /up }", "  worker:", "env: { SECRET: { generate: 32 } }"),
      Procfile: "worker: node worker.js\nrelease: npm run migrate\nclock: ./tick\n",
      "app.json": JSON.stringify({ env: { WORD: "hats" }, addons: ["heroku-postgresql"] }),
    });
    expect(await validate()).toEqual({
      code: 0,
      out: `zyndra.yml, Procfile, app.json: no faults

KEY                        VALUE                           FROM
hooks.release              npm run migrate                 Procfile:2
processes.web.command      node server.js                  detected
processes.web.replicas     2                               zyndra.yml:3
processes.web.health       GET /up                         zyndra.yml:3
processes.worker.command   node worker.js                  Procfile:1
processes.worker.replicas  0                               default
env.WORD                   hats                            app.json:1
env.SECRET                 (made once of 32 random bytes)  zyndra.yml:5
`,
      err: `warning: clock of the Procfile is not among the processes of zyndra.yml: it says all that there are
warning: app.json:1: it asks for heroku-postgresql: zyndra addons:create postgres --app APP
`,
    });
  });

  test("may be no file at all", async () => {
    await write(app);
    expect(await validate()).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^no zyndra\.yml, Procfile or app\.json\n[\s\S]*node server\.js +detected\n/),
    });
  });

  test("is the top of the repository, wherever in it one stands; a folder or file that is named comes first", async () => {
    await write({ ...app, ...yml("name: shop"), "deep/down/zyndra.yml": "version: 2\n" });
    execFileSync("git", ["init", "--quiet"], { cwd: desk.work });
    const cwd = join(desk.work, "deep/down");
    expect((await validate("", { cwd })).code).toBe(0);
    expect((await validate(".", { cwd })).out).toContain("version must be 1, not 2");
    expect((await validate("deep/down/zyndra.yml")).out).toContain("version must be 1, not 2");
    expect(await validate("package.json")).toMatchObject({ code: 2 });
    expect(await validate("nothing")).toMatchObject({
      code: 1,
      err: expect.stringContaining("no folder or file nothing"),
    });
  });

  test("is data for a program, too", async () => {
    await write({ ...app, ...yml("processes: { web: { replicas: 2 } }") });
    const { code, out } = await validate("--json");
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      faults: [],
      settings: { processes: { web: { count: 2 } } },
      values: expect.arrayContaining([{ key: "processes.web.command", value: "node server.js", from: "detected" }]),
    });
  });
});

test("--schema prints the JSON Schema", async () => {
  const { code, out } = await validate("--schema");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ title: "zyndra.yml", required: ["version"] });
});
