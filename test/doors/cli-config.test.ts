import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";
import { type Desk, openDesk, type RunOptions } from "./cli-harness.ts";

/** Config vars between a platform and somebody's files. */
let platform: TestPlatform;
let desk: Desk;
let app: string;
let count = 0;

beforeAll(async () => {
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime: standInRuntime() } });
});
afterAll(() => platform?.[Symbol.asyncDispose]());
beforeEach(async () => {
  app = `app${++count}`;
  await platform.ask("apps:create", { app });
  desk = await openDesk();
  return () => desk[Symbol.asyncDispose]();
});

const zyndra = (words: string, options: RunOptions = {}) =>
  desk.zyndra(words, { override: { url: platform.url, token: platform.token, app }, ...options });
const write = (name: string, text: string | Buffer) => writeFile(join(desk.work, name), text);
const vars = async () => JSON.parse((await zyndra("config:export --reveal --format json")).out);

describe("config:import", () => {
  test("reads a file of this folder, and says what one might not expect", async () => {
    await write(".env", "# hats\nexport A=1\nPORT=3000\nKEY='-----BEGIN-----\nx\n'\nURL=$HOME/x\n");
    expect(await zyndra("config:import .env")).toEqual({
      code: 0,
      out: `A, KEY, URL are set on ${app}; the next push takes it, since nothing is live yet\n`,
      err: [
        "warning: .env, line 3: PORT is left out: Zyndra gives each process its own PORT\n",
        "warning: .env, line 7: the $ in URL is taken as it is\n",
        "warning: the value of A is too short or too common to be hidden in logs\n",
        "warning: the value of URL is too short or too common to be hidden in logs\n",
      ].join(""),
    });
    expect(await vars()).toEqual({ A: "1", KEY: "-----BEGIN-----\nx\n", URL: "$HOME/x" });
  });

  test("reads standard input, for the folder's app or a named one", async () => {
    expect(await zyndra("config:import", { stdin: "A=1" })).toMatchObject({ code: 0 });
    expect(await zyndra(`config:import ${app} -`, { stdin: "B=2" })).toMatchObject({ code: 0 });
    expect(await vars()).toEqual({ A: "1", B: "2" });
  });

  test("takes a whole input as one value, so that it stands in no history", async () => {
    await zyndra("config:import --as TOKEN", { stdin: "a-long-enough-secret\n" });
    await write("key.pem", "-----BEGIN-----\nabc=\n-----END-----\n\n");
    await zyndra("config:import key.pem --as TLS_KEY");
    expect(await vars()).toEqual({ TLS_KEY: "-----BEGIN-----\nabc=\n-----END-----\n", TOKEN: "a-long-enough-secret" });
  });

  test("tells all faults at once, without values, and changes nothing then", async () => {
    await write(".env", "A=1\nhunter2\nB='never\n");
    expect(await zyndra("config:import .env")).toEqual({
      code: 2,
      out: "",
      err: [
        "error: .env cannot be used; nothing was changed",
        "  line 2: this is no NAME=VALUE",
        "  line 3: a quote begins here that is never closed",
        "hint: a line is NAME=value; a value of several lines stands in quotes\n",
      ].join("\n"),
    });
    expect(await vars()).toEqual({});
  });

  test.each<[string, string | Buffer, string]>([
    ["empty", "# nothing\n", "error: file sets nothing\n"],
    ["no text", Buffer.from([0x41, 0x3d, 0xff, 0xfe]), "error: file is not text in UTF-8\n"],
    ["too large", `A=${"x".repeat(600_000)}`, "error: file is larger than 512 kB\n"],
  ])("refuses a file that is %s", async (_, content, said) => {
    await write("file", content);
    expect((await zyndra("config:import file")).err).toContain(said);
  });

  test("says so where there is no such file", async () => {
    expect(await zyndra("config:import nothing.env")).toMatchObject({
      code: 1,
      err: "error: nothing.env is not there\n",
    });
    expect(await zyndra(`config:import ${desk.work}`)).toMatchObject({ err: `error: ${desk.work} is a folder\n` });
    expect((await zyndra("config:import", { isInteractive: true })).err).toBe(
      `error: which file is to be read?\nhint: zyndra config:import ${app} .env\n`,
    );
  });

  test("--replace unsets what the file does not name, once that was agreed to", async () => {
    await zyndra("config:set OLD=1 OLDER=2 A=1");
    await write(".env", "A=2\nB=3\n");
    expect(await zyndra("config:import .env --replace")).toEqual({
      code: 1,
      out: "",
      err: `error: This unsets on ${app}: OLD, OLDER.\nhint: if that is meant, add: --confirm ${app}\n`,
    });
    const asked = { isInteractive: true };
    expect(await zyndra("config:import .env --replace", { ...asked, stdin: "no\n" })).toMatchObject({ code: 1 });
    expect(await vars()).toEqual({ A: "1", OLD: "1", OLDER: "2" });
    const { code, out } = await zyndra("config:import .env --replace", { ...asked, stdin: `${app}\n` });
    expect({ code, out }).toMatchObject({
      code: 0,
      out: expect.stringContaining("A, B are set, OLD, OLDER are unset"),
    });
    expect(await vars()).toEqual({ A: "2", B: "3" });
    await zyndra(`config:import --replace --confirm ${app}`, { stdin: "B=3" });
    expect(await vars()).toEqual({ B: "3" });
    // Nothing would be lost: nobody is asked.
    expect(await zyndra("config:import --replace", { stdin: "B=4\nC=5" })).toMatchObject({ code: 0 });
  });

  test("reads back what config:export has printed", async () => {
    const odd = { A: "", B: "it's", C: "a\nb # c", D: '$x "y" `z` \\', E: "🎩", F: "\r\n", G: " padded " };
    for (const [name, value] of Object.entries(odd))
      await platform.ask("config:set", { app, vars: [`${name}=${value}`] });
    const { out } = await zyndra("config:export --reveal");
    await platform.ask("config:unset", { app, names: Object.keys(odd) });
    expect(await zyndra("config:import", { stdin: out })).toMatchObject({ code: 0 });
    expect(await vars()).toEqual(odd);
  });
});

describe("a server that asks for files", () => {
  /** Answers any words by asking for something of the machine on which they were typed, and keeps what it is sent. */
  async function asking(follow: object) {
    const sent: string[] = [];
    const server = createServer(async (request, response) => {
      sent.push(await text(request));
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ view: {}, data: {}, ...(sent.length === 1 ? { follow } : {}) }));
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    return { sent, url: `http://127.0.0.1:${port}`, [Symbol.dispose]: () => server.close() };
  }
  const anImport = (file: string) => ({
    ...{ kind: "config:import", appName: "shop", file, as: "A", replace: false, confirm: null, detach: false },
  });

  test.each([
    ["ps", "key.pem", "config:import, which was not typed"],
    ["config:set A=key.pem", "key.pem", "config:import, which was not typed"],
    ["run config:import key.pem", "key.pem", "config:import, which was not typed"],
    ["config:import .env", "key.pem", "a file that was not named"],
    ["env:import shop", "key.pem", "a file that was not named"],
  ])("gets none for %s", async (words, file, what) => {
    await write("key.pem", "hunter2");
    using server = await asking(anImport(file));
    const override = { url: server.url, token: platform.token, app };
    expect(await zyndra(words, { override, stdin: "hunter2" })).toMatchObject({
      code: 1,
      err: expect.stringContaining(`error: the server asks for ${what}\n`),
    });
    expect(server.sent.join()).not.toContain("hunter2");
  });

  test.each(["config:import key.pem", "config import key.pem", "-a shop secrets:import key.pem"])(
    "gets the one that was named: %s",
    async (words) => {
      await write("key.pem", "hunter2");
      using server = await asking(anImport("key.pem"));
      await zyndra(words, { override: { url: server.url, token: platform.token, app } });
      expect(server.sent.join()).toContain("hunter2");
    },
  );

  test("opens no editor for another command", async () => {
    using server = await asking({ kind: "config:edit", appName: "shop", detach: false });
    const override = { url: server.url, token: platform.token, app };
    const { err } = await zyndra("ps", { override, isInteractive: true });
    expect(err).toContain("the server asks for config:edit, which was not typed");
  });
});

test("config:get prints the value alone, byte for byte; a terminal is not steered by it", async () => {
  const value = "a\x1b[2Jb";
  await platform.ask("config:set", { app, vars: [`A=${value}`] });
  expect(await zyndra("config:get A --reveal")).toEqual({ code: 0, out: `${value}\n`, err: "" });
  expect((await zyndra("config:get A --reveal", { isTerminal: true })).out).toBe("ab\n");
  expect(JSON.parse((await zyndra("config:get A --reveal --json")).out)).toEqual({ A: value });
  expect(await zyndra("config:get A")).toMatchObject({ code: 2, out: "" });
});

describe("config:edit", () => {
  /** An editor that does this to the text. */
  async function editor(change: string): Promise<string> {
    await write(
      "editor.js",
      `const fs = require("node:fs"); const file = process.argv[2];
       let text = fs.readFileSync(file, "utf8"); fs.writeFileSync(${JSON.stringify(join(desk.work, "seen"))}, text);
       ${change}; fs.writeFileSync(file, text);`,
    );
    return `${process.execPath} ${join(desk.work, "editor.js")}`;
  }
  const edit = async (change: string, options: RunOptions = {}) =>
    zyndra("config:edit --reveal", { editor: await editor(change), isInteractive: true, ...options });

  test("opens what is set, and sets what was changed", async () => {
    await zyndra(["config:set", "A=1", "B=it's", "C=3"].join(" "));
    const before = (await readdir(tmpdir())).filter((name) => name.startsWith("zyndra-config-"));
    const { code, out } = await edit(`text = text.replace("A=1", "A=2").replace(/^C.*$/m, "D='new one'")`, {
      stdin: `${app}\n`,
    });
    expect({ code, out }).toEqual({
      code: 0,
      out: `  + D\n  ~ A\n  - C\nA, D are set, C is unset on ${app}; the next push takes it, since nothing is live yet\n`,
    });
    expect(await readFile(join(desk.work, "seen"), "utf8")).toBe(
      `# The config vars of ${app}. What is changed, added or removed here is released when you save and leave.\nA=1\nB="it's"\nC=3\n`,
    );
    expect(await vars()).toEqual({ A: "2", B: "it's", D: "new one" });
    expect((await readdir(tmpdir())).filter((name) => name.startsWith("zyndra-config-"))).toEqual(before);
  });

  test("changes nothing where nothing was changed, the editor fails or is not there", async () => {
    await zyndra("config:set A=1");
    expect(await edit("")).toMatchObject({ code: 0, out: "Nothing was changed.\n" });
    expect(await edit("process.exit(3)")).toMatchObject({
      code: 1,
      err: expect.stringContaining("ended with 3; nothing was changed"),
    });
    expect(await edit("", { editor: "/no/such/editor" })).toMatchObject({
      code: 1,
      err: expect.stringContaining("the editor /no/such/editor cannot be started (ENOENT)"),
    });
    expect(await edit("", { isInteractive: false })).toMatchObject({
      code: 2,
      err: expect.stringContaining("needs a terminal"),
    });
    expect(await vars()).toEqual({ A: "1" });
  });

  test("is opened again where what was saved cannot be used", async () => {
    const { code, err } = await edit(
      `text += text.includes("B=2") ? "C=3\\n" : "B=2\\nnonsense\\n"; if (text.includes("C=3")) text = text.replace("nonsense\\n", "")`,
      {
        stdin: "\n",
      },
    );
    expect({ code, err }).toMatchObject({
      code: 0,
      err: expect.stringContaining("error: what was saved cannot be used"),
    });
    expect(await vars()).toEqual({ B: "2", C: "3" });
  });
});
