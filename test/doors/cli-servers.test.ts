import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findKnown } from "../../src/cli/settings.ts";
import { type Desk, openDesk } from "./cli-harness.ts";
import { type TestWeb, testWeb } from "./web-harness.ts";

let web: TestWeb;
let second: TestWeb;
let ana: { token: string; name: string };
let ben: { token: string; name: string };
let desk: Desk;

beforeAll(async () => {
  [web, second] = await Promise.all([testWeb(), testWeb()]);
  ana = await web.member("owner");
  ben = await second.member("admin");
  await Promise.all([web.app("shop"), web.app("wiki"), second.app("shop"), second.app("blog")]);
});
afterAll(() => Promise.all([web[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]));
beforeEach(async () => {
  desk = await openDesk();
  await zyndra(`login ${second.url} --token ${ben.token}`);
  await zyndra(`login ${web.url} --token ${ana.token}`);
});
afterEach(() => desk[Symbol.asyncDispose]());

const zyndra: Desk["zyndra"] = (words, options) => desk.zyndra(words, options);
const hostOf = ({ url }: TestWeb) => new URL(url).host;
const git = (...args: string[]) => execFileSync("git", args, { cwd: desk.work });

describe("several servers", () => {
  test("are listed with who one is there, and which is in use", async () => {
    const { code, out, err } = await zyndra("servers");
    expect(out).toMatch(/^SERVER +AS\n/);
    expect(out).toMatch(new RegExp(`^${second.url} +${ben.name}$`, "m"));
    expect(out).toMatch(new RegExp(`^${web.url} +${ana.name} +in use$`, "m"));
    expect(err).toBe("hint: zyndra servers:use SERVER chooses; --server SERVER asks another once\n");
    expect(code).toBe(0);
    expect(JSON.parse((await zyndra("servers --json")).out)).toEqual([
      { url: second.url, name: ben.name, current: false, here: false },
      { url: web.url, name: ana.name, current: true, here: true },
    ]);
  });

  test("are chosen by address or by name; a name that is not known is told with what to type", async () => {
    expect(await zyndra(`servers:use ${hostOf(second)}`)).toEqual({
      code: 0,
      out: `Commands go to ${second.url} from now on, as ${ben.name}.\n`,
      err: "",
    });
    expect((await zyndra("whoami")).out).toContain(ben.name);
    expect(await zyndra(`servers:use ${web.url}/`)).toMatchObject({ code: 0 });
    expect((await zyndra("whoami")).out).toContain(ana.name);
    expect(await zyndra("servers:use nowhere")).toEqual({
      code: 1,
      out: "",
      err: "error: this machine is not logged in to nowhere\nhint: zyndra servers lists where it is; zyndra login nowhere logs in\n",
    });
    expect(await zyndra("servers:use")).toMatchObject({ code: 2 });
    expect(await zyndra("servers:use 127.0.0.1")).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^error: "127\.0\.0\.1" could be 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+\nhint: /),
    });
  });

  test("--server asks another once, wherever it stands in the line, and wins over the environment", async () => {
    for (const words of [`--server ${second.url} whoami`, `whoami --server=${hostOf(second)}`]) {
      expect((await zyndra(words, { override: { url: web.url, token: ana.token } })).out, words).toContain(ben.name);
    }
    expect((await zyndra("whoami")).out).toContain(ana.name);
    expect(await zyndra("whoami --server")).toMatchObject({ code: 2, err: "error: --server needs a value\n" });
    expect(await zyndra("whoami --server https://elsewhere.example.org")).toMatchObject({
      code: 1,
      err: "error: this machine has no token for https://elsewhere.example.org\nhint: zyndra login https://elsewhere.example.org; an owner who lost theirs: zyndra recover, on its machine\n",
    });
  });

  test("the token of the environment is not sent to a server that was typed and has its own, or that it is not meant for", async () => {
    const override = { token: ana.token };
    expect((await zyndra(`whoami --server ${second.url}`, { override })).out).toContain(ben.name);
    await zyndra(`logout ${second.url}`);
    const forWeb = { url: web.url, token: ana.token };
    expect((await zyndra(`whoami --server ${second.url}`, { override: forWeb })).err).toContain(
      `this machine has no token for ${second.url}`,
    );
    // In a script that has nothing but a token and this line it can be meant for nothing else.
    const scripts = await zyndra(`whoami --server ${second.url}`, { override: { token: ben.token } });
    expect(scripts.out).toContain(ben.name);
  });

  test("logout forgets the one that is named, and leaves the others", async () => {
    expect(await zyndra(`logout ${hostOf(second)}`)).toMatchObject({
      code: 0,
      out: `Logged out of ${second.url}. The token itself stays valid; tokens:revoke ends one.\n`,
    });
    expect(await desk.settings()).toEqual({
      current: web.url,
      servers: { [web.url]: { token: ana.token, name: ana.name } },
    });
    expect(await zyndra(`logout --server ${hostOf(web)}`)).toMatchObject({
      code: 0,
      err: expect.stringContaining("warning: the token was kept nowhere else here, and no server shows it again\n"),
    });
    expect(await zyndra("servers")).toEqual({
      code: 0,
      out: "This machine is not logged in anywhere.\n",
      err: "hint: zyndra login URL\n",
    });
  });

  test("in a folder whose remote names another, the list and servers:use say so", async () => {
    git("init", "--quiet");
    await zyndra("git:remote shop");
    expect(await zyndra(`servers:use ${second.url}`)).toMatchObject({
      code: 0,
      err: `hint: in this folder they go to ${web.url}, which its remote or ZYNDRA_URL names\n`,
    });
    const { out } = await zyndra("servers");
    expect(out).toMatch(new RegExp(`^${second.url} +${ben.name} +in use elsewhere$`, "m"));
    expect(out).toMatch(new RegExp(`^${web.url} +${ana.name} +in use in this folder$`, "m"));
  });

  test("a name is the whole host, or the beginning of one only", () => {
    const servers = Object.fromEntries(
      ["https://prod.example.org", "https://pro.example.org", "http://10.0.0.5:7878/paas"].map((url) => [
        url,
        { token: "t", name: "ana" },
      ]),
    );
    expect(findKnown({ servers }, "pro.example.org")).toBe("https://pro.example.org");
    expect(findKnown({ servers }, "PROD")).toBe("https://prod.example.org");
    expect(findKnown({ servers }, "10.0.0.5")).toBe("http://10.0.0.5:7878/paas");
    expect(findKnown({ servers }, "example.org")).toBeUndefined();
    expect(findKnown({ servers }, "")).toBeUndefined();
    expect(() => findKnown({ servers }, "pro")).toThrow('"pro" could be prod.example.org, pro.example.org');
  });
});

describe("the app of a folder", () => {
  const echo = async (options = {}) => (await zyndra("echo hello", options)).out;
  const named = (text: string, folder = desk.work) => writeFile(join(folder, "zyndra.yml"), text);

  test("is the one that zyndra.yml names, also from a folder below it in the repository", async () => {
    await named("version: 1\nname: shop\n");
    expect(await echo()).toBe("shop: hello\n");
    const below = join(desk.work, "packages", "cart");
    await mkdir(below, { recursive: true });
    expect(await zyndra("echo hello", { cwd: below })).toMatchObject({ out: "hello: \n" });
    git("init", "--quiet");
    expect(await echo({ cwd: below })).toBe("shop: hello\n");
    await named("name: wiki\n", below);
    expect(await echo({ cwd: below })).toBe("wiki: hello\n");
    expect((await zyndra("open")).out).toBe("http://shop.localhost\n");
  });

  test("of a repository's remote wins over the file, ZYNDRA_APP over both, --app and a typed app over all", async () => {
    await named("name: wiki\n");
    git("init", "--quiet");
    await zyndra("git:remote shop");
    expect(await echo()).toBe("shop: hello\n");
    expect(await echo({ override: { app: "wiki" } })).toBe("wiki: hello\n");
    expect((await zyndra("echo hello --app shop", { override: { app: "wiki" } })).out).toBe("shop: hello\n");
    expect((await zyndra("echo wiki hello")).out).toBe("wiki: hello\n");
    // The remote is about its own server; the file holds on each.
    await named("name: blog\n");
    expect((await zyndra(`echo hello --server ${second.url}`)).out).toBe("blog: hello\n");
  });

  test("git:remote without a word takes the file's", async () => {
    await named("name: wiki\n");
    git("init", "--quiet");
    expect((await zyndra("git:remote")).out).toContain(`The remote zyndra is ${web.url}/wiki.git`);
  });

  test.each(["- name: shop\n", "env:\n  name: shop\n", "name: [shop]\n", "name: 3\n", "{", ""])(
    "is not looked for further in a file that names none: %j",
    async (text) => {
      await named(text);
      expect((await zyndra("echo")).code).toBe(2);
    },
  );
});
