import { describe, expect, test } from "vitest";
import { diagnose } from "../../src/builder/local/diagnosis.ts";
import { OutputLines, plainText } from "../../src/builder/local/output-lines.ts";

type Case = {
  name: string;
  label?: string;
  exitCode?: number;
  printed: string;
  headline?: string;
  detail?: string;
  hint?: string;
};

const cases: Case[] = [
  {
    name: "npm ci with a lock file that was left behind",
    label: "npm ci",
    printed: `npm error code EUSAGE
npm error
npm error \`npm ci\` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync. Please update your lock file with \`npm install\` before continuing.
npm error
npm error Invalid: lock file's ms@2.1.3 does not satisfy ms@2.1.2`,
    headline: "package-lock.json does not match package.json",
    detail: "Invalid: lock file's ms@2.1.3 does not satisfy ms@2.1.2",
    hint: "npm install, commit package-lock.json, push again",
  },
  {
    name: "pnpm with a lock file that was left behind",
    label: "pnpm install",
    printed: ` ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile" because pnpm-lock.yaml is not up to date with <ROOT>/package.json
  specifiers in the lockfile don't match specifiers in package.json:
* 1 dependencies are mismatched:
  - ms (lockfile: 2.1.3, manifest: 2.1.2)`,
    headline: "pnpm-lock.yaml does not match package.json",
    detail: "ms (lockfile: 2.1.3, manifest: 2.1.2)",
    hint: "pnpm install, commit pnpm-lock.yaml, push again",
  },
  {
    name: "yarn 1 with a lock file that was left behind",
    label: "yarn install",
    printed: "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.",
    headline: "yarn.lock does not match package.json",
    hint: "yarn install, commit yarn.lock, push again",
  },
  {
    name: "yarn 4 with a lock file that was left behind",
    label: "yarn install",
    printed: "➤ YN0028: │ The lockfile would have been modified by this install, which is explicitly forbidden.",
    headline: "yarn.lock does not match package.json",
    detail: "The lockfile would have been modified by this install, which is explicitly forbidden.",
  },
  {
    name: "peer dependencies that cannot be met",
    label: "npm install",
    printed: `npm error code ERESOLVE
npm error ERESOLVE unable to resolve dependency tree
npm error Could not resolve dependency:
npm error peer react@"^18.2.0" from react-dom@18.2.0`,
    headline: "npm cannot meet all peer dependencies",
    detail: 'peer react@"^18.2.0" from react-dom@18.2.0',
  },
  {
    name: "a package that is not in the registry",
    label: "npm ci",
    printed: "npm error code E404\nnpm error 404 Not Found - GET https://registry.example.org/no-such-package",
    headline: "a package is not in the registry",
    detail: "404 Not Found - GET https://registry.example.org/no-such-package",
  },
  {
    name: "a registry that wants credentials",
    label: "npm ci",
    printed: "npm error code E401\nnpm error 401 Unauthorized - GET https://registry.example.org/x",
    headline: "the registry refuses a package without credentials",
  },
  {
    name: "a registry out of reach",
    label: "npm ci",
    printed:
      "npm error code ENOTFOUND\nnpm error network request to https://registry.example.org/ms failed, reason: getaddrinfo ENOTFOUND registry.example.org",
    headline: "the package registry cannot be reached",
  },
  {
    name: "a server of the app's own out of reach is not the registry",
    printed: "Error: connect ECONNREFUSED 127.0.0.1:5432",
    headline: "npm run build failed (exit 1)",
    detail: "Error: connect ECONNREFUSED 127.0.0.1:5432",
  },
  {
    name: "a script that is not there",
    printed: 'npm error Missing script: "bundle"',
    headline: "package.json has no script bundle",
    hint: "add it to the scripts in package.json, commit, push again",
  },
  {
    name: "a module that is used but not declared",
    printed: "Error: Cannot find module 'express'\nRequire stack:\n- /app/build.js",
    headline: "npm run build failed (exit 1)",
    detail: "Cannot find module 'express'",
    hint: "it is used but not in package.json: npm install express, commit, push again",
  },
  {
    name: "a part of a scoped package that is not declared",
    printed: "Error [ERR_MODULE_NOT_FOUND]: Cannot find package '@scope/tool/part' imported from /app/build.js",
    hint: "it is used but not in package.json: npm install @scope/tool, commit, push again",
  },
  {
    name: "a file of the app that was not committed",
    printed: "Error: Cannot find module './lib/prices'\nRequire stack:\n- /app/build.js",
    hint: "no such file in the commit: is it added to git, and is its name written the same way, capitals too?",
  },
  {
    name: "an import that Vite cannot resolve",
    printed: `error during build:
Error: [vite]: Rolldown failed to resolve import "axios" from "main.js".
    at viteLog (node_modules/vite/dist/node/chunks/node.js:34880:57)`,
    detail: 'failed to resolve import "axios" from "main.js"',
    hint: "it is used but not in package.json: npm install axios, commit, push again",
  },
  {
    name: "an import that webpack cannot resolve",
    printed: "Module not found: Error: Can't resolve './cart' in '/app/src'",
    hint: "no such file in the commit: is it added to git, and is its name written the same way, capitals too?",
  },
  {
    name: "a TypeScript error",
    printed: "a.ts(2,7): error TS2322: Type 'string' is not assignable to type 'number'.",
    detail: "a.ts:2 TS2322: Type 'string' is not assignable to type 'number'.",
    hint: "mend a.ts line 2, commit, push again",
  },
  {
    name: "a TypeScript error as a terminal shows it",
    printed: "src/a.ts:2:7 - error TS2322: No.",
    detail: "src/a.ts:2 TS2322: No.",
  },
  {
    name: "a requirement that pip does not find",
    label: "pip install",
    printed:
      "ERROR: Could not find a version that satisfies the requirement six==99.0 (from versions: 1.17.0)\nERROR: No matching distribution found for six==99.0",
    headline: "pip finds no six==99.0 for this Python",
  },
  {
    name: "a Python without venv",
    label: "python3 -m venv",
    printed: "The virtual environment was not created successfully because ensurepip is not available.",
    headline: "this machine's Python cannot make virtual environments",
    hint: "on Debian and Ubuntu: apt install python3-venv",
  },
  {
    name: "a Python module that is not declared",
    label: "manage.py collectstatic",
    printed: "ModuleNotFoundError: No module named 'whitenoise.middleware'",
    hint: "whitenoise is used but not installed: add it to requirements.txt, commit, push again",
  },
  {
    name: "a Go program that does not compile",
    label: "go build",
    printed: "# example.org/x\n./main.go:4:2: declared and not used: x",
    detail: "main.go:4 declared and not used: x",
    hint: "mend main.go line 4, commit, push again",
  },
  {
    name: "a Go module that is not declared",
    label: "go build",
    printed: "main.go:3:8: no required module provides package github.com/x/y; to add it:\n\tgo get github.com/x/y",
    headline: "go.mod and go.sum do not name all that is used",
    detail: "no required module provides package github.com/x/y",
  },
  {
    name: "a program that is not there, said by dash",
    exitCode: 127,
    printed: "> build\n> vite build\nsh: 1: vite: not found",
    detail: "vite: not found",
    hint: "vite is called but not installed: add the package that brings it to the dependencies, commit, push again",
  },
  {
    name: "a program that is not there, said by bash",
    exitCode: 127,
    printed: "sh: line 1: vite: command not found",
    detail: "vite: not found",
  },
  {
    name: "a full disk",
    printed: "Error: ENOSPC: no space left on device, write",
    headline: "the disk of this machine is full",
  },
  {
    name: "too little memory, said by Node",
    exitCode: 134,
    printed: "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
    headline: "npm run build ran out of memory",
  },
  {
    name: "too little memory, said by the kernel",
    exitCode: 137,
    printed: "compiling",
    headline: "npm run build was killed (exit 137)",
  },
  {
    name: "an exception with its place",
    printed: "build.js:2\nthrow new TypeError('x')\n^\nTypeError: the page has no title\n    at x (build.js:2:7)",
    detail: "TypeError: the page has no title (build.js:2)",
  },
  {
    name: "anything else by its last line that speaks of an error",
    exitCode: 3,
    printed: "doing this\nfatal: it cannot be\n    at error (x.js:1:1)\nbye",
    headline: "npm run build failed (exit 3)",
    detail: "fatal: it cannot be",
  },
  { name: "anything else by its last line", printed: "one\ntwo", detail: "two" },
  { name: "nothing printed at all", printed: "", headline: "npm run build failed (exit 1)" },
];

describe("a failed command is diagnosed", () => {
  test.each(cases)("$name", ({ label = "npm run build", exitCode = 1, printed, headline, detail, hint }) => {
    const cause = diagnose({ label, exitCode, lastLines: printed === "" ? [] : printed.split("\n") });
    expect(cause.headline.length).toBeLessThanOrEqual(80);
    expect(cause).toMatchObject({
      ...(headline ? { headline } : {}),
      ...(detail ? { detail } : {}),
      ...(hint ? { hint } : {}),
    });
  });

  test("with its last 20 lines", () => {
    const lines = Array.from({ length: 50 }, (_, index) => `line ${index}`);
    expect(diagnose({ label: "x", exitCode: 1, lastLines: lines }).lastLines).toEqual(lines.slice(-20));
  });
});

describe("a printed line is made plain", () => {
  const lines: [raw: string, plain: string][] = [
    ["\x1b[1;31merror\x1b[0m: x", "error: x"],
    ["\x1b]0;title\x07text", "text"],
    ["\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"],
    ["10%\r50%\r100%", "100%"],
    ["done\r", "done"],
    ["\x1b[2K\x1b[1Gfetching", "fetching"],
    ["a\tb", "a    b"],
    ["a\x00\x07b\x9bK", "ab"],
    ["   kept in  ", "   kept in"],
    ["x".repeat(1_200), `${"x".repeat(1_000)}… (200 more characters)`],
  ];
  test.each(lines)("%j", (raw, plain) => expect(plainText(raw)).toBe(plain));

  test("also where a character is cut between two chunks", () => {
    const seen: string[] = [];
    const lines = new OutputLines((line) => seen.push(line));
    const bytes = Buffer.from("größer\nund ohne Ende");
    for (const byte of bytes) lines.push(Buffer.from([byte]));
    lines.end();
    expect(seen).toEqual(["größer", "und ohne Ende"]);
  });

  test("and one without end stays bounded", () => {
    const seen: string[] = [];
    const lines = new OutputLines((line) => seen.push(line));
    for (let i = 0; i < 100; i++) lines.push(Buffer.alloc(64 * 1024, "x"));
    lines.push(Buffer.from("\nnext\n"));
    expect(seen[0]!.length).toBeLessThan(256 * 1024);
    expect(seen[1]).toBe("next");
  });
});
