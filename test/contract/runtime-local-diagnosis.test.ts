import { describe, expect, test } from "vitest";
import {
  type CrashFacts,
  crashReason,
  diagnoseCrash,
  diagnoseSilence,
  type SilenceFacts,
} from "../../src/runtime/local/diagnosis.ts";
import { parseSocketTable } from "../../src/runtime/local/machine.ts";

const slugDir = "/data/slugs/a/b";

function crash(output: string, exit: CrashFacts["exit"] = { code: 1 }, facts: Partial<CrashFacts> = {}) {
  const lines = output.replace(/^\n/, "").split("\n");
  return diagnoseCrash({ appName: "shop", type: "web", exit, lines, slugDir, port: 20_123, ...facts });
}

describe("why a process crashes", () => {
  const cases: {
    name: string;
    output: string;
    exit?: CrashFacts["exit"];
    facts?: Partial<CrashFacts>;
    told: object;
  }[] = [
    {
      name: "Node: a package that is not in package.json",
      output: `
node:internal/modules/cjs/loader:1568
  throw err;
  ^

Error: Cannot find module 'express'
Require stack:
- /data/slugs/a/b/server.js
    at Module._resolveFilename (node:internal/modules/cjs/loader:1564:15)
    at require (node:internal/modules/helpers:152:16)
    at Object.<anonymous> (/data/slugs/a/b/server.js:3:17) {
  code: 'MODULE_NOT_FOUND',`,
      told: {
        headline: "web crashes at start",
        detail: "Cannot find module 'express' (server.js:3)",
        hint: "it is used but not in package.json: npm install express, commit, push again",
      },
    },
    {
      name: "Node: a scoped package that is imported",
      output: `Error [ERR_MODULE_NOT_FOUND]: Cannot find package '@hapi/hapi' imported from /data/slugs/a/b/src/app.mjs`,
      told: {
        detail: "Cannot find package '@hapi/hapi' (src/app.mjs)",
        hint: "it is used but not in package.json: npm install @hapi/hapi, commit, push again",
      },
    },
    {
      name: "Node: a file that is not in the commit",
      output: `Error: Cannot find module '/data/slugs/a/b/server.js'`,
      told: {
        detail: "Cannot find module 'server.js'",
        hint: "server.js is not in the pushed commit: is it in .gitignore, or written with other capitals?",
      },
    },
    {
      name: "Node: a syntax error",
      output: `
/data/slugs/a/b/lib/cart.js:12
const x = ;
          ^

SyntaxError: Unexpected token ';'
    at wrapSafe (node:internal/modules/cjs/loader:1861:18)

Node.js v24.21.0`,
      told: { detail: "SyntaxError: Unexpected token ';' (lib/cart.js:12)" },
    },
    {
      name: "Node: an error, in the customer's own line and not in a library's",
      output: `
/data/slugs/a/b/node_modules/lib/index.js:9
    throw new TypeError("x is not a thing");
    ^

\x1b[31mTypeError: x is not a thing\x1b[0m
    at Object.lib (/data/slugs/a/b/node_modules/lib/index.js:9:11)
    at start (file:///data/slugs/a/b/server.js:20:3)

Node.js v24.21.0`,
      told: { detail: "TypeError: x is not a thing (server.js:20)" },
    },
    {
      name: "Node: an error of the system",
      output: `
Error: ENOENT: no such file or directory, stat 'here'
    at Object.statSync (node:fs:1739:25)
    at Object.<anonymous> (/data/slugs/a/b/app.js:1:20)

Node.js v24.21.0`,
      told: { detail: "Error: ENOENT: no such file or directory, stat 'here' (app.js:1)" },
    },
    {
      name: "Node: a port of its own choice that is taken",
      output: `
Error: listen EADDRINUSE: address already in use :::3000
    at Server.setupListenHandle [as _listen2] (node:net:2328:16)
    at Object.<anonymous> (/data/slugs/a/b/c.js:2:32)
  port: 3000`,
      told: { detail: "port 3000 is already in use", hint: expect.stringContaining("process.env.PORT") },
    },
    {
      name: "its own port taken by another program",
      output: "Error: listen EADDRINUSE: address already in use 0.0.0.0:20123",
      told: { detail: "its port 20123 was taken by another program of this machine", hint: "try again" },
    },
    {
      name: "Node: too little memory",
      output: "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
      exit: { code: 134 },
      told: { headline: "web ran out of memory" },
    },
    {
      name: "a database that is looked for on the app's own machine",
      output: "Error: connect ECONNREFUSED 127.0.0.1:5432\n    at TCPConnectWrap.afterConnect (node:net:2021:16)",
      told: { detail: "nothing answers at 127.0.0.1:5432" },
    },
    {
      name: "npm: no start script",
      output: `npm error Missing script: "start"`,
      told: { detail: `package.json has no script "start"` },
    },
    {
      name: "Python: a package that is not in requirements.txt",
      output: `
Traceback (most recent call last):
  File "/data/slugs/a/b/app.py", line 1, in <module>
    from flask import Flask
ModuleNotFoundError: No module named 'flask'`,
      told: {
        detail: "No module named 'flask' (app.py:1)",
        hint: expect.stringContaining("add flask to requirements.txt"),
      },
    },
    {
      name: "Python below gunicorn: the last line of the traceback, not of the output",
      output: `
[2026-11-23 17:00:00 +0000] [9] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/data/slugs/a/b/.venv/lib/python3.12/site-packages/gunicorn/arbiter.py", line 609, in spawn_worker
    worker.init_process()
  File "/data/slugs/a/b/shop/app.py", line 7, in <module>
    price = 1 / 0
            ~~^~~
ZeroDivisionError: division by zero
[2026-11-23 17:00:00 +0000] [9] [INFO] Worker exiting (pid: 9)
[2026-11-23 17:00:00 +0000] [7] [ERROR] Reason: Worker failed to boot.`,
      exit: { code: 3 },
      told: { detail: "ZeroDivisionError: division by zero (shop/app.py:7)" },
    },
    {
      name: "Python: a missing variable",
      output: `
Traceback (most recent call last):
  File "/data/slugs/a/b/p.py", line 2, in <module>
    os.environ["DATABASE_URL"]
  File "<frozen os>", line 679, in __getitem__
KeyError: 'DATABASE_URL'`,
      told: { detail: "KeyError: 'DATABASE_URL'", hint: "set it: zyndra config:set shop DATABASE_URL=..." },
    },
    {
      name: "a variable that the app itself asks for",
      output: "Error: Missing required environment variable: STRIPE_KEY\n    at x (/data/slugs/a/b/x.js:1:1)",
      told: { hint: "set it: zyndra config:set shop STRIPE_KEY=..." },
    },
    {
      name: "a variable that is not set, in other words",
      output: "SECRET_KEY_BASE is not set",
      told: { detail: "SECRET_KEY_BASE is not set", hint: "set it: zyndra config:set shop SECRET_KEY_BASE=..." },
    },
    {
      name: "Go: a panic",
      output: "panic: no hats\n\ngoroutine 1 [running]:\nmain.main()\n\t/data/slugs/a/b/main.go:8 +0x1d",
      exit: { code: 2 },
      told: { detail: "panic: no hats (main.go:8)" },
    },
    {
      name: "a command that is not there",
      output: "sh: 1: gunicorn: not found",
      exit: { code: 127 },
      told: { detail: "the command gunicorn is not found" },
    },
    {
      name: "a command that is not there, in bash's words",
      output: "start.sh: line 3: rails: command not found",
      exit: { code: 127 },
      told: { detail: "the command rails is not found" },
    },
    {
      name: "a file without the right to be executed",
      output: "sh: 1: ./start.sh: Permission denied",
      exit: { code: 126 },
      told: {
        detail: "./start.sh may not be executed",
        hint: "git update-index --chmod=+x ./start.sh, commit, push again",
      },
    },
    {
      name: "killed from outside",
      output: "loading everything",
      exit: { signal: 9 },
      told: { headline: "web was killed", detail: "signal 9: most often the machine was out of memory" },
    },
    {
      name: "killed below a shell",
      output: "Killed",
      exit: { code: 137 },
      told: { headline: "web was killed" },
    },
    {
      name: "ended without an error",
      output: "done",
      exit: { code: 0 },
      facts: { type: "worker" },
      told: { headline: "worker does not stay up", hint: expect.stringContaining("zyndra ps:scale shop worker=0") },
    },
    {
      name: "anything else: its last word",
      output: "no idea\nwhat this is\n",
      told: { detail: "exit 1: what this is" },
    },
    { name: "nothing at all", output: "", told: { detail: "exit 1, without a word" } },
  ];
  for (const { name, output, exit, facts, told } of cases) {
    test(name, () => expect(crash(output, exit, facts)).toMatchObject(told));
  }

  test("a cause carries the last 20 lines, and its headline stays short", () => {
    const output = Array.from({ length: 50 }, (_, index) => `line ${index}`).join("\n");
    const cause = crash(output, { code: 1 }, { type: "a-process-type-with-a-very-long-name" });
    expect(cause.lastLines).toHaveLength(20);
    expect(cause.lastLines!.at(-1)).toBe("line 49");
    expect(cause.headline.length).toBeLessThan(80);
  });

  test("the same in one line, for the list of processes", () => {
    const facts = { appName: "shop", type: "web", slugDir };
    expect(crashReason({ ...facts, exit: { code: 1 }, lines: ["Error: Cannot find module 'x'"] })).toBe(
      "exit 1, Cannot find module 'x'",
    );
    expect(crashReason({ ...facts, exit: { code: 2 }, lines: ["oh"] })).toBe("exit 2: oh");
  });
});

describe("why a process that runs is not healthy", () => {
  const facts: SilenceFacts = {
    appName: "shop",
    type: "web",
    waitedMs: 60_000,
    port: 20_123,
    listeners: [],
    lines: [],
  };
  const health = (answer: NonNullable<SilenceFacts["health"]>["answer"]) => ({ health: { path: "/health", answer } });
  const cases: { name: string; facts: Partial<SilenceFacts>; headline: string }[] = [
    { name: "it listens nowhere", facts: {}, headline: "web does not listen on $PORT" },
    {
      name: "the machine does not say where",
      facts: { listeners: undefined },
      headline: "web does not listen on $PORT",
    },
    {
      name: "it listens on another port",
      facts: { listeners: [{ address: "0.0.0.0", port: 3000 }] },
      headline: "web listens on port 3000, not on $PORT",
    },
    {
      name: "it listens on an address that is not reached",
      facts: { listeners: [{ address: "::1", port: 20_123 }] },
      headline: "web listens on ::1 only",
    },
    {
      name: "its health path fails",
      facts: health({ kind: "status", status: 500, body: "<h1>Oh</h1><style>x</style> dear" }),
      headline: "web is not healthy: GET /health answers 500",
    },
    {
      name: "its health path is silent",
      facts: health({ kind: "silent", limitMs: 5_000 }),
      headline: "web does not answer GET /health",
    },
    {
      name: "its health path breaks off",
      facts: health({ kind: "broken", problem: "socket hang up" }),
      headline: "web breaks off GET /health",
    },
  ];
  for (const { name, facts: own, headline } of cases) {
    test(name, () => expect(diagnoseSilence({ ...facts, ...own })).toMatchObject({ headline }));
  }

  test("the body of a failing health page is told as text", () => {
    const answer = { kind: "status", status: 500, body: "<h1>Oh</h1><style>x</style> dear" } as const;
    expect(diagnoseSilence({ ...facts, ...health(answer) }).detail).toBe("Oh dear");
  });
});

test("the kernel's socket tables are read", () => {
  const table = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:9F55 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12676 1 0 100 0 0 10 0
   1: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 999 1 0 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 7 1 0 100 0 0 10 0
`;
  expect(parseSocketTable(table)).toEqual([
    { address: "127.0.0.1", port: 40_789, inode: "12676", listening: true },
    { address: "::1", port: 3000, inode: "999", listening: true },
    { address: "127.0.0.1", port: 80, inode: "7", listening: false },
  ]);
});
