import { execFile, execFileSync } from "node:child_process";
import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";
import { type Desk, openDesk, program, type Ran, type RunOptions } from "./cli-harness.ts";

type Found = { group: string; check: string; verdict: string; text: string; hint?: string };

let platform: TestPlatform;
let url: string;
let desk: Desk;

beforeAll(async () => {
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime: standInRuntime() } });
  url = `http://localhost:${platform.port}`;
  await platform.ask("apps:create", { app: "shop" });
});
afterAll(() => platform?.[Symbol.asyncDispose]());
beforeEach(async () => {
  desk = await openDesk();
});
afterEach(() => desk[Symbol.asyncDispose]());

const logIn = (token = platform.token) => desk.zyndra(`login ${url} --token ${token}`);

/** Looks, and answers what was found by name, with the exit code. */
async function examine(words = "", options: RunOptions = {}) {
  return read(await desk.zyndra(`doctor --json ${words}`, options));
}

function read({ code, out }: Ran) {
  const findings = JSON.parse(out) as Found[];
  const faults = findings.filter(({ verdict }) => verdict === "fault");
  return { code, faults, findings, of: (check: string) => findings.find((each) => each.check === check) };
}

/** As the shell would start it, so that git finds the same settings. */
function asProgram(words: string[]): Promise<Ran> {
  const env = {
    PATH: process.env.PATH,
    HOME: desk.folder,
    XDG_CONFIG_HOME: join(desk.folder, "config"),
    GIT_CONFIG_NOSYSTEM: "1",
  };
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...words], { cwd: desk.work, env }, (error, out, err) =>
      resolve({ code: Number(error?.code ?? 0), out, err }),
    );
  });
}

test("before anyone is logged in the machine is looked at, and what a Zyndra on it would need", async () => {
  const { code, findings, faults, of } = await examine();
  expect({ code, faults }).toEqual({ code: 0, faults: [] });
  expect([...new Set(findings.map(({ group }) => group))]).toEqual([
    "This machine",
    "This folder",
    "What a Zyndra on this machine needs",
  ]);
  expect(of("settings")!.text).toBe("nobody is logged in on this machine yet: zyndra login URL");
  expect(of("git for pushes")!.text).toMatch(/^git \S+ can take pushes/);
  expect(of("perl")!.text).toMatch(/^perl \S+ with Socket$/);
});

test("an admin in a folder with its remote is told of everything, down to the platform's parts", async () => {
  await logIn();
  execFileSync("git", ["init", "--quiet"], { cwd: desk.work });
  expect((await asProgram(["git:remote", "shop"])).code).toBe(0);
  const { code, findings, faults, of } = read(await asProgram(["doctor", "--json"]));
  expect({ code, faults }).toEqual({ code: 0, faults: [] });
  expect([...new Set(findings.map(({ group }) => group))]).toEqual(["This machine", "This folder", url, "Its parts"]);
  expect(of("remote")!.text).toBe(`zyndra is shop at ${url}`);
  expect(of("app")!.text).toBe("shop (from the remote zyndra), at http://shop.test");
  expect(of("git's password")).toMatchObject({ verdict: "ok", text: "git gets it from this program" });
  expect(of("token")!.text).toBe("good, you are ana (owner)");
  expect(of("clock")!.verdict).toBe("ok");
  expect(of("worker")!.text).toMatch(/none waits$/);
  expect(of("schema")!.verdict).toBe("ok");
  expect(of("version")).toMatchObject({
    verdict: "warning",
    text: expect.stringMatching(/^the server is 0\.0\.0-test/),
  });
});

test("a helper of git's that is gone, and an app that is gone, are faults with what to type", async () => {
  await logIn();
  execFileSync("git", ["init", "--quiet"], { cwd: desk.work });
  await asProgram(["git:remote", "shop"]);
  execFileSync("git", ["config", "--unset-all", `credential.${url}.helper`], { cwd: desk.work });
  execFileSync("git", ["remote", "set-url", "zyndra", `${url}/shpo.git`], { cwd: desk.work });
  const { code, of } = read(await asProgram(["doctor", "--json"]));
  expect(code).toBe(1);
  expect(of("git's password")).toMatchObject({
    verdict: "fault",
    text: "git gets none, and would ask for it",
    hint: "zyndra git:remote shpo sets it up again",
  });
  expect(of("app")).toMatchObject({ verdict: "fault", text: 'no app is called "shpo". Did you mean shop?' });
});

test("a server that does not answer is one fault, and the rest is looked at all the same", async () => {
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  const { code, faults, of } = await examine("", { override: { url: nowhere, token: "t" } });
  expect(code).toBe(1);
  expect(faults).toMatchObject([{ group: nowhere, check: "server", text: expect.stringContaining("nothing listens") }]);
  expect(of("npm")).toBeDefined();
});

test("a token that is refused is a fault; one that is missing is a warning", async () => {
  expect((await examine("", { override: { url, token: "nonsense" } })).of("token")).toMatchObject({
    verdict: "fault",
    text: "what was shown as a token is not one",
  });
  const { code, of } = await examine("", { override: { url } });
  expect(of("token")).toMatchObject({ verdict: "warning", hint: `zyndra login ${url}` });
  expect(code).toBe(0);
});

test("who is no admin is not shown the platform's parts", async () => {
  const { token } = await platform.member("ben", "developer");
  await logIn(token);
  const { findings, of } = await examine();
  expect(of("token")!.text).toBe("good, you are ben (developer)");
  expect(of("parts")!.verdict).toBe("ok");
  expect(findings.map(({ group }) => group)).not.toContain("Its parts");
});

test("settings that others can read are a warning, damaged ones a fault", async () => {
  await logIn();
  const path = join(desk.folder, "config", "zyndra", "config.json");
  await chmod(path, 0o644);
  expect((await examine()).of("settings")).toMatchObject({ verdict: "warning", hint: `chmod 600 ${path}` });
  await writeFile(path, "{");
  const { code, of } = await examine();
  expect(of("settings")).toMatchObject({ verdict: "fault", text: `${path} is damaged` });
  expect(code).toBe(1);
});

test("a clock that is wrong is a warning", async () => {
  const server = createServer((_, res) => {
    res.setHeader("content-type", "application/json");
    res.end(JSON.stringify({ status: "ok", version: "1.2.3", now: new Date(Date.now() - 3_600_000).toISOString() }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const override = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  const { of } = await examine("", { override });
  server.close();
  expect(of("clock")).toMatchObject({ verdict: "warning", text: expect.stringMatching(/^differs .* by 60 min/) });
  expect(of("version")!.verdict).toBe("ok");
});

test("a path without zyndra is told with the line that mends it; people read lines, and a sum at the end", async () => {
  const { out, code } = await desk.zyndra("doctor", { searchPath: "/nowhere" });
  expect(out).toMatch(/^This machine\n {2}ok {7}node /);
  expect(out).toMatch(
    /^ {2}warning {2}command +the shell finds no zyndra on its path\n +hint: export PATH="\/\S+\/bin:\$PATH" in your shell's start file$/m,
  );
  expect(out).toMatch(/\n\n\d warnings\.\n$/);
  expect(code).toBe(0);
  expect((await desk.zyndra("doctor", { searchPath: "/nowhere", isTerminal: true })).out).toContain(
    "\x1b[33mwarning\x1b[39m",
  );
  expect(await desk.zyndra("doctor shop")).toMatchObject({ code: 2 });
});
