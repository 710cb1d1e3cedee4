import { execFile, execFileSync, spawn } from "node:child_process";
import { readdir, stat, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { asCalled, drawAppLogLine, drawLogLine, drawTable } from "../../src/cli/draw.ts";
import { parseServerUrl } from "../../src/cli/settings.ts";
import type { Out, World } from "../../src/cli/world.ts";
import type { AppRow } from "../../src/db/schema.ts";
import { freePort } from "../support/free-port.ts";
import { type Desk, openDesk, program, type Ran } from "./cli-harness.ts";
import { lines, live, type TestWeb, testWeb } from "./web-harness.ts";

let web: TestWeb;
let ana: { token: string; name: string };
let shop: AppRow;
let desk: Desk;
let folder: string;

beforeAll(async () => {
  web = await testWeb();
  ana = await web.member("owner");
  shop = await web.app("shop");
});
afterAll(() => web[Symbol.asyncDispose]());
beforeEach(async () => {
  desk = await openDesk();
  folder = desk.folder;
});
afterEach(() => desk[Symbol.asyncDispose]());

const zyndra: Desk["zyndra"] = (words, options) => desk.zyndra(words, options);
const logIn = () => zyndra(`login ${web.url} --token ${ana.token}`);
const settings = async () => (await desk.settings()) as { current: string };

describe("getting in", () => {
  test("without a login every line says how to get in", async () => {
    for (const words of ["apps", "open shop", "git:remote shop"]) {
      expect(await zyndra(words), words).toEqual({
        code: 1,
        out: "",
        err: "error: this machine is not logged in anywhere\nhint: zyndra login URL with a token; on a new Zyndra: zyndra setup URL CODE\n",
      });
    }
  });

  test("without a login whoami tells of the way back, and help what only the server knows", async () => {
    expect((await zyndra("whoami")).err).toContain(
      "setup URL CODE; an owner who lost theirs: zyndra recover, on its machine",
    );
    expect(await zyndra("help config:set")).toEqual({
      code: 1,
      out: "",
      err: 'error: the server knows whether there is a "config:set", and it cannot be asked\nhint: zyndra login URL, where nobody is logged in yet; zyndra doctor says what else is wrong\n',
    });
  });

  test("login keeps a token that the server finds good, for this user alone", async () => {
    expect(await logIn()).toEqual({ code: 0, out: `Logged in to ${web.url} as ${ana.name} (owner).\n`, err: "" });
    expect(await settings()).toEqual({
      current: web.url,
      servers: { [web.url]: { token: ana.token, name: ana.name } },
    });
    const files = join(folder, "config", "zyndra");
    expect((await stat(join(files, "config.json"))).mode & 0o777).toBe(0o600);
    expect((await stat(files)).mode & 0o777).toBe(0o700);
    expect(await readdir(files)).toEqual(["config.json"]);
    expect(await zyndra("whoami")).toEqual({ code: 0, out: `${ana.name} (owner) at ${web.url}\n`, err: "" });
  });

  test("login reads the token from a pipe, and takes a slash at the end of the address", async () => {
    expect(await zyndra(`login ${web.url}/`, { stdin: `${ana.token}\n` })).toMatchObject({ code: 0 });
    expect((await settings()).current).toBe(web.url);
  });

  test("a token that is not good is not kept", async () => {
    const { code, err } = await zyndra(`login ${web.url} --token nonsense`);
    expect(code).toBe(1);
    expect(err).toContain(`error: ${web.url} refuses the token: what was shown as a token is not one\n`);
    expect(await zyndra(`login ${web.url}`, { stdin: "" })).toMatchObject({ code: 2 });
    expect(await zyndra(`login ${web.url}`, { stdin: "päss" })).toMatchObject({ code: 2 });
    await expect(settings()).rejects.toThrow("ENOENT");
  });

  test.each(["login http://192.0.2.1:7878 --token x", "setup http://192.0.2.1:7878 CODE"])(
    "%s sends nothing over plain HTTP to another machine",
    async (words) => {
      const { code, err } = await zyndra(words);
      expect(code).toBe(1);
      expect(err).toMatch(
        /^error: http:\/\/192\.0\.2\.1:7878 is plain HTTP to another machine.*\nhint: .*--plain-http\n$/,
      );
    },
  );

  test("a token in the environment goes to the server in use, not to whichever a folder's remote names", async () => {
    await using second = await testWeb();
    const ben = await second.member("viewer");
    await zyndra(`login ${second.url} --token ${ben.token}`);
    await logIn();
    const cwd = join(folder, "work");
    execFileSync("git", ["init", "--quiet"], { cwd });
    execFileSync("git", ["remote", "add", "zyndra", `${second.url}/shop.git`], { cwd });
    const override = { token: ana.token };
    expect(await zyndra("whoami", { override })).toMatchObject({ out: `${ben.name} (viewer) at ${second.url}\n` });
  });

  test("several servers are kept; the last login is meant, logout falls back to another", async () => {
    await using second = await testWeb();
    const ben = await second.member("viewer");
    await logIn();
    await zyndra(`login ${second.url} --token ${ben.token}`);
    expect((await zyndra("whoami")).out).toContain(ben.name);
    expect((await zyndra("whoami", { override: { url: web.url } })).out).toContain(ana.name);
    expect((await zyndra("logout")).out).toContain(`Commands go to ${web.url} from now on.`);
    expect((await zyndra("whoami")).out).toContain(ana.name);
    expect(await zyndra("logout")).toMatchObject({ code: 0 });
    expect(await zyndra("logout")).toMatchObject({ code: 1 });
  });

  test("setup makes the owner and logs them in; the second time says that there is one", async () => {
    await using fresh = await testWeb({ claimed: false });
    expect((await zyndra(`setup ${fresh.url} 0000`)).err).toContain("error: that is not the setup code\n");
    const { code, out } = await zyndra(`setup ${fresh.url} ${fresh.setupCode} --name Ana`);
    expect({ code, out }).toMatchObject({
      code: 0,
      out: expect.stringContaining(`Ana owns the Zyndra at ${fresh.url} now`),
    });
    expect(out).not.toContain("zyp_");
    expect(await zyndra("whoami")).toMatchObject({ out: `Ana (owner) at ${fresh.url}\n` });
    expect((await zyndra(`setup ${fresh.url} ${fresh.setupCode}`)).err).toContain("has its owner already");
  });

  test("ZYNDRA_URL and ZYNDRA_TOKEN need no file", async () => {
    expect(await zyndra("whoami", { override: { url: web.url, token: ana.token } })).toMatchObject({ code: 0 });
    expect((await zyndra("whoami", { override: { url: web.url } })).err).toContain(
      `error: this machine has no token for ${web.url}\nhint: zyndra login ${web.url}; an owner who lost`,
    );
  });

  test("a damaged settings file is named", async () => {
    await logIn();
    await writeFile(join(folder, "config", "zyndra", "config.json"), "{");
    expect(await zyndra("apps")).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^error: \S+config.json is damaged\n/),
    });
  });

  test.each([
    ["zyndra.example.org", "https://zyndra.example.org"],
    ["https://zyndra.example.org/", "https://zyndra.example.org"],
    ["localhost:7878", "http://localhost:7878"],
    ["127.0.0.1:7878", "http://127.0.0.1:7878"],
    ["http://10.0.0.5:7878/paas/", "http://10.0.0.5:7878/paas"],
  ])("the address %s is understood", (typed, url) => {
    expect(parseServerUrl(typed)).toBe(url);
  });

  test.each(["", "ftp://example.org", "http://", "https://ana:secret@example.org", "a b", "https://example.org/?x=1"])(
    "the address %j is refused",
    (typed) => {
      expect(() => parseServerUrl(typed)).toThrow(/not the address of a server|no user name/);
    },
  );
});

describe("words", () => {
  beforeEach(logIn);

  test("go to the server; facts come on standard output, the hint beside it", async () => {
    expect(await zyndra("apps")).toEqual({
      code: 0,
      out: "NAME  URL\nshop  https://shop.example.org\n",
      err: "hint: zyndra apps:create NAME makes one\n",
    });
    expect(await zyndra("echo shop")).toEqual({ code: 0, out: "shop: \n", err: "warning: nothing was said\n" });
  });

  test("that other programs have for the same are understood, also with a space for the colon", async () => {
    const who = await zyndra("whoami");
    expect(await zyndra("auth:whoami")).toEqual(who);
    expect(await zyndra("auth whoami")).toEqual(who);
    expect(await zyndra("apps list")).toEqual(await zyndra("apps:list"));
    expect((await zyndra("version")).out).toBe("zyndra 1.2.3\n");
    // Behind a command it is a flag like others.
    expect(await zyndra("echo shop --version 16")).toMatchObject({
      code: 2,
      out: "",
      err: expect.stringContaining("error: echo has no flag --version"),
    });
    expect((await zyndra("whoami --version")).err).toContain("whoami has no flag --version");
    expect(await zyndra("pipelines:create x")).toEqual({
      code: 2,
      out: "",
      err: 'error: there is no "pipelines:create" here: an app is one place, without stages or pipelines\nhint: zyndra deploy APP BRANCH\n',
    });
  });

  test("--json prints data and nothing else", async () => {
    const { out, err } = await zyndra("apps --json");
    expect(JSON.parse(out)).toEqual([{ name: "shop", url: "https://shop.example.org" }]);
    expect(err).toBe("");
    expect((await zyndra("echo shop -- --json")).out).toBe("shop: --json\n");
  });

  test("hints name the program as it was called", async () => {
    expect((await zyndra("apps", { calledAs: "npx zyndra" })).err).toBe(
      "hint: npx zyndra apps:create NAME makes one\n",
    );
    const world = { calledAs: "npx zyndra" };
    expect(asCalled(world, "in its folder: zyndra git:remote shop, then git push zyndra main")).toBe(
      "in its folder: npx zyndra git:remote shop, then git push zyndra main",
    );
    expect(asCalled(world, "Ctrl-C leaves it running; `zyndra cancel shop` stops it")).toContain(
      "`npx zyndra cancel shop`",
    );
  });

  test("a refusal exits 1, a wrong use 2, both with what to do", async () => {
    expect(await zyndra("break theirs")).toEqual({
      code: 1,
      out: "",
      err: "error: shop is locked by ana\nhint: zyndra unlock shop\n",
    });
    expect(await zyndra("eco shop")).toEqual({
      code: 2,
      out: "",
      err: 'error: there is no command "eco". Did you mean: zyndra echo shop\n',
    });
    expect(await zyndra("whoamy")).toMatchObject({
      code: 2,
      err: expect.stringContaining("Did you mean: zyndra whoami"),
    });
    expect((await zyndra("start shop")).err).toContain("hint: for an app: zyndra ps:start shop\n");
    expect(await zyndra("stop shop")).toMatchObject({ code: 2, err: expect.stringContaining("zyndra ps:stop shop\n") });
    expect(await zyndra("break ours")).toMatchObject({ code: 1, err: expect.stringContaining("reference") });
    for (const wrong of [
      "login",
      "setup",
      "setup http://x",
      "logout a b",
      "login x --tokn y",
      "whoami now",
      "login x --token",
    ]) {
      if (wrong !== "login") expect((await zyndra(wrong)).code, wrong).toBe(2);
    }
  });

  test("a server that is not there, or is something else, is named in one sentence", async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    expect(await zyndra("apps", { override: { url: nowhere, token: "t" } })).toEqual({
      code: 1,
      out: "",
      err: `error: ${nowhere} cannot be reached: nothing listens there\nhint: start it: zyndra start, in the folder that holds its .zyndra (in a checkout: npm start)\n`,
    });
    const unknown = "http://no-such-host.invalid";
    expect((await zyndra("apps", { override: { url: unknown, token: "t" } })).err).toMatch(
      /^error: http:\/\/no-such-host.invalid cannot be reached: /,
    );
    const other = await plainServer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
    expect((await zyndra("apps", { override: { url: other.url, token: "t" } })).err).toContain(
      "does not answer as a Zyndra does (HTTP 200)",
    );
    other.server.close();
    const moved = await plainServer(
      "HTTP/1.1 301 Moved\r\nlocation: https://zyndra.example.org/api/words\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    expect((await zyndra("apps", { override: { url: moved.url, token: "t" } })).err).toContain(
      "zyndra login https://zyndra.example.org\n",
    );
    moved.server.close();
  });

  test("what destroys is done with --confirm; without anyone to ask it is refused with what to add", async () => {
    expect(await zyndra("apps:destroy shop")).toEqual({
      code: 1,
      out: "",
      err: "error: This removes shop for good.\nhint: if that is meant, add: --confirm shop\n",
    });
    expect(await zyndra("apps:destroy shop --confirm shop")).toMatchObject({ code: 0, out: "shop is being removed\n" });
  });

  test("text of others cannot write into the terminal", async () => {
    const { out } = await zyndra(["echo", "shop", "a\x1b]0;title\x07b\x1b[2Jc\x1b[31md\x07"], { isTerminal: true });
    expect(out).toBe("shop: abc\x1b[31md\x1b[0m\n");
    expect((await zyndra(["echo", "shop", "a\x1b[31mb"])).out).toBe("shop: ab\n");
  });
});

describe("help", () => {
  test("lists this program's commands before any login, and the server's too after it, within 80 columns", async () => {
    const before = await zyndra("");
    expect(before.code).toBe(0);
    expect(before.out).toContain("login URL");
    expect(before.out).toContain("zyndra login URL first");
    await logIn();
    const { out, code } = await zyndra("help");
    expect(code).toBe(0);
    expect(out).toMatch(/^ {2}echo APP \[WORDS\.\.\.\] +Say what was understood$/m);
    expect(out).not.toContain("git:credential");
    for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  test("has a line for each topic, and with --all one for each command", async () => {
    await logIn();
    expect((await zyndra("help")).out).toMatch(/^ {2}apps: +list, destroy, rename$/m);
    const { out } = await zyndra("help --all");
    expect(out).toMatch(/^ {2}apps:destroy APP +Remove an app$/m);
    for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  test("explains one command, by its name, another word for it, or with --help", async () => {
    await logIn();
    const { out } = await zyndra("help break");
    expect(out).toContain("zyndra break HOW\nFail in the way that is asked for.\nAlso: snap\n");
    expect((await zyndra("snap --help")).out).toBe(out);
    expect((await zyndra("break theirs -h")).out).toBe(out);
    expect((await zyndra("help login")).out).toContain("zyndra login URL [--token TOKEN]\n");
    expect(await zyndra("help nonsense")).toMatchObject({ code: 2 });
  });

  test("tells of a whole topic, and of words from elsewhere", async () => {
    await logIn();
    const { out } = await zyndra("help apps");
    expect(out).toContain("zyndra apps:list\nList the apps.\nAlso: apps\n");
    expect(out).toMatch(/\nMore about apps:\n {2}apps:destroy APP +Remove an app\n/);
    expect(out).toMatch(/\n\nzyndra help apps:destroy explains that one\.\n$/);
    expect((await zyndra("apps --help")).out).toBe(out);
    expect((await zyndra("help apps destroy")).out).toMatch(/^zyndra apps:destroy APP\n/);
    expect((await zyndra("help apps:delete")).out).toMatch(/^zyndra apps:destroy APP\n/);
    expect(await zyndra("help certs")).toMatchObject({
      code: 2,
      err: expect.stringContaining('error: there is no "certs" here: HTTPS is up to'),
    });
  });
});

describe("in a git repository", () => {
  const run = (args: string[], input = "") =>
    new Promise<{ code: number; out: string }>((resolve) => {
      const env = {
        ...process.env,
        XDG_CONFIG_HOME: join(folder, "config"),
        GIT_CONFIG_NOSYSTEM: "1",
        HOME: folder,
        GIT_TERMINAL_PROMPT: "0",
      };
      const git = execFile("git", args, { cwd: join(folder, "work"), env }, (error, stdout, stderr) =>
        resolve({ code: error ? 1 : 0, out: stdout + stderr }),
      );
      if (input === "") git.stdin!.destroy();
      else git.stdin!.end(input);
    });
  beforeEach(async () => {
    await logIn();
    await run(["init", "--quiet"]);
    await run(["symbolic-ref", "HEAD", "refs/heads/main"]);
  });

  test("git:remote adds the remote, and git asks nobody for a password from then on", async () => {
    expect(await zyndra("git:remote shop")).toEqual({
      code: 0,
      out: `The remote zyndra is ${web.url}/shop.git; git asks for no password there.\n`,
      err: "hint: git push zyndra main deploys what is committed\n",
    });
    expect((await run(["remote", "-v"])).out).toContain(`zyndra\t${web.url}/shop.git (push)`);
    const { host, protocol } = new URL(web.url);
    const filled = await run(["credential", "fill"], `protocol=${protocol.slice(0, -1)}\nhost=${host}\n\n`);
    expect(filled.out).toContain(`password=${ana.token}\n`);
  });

  test("again, for another app, on another branch: the remote is moved and said to be", async () => {
    await web.app("blog");
    await zyndra("git:remote shop");
    await run(["symbolic-ref", "HEAD", "refs/heads/master"]);
    const { out, err } = await zyndra("git:remote --app blog");
    expect(out).toBe(
      `The remote zyndra is ${web.url}/blog.git (it was ${web.url}/shop.git); git asks for no password there.\n`,
    );
    expect(err).toBe("hint: git push zyndra master:main deploys what is committed\n");
    const helpers = await run(["config", "--get-all", `credential.${web.url}.helper`]);
    expect(helpers.out.split("\n")).toHaveLength(3);
  });

  test("an app that is not there gets no remote", async () => {
    const { code, err } = await zyndra("git:remote shpo");
    expect({ code, err }).toEqual({
      code: 1,
      err: 'error: no app is called "shpo". Did you mean shop?\nhint: zyndra apps lists what there is\n',
    });
    expect((await run(["remote"])).out).toBe("");
  });

  test("the helper answers for its own server alone", async () => {
    const asked = await zyndra("git:credential get", { stdin: "protocol=https\nhost=github.com\n\n" });
    expect(asked).toMatchObject({ code: 0, out: "" });
    const refused = await zyndra("git:credential erase", { stdin: `protocol=http\nhost=${new URL(web.url).host}\n\n` });
    expect(refused).toMatchObject({ code: 0, out: "", err: expect.stringContaining("refused this machine's token") });
    expect(await settings()).toMatchObject({ current: web.url });
  });

  test("the folder's app may be left out, and other apps and servers still be named", async () => {
    await web.app("wiki");
    await zyndra("git:remote shop");
    expect((await zyndra("echo hello")).out).toBe("shop: hello\n");
    expect((await zyndra("echo wiki hello")).out).toBe("wiki: hello\n");
    expect((await zyndra("echo hello --app wiki")).out).toBe("wiki: hello\n");
    expect((await zyndra("echo hello", { override: { app: "wiki" } })).out).toBe("wiki: hello\n");
    expect((await zyndra("open")).out).toBe("http://shop.localhost\n");
    expect((await zyndra("open wiki")).out).toBe("http://wiki.localhost\n");
  });

  test("the folder's server is asked, also after a login elsewhere", async () => {
    await zyndra("git:remote shop");
    await using second = await testWeb();
    const ben = await second.member("viewer");
    await zyndra(`login ${second.url} --token ${ben.token}`);
    expect((await zyndra("whoami")).out).toContain(ana.name);
    expect((await zyndra("whoami", { cwd: folder })).out).toContain(ben.name);
  });

  test("the remote of an app that gets another name goes with it, and others stay", async () => {
    await web.app("tearoom");
    await zyndra("git:remote shop");
    expect(await zyndra("apps:rename tearoom hats")).toEqual({ code: 0, out: "tearoom is called hats now\n", err: "" });
    expect((await run(["remote", "get-url", "zyndra"])).out).toBe(`${web.url}/shop.git\n`);
    await writeFile(join(desk.work, "zyndra.yml"), "version: 1\nname: shop\n");
    expect(await zyndra("apps:rename hats --app shop")).toEqual({
      code: 0,
      out: `shop is called hats now\nThe remote zyndra of this folder is ${web.url}/hats.git now.\n`,
      err: `hint: ${join(desk.work, "zyndra.yml")} still names shop: write name: hats\n`,
    });
    expect((await run(["remote", "get-url", "zyndra"])).out).toBe(`${web.url}/hats.git\n`);
    await run(["remote", "set-url", "zyndra", `${web.url.replace("//", "//ana:secret@")}/shop`]);
    expect((await zyndra("apps:rename shop tea --json")).out).toBe('{\n  "app": "shop",\n  "newName": "tea"\n}\n');
    expect((await run(["remote", "get-url", "zyndra"])).out).toBe(
      `${web.url.replace("//", "//ana:secret@")}/tea.git\n`,
    );
  });

  test("git:remote -r makes a remote of another name, and says what that is not", async () => {
    await logIn();
    await run(["init", "--quiet", "-b", "main"]);
    expect(await zyndra("git:remote shop -r staging")).toEqual({
      code: 0,
      out: `The remote staging is ${web.url}/shop.git; git asks for no password there.\n`,
      err: "hint: git push staging main deploys what is committed\nhint: only a remote called zyndra makes this folder shop's: elsewhere add -a shop\n",
    });
    expect((await run(["remote"])).out).toBe("staging\n");
  });

  test("outside of a repository git:remote says what to do", async () => {
    const { code, err } = await zyndra("git:remote shop", { cwd: folder });
    expect(code).toBe(1);
    expect(err).toBe(
      `error: ${folder} is not in a git repository\nhint: git init -b main, commit what is there, then try again\n`,
    );
  });
});

describe("following a deploy", () => {
  beforeEach(logIn);

  test("shows its lines and exits 0 when it is live", async () => {
    const deploy = await web.deploy(shop);
    await web.tell(deploy, lines({ kind: "step", text: "Building" }, "npm ci"));
    const ran = await zyndra(`follow shop deploy ${deploy.id} 1`, {
      onOutput: ({ out }) => {
        if (out.endsWith("npm ci\n")) void web.tell(deploy, lines({ kind: "success", text: "shop v1 is live" }), live);
      },
    });
    expect(ran).toEqual({ code: 0, out: "begun\n-----> Building\n       npm ci\nsuccess: shop v1 is live\n", err: "" });
  });

  test("exits 1 when it ends otherwise, and says why even if its log does not", async () => {
    const deploy = await web.deploy(shop);
    await web.tell(deploy, {
      type: "deploy",
      status: "failed",
      headline: "shop, deploy #9 failed: no start command",
      cause: { headline: "no start command", hint: "add a Procfile" },
    });
    const { code, err } = await zyndra(`follow shop deploy ${deploy.id} 9`);
    expect({ code, err }).toEqual({
      code: 1,
      err: "error: shop, deploy #9 failed: no start command\nhint: add a Procfile\n",
    });
  });

  test("--detach returns at once with the line that follows it", async () => {
    const deploy = await web.deploy(shop);
    expect(await zyndra(`follow shop deploy ${deploy.id} 7 --detach`)).toEqual({
      code: 0,
      out: "begun\n",
      err: "hint: zyndra deploys:logs shop 7 follows it\n",
    });
  });

  test("--json prints one value a line", async () => {
    const deploy = await web.deploy(shop);
    await web.tell(deploy, lines("one"), live);
    const { out } = await zyndra(`follow shop deploy ${deploy.id} 1 --json`);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toMatchObject([{ fact: 1 }, { type: "line", kind: "output", text: "one" }, { type: "end", status: "live" }]);
  });

  test("Ctrl-C says that it goes on and how to stop it, and exits 130", async () => {
    const deploy = await web.deploy(shop);
    await web.tell(deploy, lines("one"));
    const interrupting = new AbortController();
    const { code, err } = await zyndra(`follow shop deploy ${deploy.id} 7`, {
      interrupted: interrupting.signal,
      onOutput: ({ out }) => {
        if (out.includes("one")) interrupting.abort();
      },
    });
    expect(code).toBe(130);
    expect(err).toBe(
      "\nwarning: deploy #7 of shop goes on without you\nhint: zyndra deploys:logs shop 7 follows it again, zyndra cancel shop stops it\n",
    );
  });

  test("a connection that breaks, at any byte, is made again: nothing is lost and nothing shown twice", async () => {
    const deploy = await web.deploy(shop);
    const texts = Array.from({ length: 60 }, (_, index) => `line ${index} ${"x".repeat(index % 7)}`);
    await using cutter = await cuttingProxy(web.port, (connection) => 400 + connection * 37);
    const writing = (async () => {
      for (let at = 0; at < texts.length; at += 6) await web.tell(deploy, lines(...texts.slice(at, at + 6)));
      await web.tell(deploy, live);
    })();
    const override = { url: cutter.url, token: ana.token };
    // The question itself goes past the proxy's knife; what follows does not.
    const { code, out } = await zyndra(`follow shop deploy ${deploy.id} 1`, { override });
    await writing;
    expect(code).toBe(0);
    expect(out.split("\n").filter((line) => line.includes("line"))).toEqual(texts.map((text) => `       ${text}`));
    expect(cutter.cuts()).toBeGreaterThan(5);
  });

  test("a server that stays away is told once, and waited for", { timeout: 30_000 }, async () => {
    const deploy = await web.deploy(shop);
    await web.tell(deploy, lines("one"));
    await using cutter = await cuttingProxy(web.port, () => Number.POSITIVE_INFINITY);
    const following = zyndra(`follow shop deploy ${deploy.id} 1`, {
      override: { url: cutter.url, token: ana.token },
      onOutput: ({ out, err }) => {
        if (out.endsWith("one\n") && err === "") cutter.close();
        if (err.includes("trying again")) void web.tell(deploy, lines("two"), live).then(() => cutter.open());
      },
    });
    expect(await following).toEqual({
      code: 0,
      out: "begun\n       one\n       two\nsuccess: shop v1 is live (1.0 s)\n",
      err: "warning: the server does not answer; trying again (Ctrl-C ends this)\n",
    });
  });

  test("a deploy that is gone ends it", async () => {
    const { code, err } = await zyndra("follow shop deploy 00000000-0000-4000-8000-00000000dead 1");
    expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining("error: no deploy has the id") });
  });
});

describe("following an add-on", () => {
  beforeEach(logIn);
  const cause = { headline: "its server cannot be reached" };

  test("tells what stands in its way, and waits on", async () => {
    const id = crypto.randomUUID();
    await web.tellAddon(id, { type: "addon", state: "destroying" });
    await web.tellAddon(id, { type: "addon", state: "destroying", cause });
    await web.tellAddon(id, { type: "addon", state: "gone" });
    expect(await zyndra(`follow db addon ${id} 0`)).toEqual({
      code: 0,
      out: "begun\nsuccess: db is gone\n",
      err: "warning: db: its server cannot be reached; trying again\n",
    });
  });

  test("does not wait for ever", async () => {
    const id = crypto.randomUUID();
    await web.tellAddon(id, { type: "addon", state: "destroying", cause });
    await web.tellAddon(id, { type: "addon", state: "destroying", cause, takesLong: true });
    expect(await zyndra(`follow db addon ${id} 0`)).toMatchObject({
      code: 1,
      err: expect.stringContaining(
        "error: db takes long\nhint: it goes on; zyndra addons:info db shows how far it is\n",
      ),
    });
  });
});

describe("following an app", () => {
  beforeEach(logIn);

  test("waits for the change that was asked for, not for an older one", async () => {
    const app = await web.app("bigger");
    await web.tellApp(app, { type: "applied", formation: { web: 1 }, revision: 1 });
    const waiting = zyndra(`follow bigger scaled ${app.id} 2`);
    await web.tellApp(app, { type: "applied", formation: { web: 3, worker: 1 }, revision: 2 });
    expect(await waiting).toEqual({ code: 0, out: "begun\nsuccess: bigger runs web=3 worker=1\n", err: "" });
  });

  test("tells why it did not come to be", async () => {
    const app = await web.app("stuck");
    await web.tellApp(app, {
      type: "applied",
      formation: { web: 1 },
      revision: 2,
      cause: { headline: "no port is free", hint: "scale something down" },
    });
    expect(await zyndra(`follow stuck scaled ${app.id} 2`)).toMatchObject({
      code: 1,
      err: "error: no port is free\nhint: scale something down\n",
    });
  });

  test("waits for the end of an app; one that is gone already has ended", async () => {
    const app = await web.app("going");
    const waiting = zyndra(`follow going destroyed ${app.id} 0`);
    await web.tellApp(app, { type: "destroyed", by: "ana" });
    expect(await waiting).toMatchObject({ code: 0, out: "begun\nsuccess: going is gone\n" });
    expect(await zyndra("follow gone destroyed x 0")).toMatchObject({ code: 0, out: "begun\nsuccess: gone is gone\n" });
  });
});

describe("logs", () => {
  beforeEach(logIn);

  test("come as time, process and line", async () => {
    web.appLog.write("web.1", "hello", new Date("2026-01-02T03:04:05.678Z"));
    const { out } = await zyndra("follow shop logs x 1");
    expect(out).toBe("begun\n2026-01-02T03:04:05.678Z web.1    hello\n");
  });

  test("with --tail go on over breaks, at any byte, without a line lost or shown twice, also where lines are alike", async () => {
    await using cutter = await cuttingProxy(web.port, (connection) => 700 + connection * 523);
    const at = new Date("2026-01-02T03:04:05.678Z");
    web.appLog.write("web.1", "not asked for", at);
    web.appLog.write("web.1", "line 0", at);
    const interrupting = new AbortController();
    let written = 1;
    const { code, out } = await zyndra("follow shop logs x 1 --tail", {
      override: { url: cutter.url, token: ana.token },
      interrupted: interrupting.signal,
      onOutput: (ran) => {
        const shown = ran.out.match(/line/g)?.length ?? 0;
        // Three at a time with the same text and moment, as a loop writes them.
        if (shown === written && written < 61) {
          for (let more = 0; more < 3; more++) web.appLog.write("web.1", `line ${written}`, at);
          written += 3;
        } else if (shown >= 61) interrupting.abort();
      },
    });
    expect(code).toBe(130);
    const groups = Array.from({ length: 20 }, (_, index) => 1 + index * 3);
    const wanted = [0, ...groups.flatMap((number) => [number, number, number])].map((number) => `line ${number}`);
    expect(
      out
        .split("\n")
        .slice(1, -1)
        .map((line) => line.slice(34)),
    ).toEqual(wanted);
    expect(cutter.cuts()).toBeGreaterThan(5);
  });
});

describe("drawing", () => {
  const terminal: Out = { write: () => {}, colours: true, columns: 80 };
  const plain: Out = { write: () => {}, colours: false, columns: undefined };
  const none = "Nothing.";

  test("columns are aligned, also with letters that are two cells wide; empty ones without a name are left out", () => {
    const rows = [
      ["shop", "帽子を売る", "", "x"],
      ["a-blog", "Sell 🎩", "", "y"],
    ];
    expect(drawTable(plain, { columns: ["name", "what", "", "by"], rows, none })).toBe(
      "NAME    WHAT        BY\nshop    帽子を売る  x\na-blog  Sell 🎩     y\n",
    );
    expect(drawTable(plain, { columns: ["name"], rows: [], none })).toBe("Nothing.\n");
  });

  test("on a terminal long columns give way, addresses do not; a pipe gets everything", () => {
    const what = "Sell hats ".repeat(12).trim();
    const table = { columns: ["NAME", "WHAT", "URL"], rows: [["shop", what, "https://shop.example.org"]], none };
    const [, row = ""] = drawTable({ ...terminal, colours: false }, table).split("\n");
    expect(row.length).toBeLessThanOrEqual(80);
    expect(row).toMatch(/Sell hats.*… {2}https:\/\/shop\.example\.org$/);
    expect(drawTable(plain, table)).toContain(what);
  });

  test("on a terminal without room for it a reason comes whole, below its row", () => {
    const why = "the release command failed, as it has not found its database ".repeat(2).trim();
    const rows = [
      ["#2", "failed", why],
      ["#1", "live", ""],
    ];
    const table = { columns: ["DEPLOY", "STATE", "WHY"], rows, none, lastBelow: true as const };
    const lines = drawTable({ ...terminal, colours: false }, table).split("\n");
    expect(lines.slice(0, 2)).toEqual(["DEPLOY  STATE", "#2      failed"]);
    expect(
      lines
        .slice(2, 4)
        .map((line) => line.trim())
        .join(" "),
    ).toBe(why);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    expect(lines[4]).toBe("#1      live");
    expect(drawTable(plain, table)).toContain(`failed  ${why}`);
  });

  test("a line break in a cell breaks no row", () => {
    expect(drawTable(plain, { columns: ["A"], rows: [["one\ntwo"]], none })).toBe("A\none two\n");
  });

  test("log lines are coloured by their kind on a terminal, and plain elsewhere", () => {
    const world = (out: Out) => ({ stdout: out, calledAs: "zyndra" }) as World;
    expect(drawLogLine(world(terminal), { kind: "success", text: "live" })).toBe("\x1b[32msuccess:\x1b[39m live");
    expect(drawLogLine(world(plain), { kind: "success", text: "live" })).toBe("success: live");
    expect(drawLogLine(world(terminal), { kind: "output", text: "npm ci" })).toBe("\x1b[2m       npm ci\x1b[22m");
  });

  test("a process keeps its colour; the router's lines are dim", () => {
    const line = (process: string) => drawAppLogLine(terminal, { at: new Date().toISOString(), process, text: "x" });
    expect(line("web.1")).toBe(line("web.1").replace(/^\x1b\[2m\d\d:\d\d:\d\d\x1b\[22m/, line("web.1").slice(0, 17)));
    expect(line("web.1")).not.toBe(line("web.2").replace("web.2", "web.1"));
    expect(line("router")).toMatch(/^\x1b\[2m\S+ router {3}x\x1b\[22m$/);
  });
});

describe("as a program", () => {
  const start = (args: string[], env: Record<string, string> = {}) =>
    spawn(process.execPath, [program, ...args], {
      cwd: join(folder, "work"),
      env: { PATH: process.env.PATH, HOME: folder, XDG_CONFIG_HOME: join(folder, "config"), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
  const ended = (child: ReturnType<typeof start>) =>
    new Promise<Ran>((resolve) => {
      const ran: Ran = { code: -1, out: "", err: "" };
      child.stdout.on("data", (chunk) => (ran.out += chunk));
      child.stderr.on("data", (chunk) => (ran.err += chunk));
      child.on("close", (code) => resolve({ ...ran, code: code ?? -1 }));
    });

  test("it takes its settings from where they belong and ends by itself", async () => {
    await logIn();
    expect(await ended(start(["apps"]))).toEqual({
      code: 0,
      out: "NAME  URL\nshop  https://shop.example.org\n",
      err: "hint: zyndra apps:create NAME makes one\n",
    });
    expect((await ended(start(["whoami"], { npm_command: "exec", XDG_CONFIG_HOME: "" }))).err).toContain(
      "hint: npx zyndra login",
    );
    expect(await ended(start(["--version"]))).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^zyndra \d+\.\d+\.\d+/),
    });
    expect(await ended(start(["apps"], { ZYNDRA_URL: web.url, ZYNDRA_TOKEN: "x" }))).toMatchObject({ code: 1 });
  });

  test("SIGINT while it follows ends it with 130", async () => {
    await logIn();
    const deploy = await web.deploy(shop);
    await web.tell(deploy, lines("one"));
    const child = start(["follow", "shop", "deploy", deploy.id, "7"]);
    child.stdout.on("data", (chunk) => String(chunk).includes("one") && child.kill("SIGINT"));
    const { code, err } = await ended(child);
    expect(code).toBe(130);
    expect(err).toContain("deploy #7 of shop goes on without you");
  });

  test("a reader that has seen enough ends it quietly", async () => {
    await logIn();
    const deploy = await web.deploy(shop);
    await web.tell(deploy, lines(...Array.from({ length: 2_000 }, () => "x".repeat(200))));
    const child = start(["follow", "shop", "deploy", deploy.id, "7"]);
    child.stdout.once("data", () => child.stdout.destroy());
    const { code, err } = await ended(child);
    expect({ code, err }).toEqual({ code: 0, err: "" });
  });
});

/** Answers every request with the same bytes. */
async function plainServer(answer: string): Promise<{ url: string; server: Server }> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

/** Passes bytes on to a port, and cuts each stream of events after some bytes of the answer. */
async function cuttingProxy(port: number, bytesOf: (connection: number) => number) {
  let streams = 0;
  let cuts = 0;
  let isOpen = true;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    if (!isOpen) return client.destroy();
    const upstream = connect(port, "127.0.0.1");
    let left = Number.POSITIVE_INFINITY;
    client.once("data", (head) => {
      if (String(head).startsWith("GET /api/")) left = bytesOf(streams++);
    });
    client.pipe(upstream);
    upstream.on("data", (chunk: Buffer) => {
      client.write(chunk.subarray(0, Math.min(left, chunk.length)));
      left -= chunk.length;
      if (left > 0) return;
      cuts++;
      client.end();
      upstream.destroy();
    });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cuts: () => cuts,
    close() {
      isOpen = false;
      for (const socket of sockets) socket.destroy();
    },
    open() {
      isOpen = true;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
