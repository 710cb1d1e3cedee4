import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { causeOfFaults, faultLine } from "../../src/model/app-file/file-fault.ts";
import { maxFileBytes } from "../../src/model/app-file/file-text.ts";
import { zyndraYmlSchema } from "../../src/model/app-file/json-schema.ts";
import { type AppFiles, readAppFiles } from "../../src/model/app-file/read-app-files.ts";
import { parseYaml } from "../../src/model/app-file/yaml-file.ts";
import type { AppSettings } from "../../src/model/app-settings.ts";

/** Settings without where they stand. */
function said(files: AppFiles): Omit<AppSettings, "origins"> {
  const read = readAppFiles(files);
  if (!read.ok) throw new Error(read.faults.map(faultLine).join("\n"));
  const { origins: _, ...settings } = read.settings;
  return settings;
}

function faultsIn(files: AppFiles): string[] {
  const read = readAppFiles(files);
  return read.ok ? [] : read.faults.map(faultLine);
}

function warningsIn(files: AppFiles): string[] {
  const read = readAppFiles(files);
  if (!read.ok) throw new Error(read.faults.map(faultLine).join("\n"));
  return read.warnings.map(({ text }) => text);
}

const yml = (...lines: string[]) => ({ "zyndra.yml": ["version: 1", ...lines, ""].join("\n") });

/** What an editor underlines that knows the published schema. */
function editorFaults(text: string): string[] {
  const checked = z
    .fromJSONSchema(zyndraYmlSchema() as z.core.JSONSchema.JSONSchema)
    .safeParse(parse(text, { merge: true }));
  return checked.success ? [] : checked.error.issues.map(({ message }) => message);
}

describe("a zyndra.yml is read", () => {
  const cases: [name: string, lines: string[], expected: object][] = [
    ["with its version alone", [], {}],
    ["with comments and blank lines", ["# the shop", "", "name: shop # ours"], { name: "shop" }],
    [
      "with all of build",
      [
        "build:",
        "  builder: auto",
        "  root: ./apps/shop/",
        "  cache: false",
        "  timeout: 20m",
        "  args: { NODE_OPTIONS: --no-warnings, LEVEL: 3, RATIO: 1.10, FAST: true }",
        "  secrets: [NPM_TOKEN]",
      ],
      {
        build: {
          builder: "auto",
          root: "apps/shop",
          cache: false,
          timeoutMs: 1_200_000,
          args: { NODE_OPTIONS: "--no-warnings", LEVEL: "3", RATIO: "1.10", FAST: "true" },
          secrets: ["NPM_TOKEN"],
        },
      },
    ],
    ["with the repository's own folder as root", ["build: { root: . }"], {}],
    [
      "with a static site",
      ["build: { builder: static, output: dist }"],
      { build: { builder: "static", output: "dist" } },
    ],
    [
      "with a static site as it lies there",
      ["build: { builder: static, output: . }"],
      { build: { builder: "static", output: "." } },
    ],
    [
      "with all of deploy",
      [
        "deploy:",
        "  branch: main",
        "  strategy: rolling",
        "  timeout: 1h",
        "  drain: 1m30s",
        "  stop_grace: 500ms",
        "  auto_rollback: true",
      ],
      { rollout: { timeoutMs: 3_600_000, drainMs: 90_000, stopGraceMs: 500 } },
    ],
    [
      "with hooks, short and long",
      [
        "hooks:",
        "  release: { command: npm run migrate, timeout: 10m }",
        "  first_deploy: npm run seed",
        "  after_deploy: ./warm",
      ],
      {
        hooks: {
          release: { command: "npm run migrate", timeoutMs: 600_000 },
          firstDeploy: { command: "npm run seed" },
          afterDeploy: { command: "./warm" },
        },
      },
    ],
    [
      "with processes, short and long",
      [
        "processes:",
        "  web:",
        "    command: node server.js",
        "    replicas: 2",
        "    health: /healthz",
        "    stop_grace: 2m",
        "  worker: node worker.js",
      ],
      {
        processes: {
          web: { command: "node server.js", count: 2, health: { path: "/healthz" }, stopGraceMs: 120_000 },
          worker: { command: "node worker.js" },
        },
      },
    ],
    ["with a web that says nothing more", ["processes:", "  web:"], { processes: { web: {} } }],
    ["without any process in processes", ["processes: {}"], {}],
    [
      "with a health check of both kinds, of which readiness counts",
      ["processes: { web: { health: { startup: { path: /up }, readiness: { path: /ready, timeout: 2s } } } }"],
      { processes: { web: { health: { path: "/ready", timeoutMs: 2_000 } } } },
    ],
    [
      "with cron",
      [
        "cron:",
        "  - name: nightly-report",
        '    schedule: "0  3 * * *"',
        "    timezone: Europe/Stockholm",
        "    command: node report.js",
        "    concurrency: allow",
        "    timeout: 30m",
        "    retries: 1",
        "  - { name: hourly, schedule: '@hourly', command: ./tick }",
      ],
      {
        cron: [
          {
            name: "nightly-report",
            schedule: "0 3 * * *",
            timezone: "Europe/Stockholm",
            command: "node report.js",
            overlap: "allow",
            timeoutMs: 1_800_000,
            retries: 1,
          },
          { name: "hourly", schedule: "0 * * * *", command: "./tick", overlap: "forbid" },
        ],
      },
    ],
    [
      "with env",
      [
        "env:",
        "  LOG_LEVEL: info",
        "  WORKERS: 4",
        "  EMPTY: ''",
        "  FEATURES: { value: new_ui, sync: true }",
        "  SESSION_SECRET: { generate: 32, secret: true }",
        "  STRIPE_KEY: { required: true, secret: true, description: Stripe's live key }",
        "  PUBLIC_URL: { from: app.url }",
      ],
      {
        env: {
          LOG_LEVEL: { value: "info" },
          WORKERS: { value: "4" },
          EMPTY: { value: "" },
          FEATURES: { value: "new_ui", sync: true },
          SESSION_SECRET: { generateBytes: 32 },
          STRIPE_KEY: { required: true, description: "Stripe's live key" },
          PUBLIC_URL: { from: "app.url" },
        },
      },
    ],
    [
      "with anchors, aliases and merge keys",
      [
        "x-health: &health { path: /up, timeout: 3s }",
        "x-base: &base",
        "  stop_grace: 10s",
        "  replicas: 1",
        "processes:",
        "  x-note: nobody reads this",
        "  web:",
        "    <<: *base",
        "    replicas: 3",
        "    health: { readiness: *health, x-why: slow start }",
        "  worker: { <<: [*base], command: ./work }",
      ],
      {
        processes: {
          web: { stopGraceMs: 10_000, count: 3, health: { path: "/up", timeoutMs: 3_000 } },
          worker: { stopGraceMs: 10_000, count: 1, command: "./work" },
        },
      },
    ],
    [
      "with a folded command",
      ["processes:", "  web: >-", "    node", "    server.js"],
      { processes: { web: { command: "node server.js" } } },
    ],
  ];
  test.each(cases)("%s", (_, lines, expected) => {
    expect(said(yml(...lines))).toEqual(expected);
  });

  test.each(cases)("%s, and an editor with the JSON Schema has nothing against it", (_, lines) => {
    expect(editorFaults(yml(...lines)["zyndra.yml"])).toEqual([]);
  });

  test("with Windows' line ends and a mark at its start", () => {
    expect(said({ "zyndra.yml": "\uFEFFversion: 1\r\nname: shop\r\n" })).toEqual({ name: "shop" });
  });

  test("as bytes", () => {
    expect(said({ "zyndra.yml": Buffer.from("version: 1\nenv: { WORD: häst }\n") })).toEqual({
      env: { WORD: { value: "häst" } },
    });
  });
});

describe("a wrong zyndra.yml is told with its line, its column and what to write", () => {
  const cases: [name: string, lines: string[], ...faults: string[]][] = [
    ["an unknown key", ["proceses: {}"], 'zyndra.yml:2:1: "proceses" is not known; did you mean processes?'],
    [
      "one that is known elsewhere by another name",
      ["processes:", "  web:", "    instances: 2"],
      'zyndra.yml:4:5: "instances" is not known in web; did you mean replicas?',
    ],
    ["capitals", ["Name: shop"], 'zyndra.yml:2:1: "Name" is not known; did you mean name?'],
    [
      "one that is like nothing",
      ["deploy: { hats: 3 }"],
      'zyndra.yml:2:11: "hats" is not known in deploy; known here: branch, strategy, timeout, drain, stop_grace, auto_rollback; what begins with x- is left alone',
    ],
    ["a key twice", ["name: shop", "name: blog"], 'zyndra.yml:3:1: "name" is already in line 2; keep one of them'],
    [
      "a list for a block",
      ["build: [auto]"],
      "zyndra.yml:2:8: build must be a block of keys, not a list; for example: build: builder: auto",
    ],
    [
      "nothing for a block",
      ["build:"],
      "zyndra.yml:2:7: build is empty: it must be a block of keys; for example: build: builder: auto",
    ],
    [
      "a text for a number",
      ["processes: { web: { replicas: two } }"],
      'zyndra.yml:2:31: replicas must be a whole number from 0 to 50, not "two"; for example: replicas: 2',
    ],
    [
      "a fraction",
      ["processes: { web: { replicas: 1.5 } }"],
      "zyndra.yml:2:31: replicas must be a whole number from 0 to 50, not 1.5; for example: replicas: 2",
    ],
    [
      "too many",
      ["processes: { web: { replicas: 51 } }"],
      "zyndra.yml:2:31: replicas must be a whole number from 0 to 50, not 51; for example: replicas: 2",
    ],
    [
      "a number for a text",
      ["name: 3"],
      'zyndra.yml:2:7: name must be an app\'s name; 3 is a number; if it is meant, put it in quotes: "3"',
    ],
    [
      "YAML 1.1's yes",
      ["build: { cache: no }"],
      'zyndra.yml:2:17: cache must be true or false, not "no"; write cache: false',
    ],
    [
      "a time without a unit",
      ["deploy:", "  timeout: 300"],
      "zyndra.yml:3:12: timeout has no unit: 300 of what?; write 300s, 300m or 300h",
    ],
    ["a time in words", ["deploy: { drain: 5 minutes }"], 'zyndra.yml:2:18: "5 minutes" is no time; write drain: 5m'],
    ["a time that is none", ["deploy: { drain: soon }"], 'zyndra.yml:2:18: "soon" is no time; for example: drain: 30s'],
    [
      "too long a time",
      ["deploy: { timeout: 2h }"],
      "zyndra.yml:2:20: timeout must be from 1s to 1h; for example: timeout: 5m",
    ],
    [
      "a word that is not offered",
      ["build: { builder: statc }"],
      'zyndra.yml:2:19: builder must be auto or static, not "statc"; did you mean static?',
    ],
    ["another version", [], "zyndra.yml:1:10: version must be 1, not 2; write version: 1"],
    [
      "a bad name",
      ["name: The Shop"],
      "zyndra.yml:2:7: \"The Shop\" is no app's name; an app's name has 1 to 30 lower-case letters, digits and hyphens, starts with a letter and does not end with a hyphen",
    ],
    [
      "a root outside",
      ["build: { root: ../other }"],
      'zyndra.yml:2:16: "../other" is no folder of the repository; a relative path without "..", for example: apps/shop',
    ],
    [
      "an absolute root",
      ["build: { root: /srv }"],
      'zyndra.yml:2:16: "/srv" is no folder of the repository; a relative path without "..", for example: apps/shop',
    ],
    [
      "output without static",
      ["build: { output: dist }"],
      "zyndra.yml:2:10: output is for builder: static; add builder: static, or remove output",
    ],
    [
      "a worker of a static site",
      ["build: { builder: static }", "processes: { worker: ./w }"],
      "zyndra.yml:3:14: builder: static runs no worker; remove builder: static, or the process",
    ],
    [
      "a command of a static site",
      ["build: { builder: static }", "processes: { web: ./w }"],
      "zyndra.yml:3:14: builder: static has a web server of its own; remove its command",
    ],
    [
      "a process called release",
      ["processes: { release: ./migrate }"],
      'zyndra.yml:2:14: release is no process; write hooks: { release: "npm run migrate" }',
    ],
    ["a process in capitals", ["processes: { Web: ./a }"], 'zyndra.yml:2:14: "Web" is no process type; write web:'],
    [
      "a process without a command",
      ["processes:", "  web: ./a", "  worker:", "    replicas: 2"],
      "zyndra.yml:4:3: worker has no command, here or in a Procfile; for example: worker: node worker.js",
    ],
    [
      "health of a worker",
      ["processes: { worker: { command: ./w, health: /up } }"],
      "zyndra.yml:2:38: only web is asked how it is, in this version; remove health: a process that stays up is healthy",
    ],
    [
      "a health path without a slash",
      ["processes: { web: { health: healthz } }"],
      'zyndra.yml:2:29: "healthz" is no path; it begins with a slash: /healthz',
    ],
    [
      "health: {path}",
      ["processes: { web: { health: { path: /up } } }"],
      'zyndra.yml:2:31: "path" is not known in health; write health: /healthz, or health: { readiness: { path: /healthz } }',
    ],
    [
      "a hook without its command",
      ["hooks: { release: { timeout: 1m } }"],
      "zyndra.yml:2:19: release has no command; add command: node server.js",
    ],
    [
      "a process whose command is misspelt",
      ["processes: { worker: { comand: node worker.js } }"],
      'zyndra.yml:2:24: "comand" is not known in worker; did you mean command?',
    ],
    [
      "a hook whose command is misspelt",
      ["hooks: { release: { comand: node migrate.js } }"],
      'zyndra.yml:2:21: "comand" is not known in release; did you mean command?',
    ],
    [
      "an hour that no day has",
      ['cron: [{ name: a, schedule: "0 25 * * *", command: b }]'],
      expect.stringContaining('"0 25 * * *" is not understood: hour 25 is not 0 to 23; '),
    ],
    [
      "an empty command",
      ["hooks: { release: '' }"],
      "zyndra.yml:2:19: the command is empty; for example: node server.js",
    ],
    [
      "a cron entry without its schedule",
      ["cron:", "  - name: x", "    command: ./x"],
      'zyndra.yml:3:5: entry 1 of cron has no schedule; add schedule: "0 3 * * *"',
    ],
    [
      "a schedule with four fields",
      ["cron: [{ name: x, command: ./x, schedule: '* * * *' }]"],
      'zyndra.yml:2:43: "* * * *" is no schedule: it takes five fields, minute hour day month weekday; for example "0 3 * * *" (at 3:00), "*/15 * * * *" (every 15 minutes), "0 9 * * mon-fri"',
    ],
    [
      "two cron entries of one name",
      [
        "cron:",
        "  - { name: x, command: ./x, schedule: '0 3 * * *' }",
        "  - { name: x, command: ./y, schedule: '0 4 * * *' }",
      ],
      "zyndra.yml:4:7: the name x is taken by the entry in line 3; give each entry a name of its own",
    ],
    [
      "a time zone with a typo",
      ["cron: [{ name: x, command: ./x, schedule: '0 3 * * *', timezone: Europe/Stokholm }]"],
      'zyndra.yml:2:66: "Europe/Stokholm" is no time zone; did you mean Europe/Stockholm?',
    ],
    [
      "a city alone",
      ["cron: [{ name: x, command: ./x, schedule: '0 3 * * *', timezone: stockholm }]"],
      'zyndra.yml:2:66: "stockholm" is no time zone; did you mean Europe/Stockholm?',
    ],
    [
      "a name that Zyndra gives",
      ["env: { PORT: 3000 }"],
      "zyndra.yml:2:8: PORT cannot be set: Zyndra gives each process its own PORT; give it another name",
    ],
    [
      "a name that is none",
      ["env: { log-level: info }"],
      'zyndra.yml:2:8: "log-level" is not a config var\'s name: letters, digits and underscores, no digit first; give it another name',
    ],
    [
      "a var without a value",
      ["env:", "  LOG_LEVEL:"],
      "zyndra.yml:3:13: LOG_LEVEL is empty: it must be a value or a block of keys; for example: LOG_LEVEL: info",
    ],
    [
      "a var that says nothing",
      ["env: { A: {} }"],
      "zyndra.yml:2:8: A says nothing; for example: A: { required: true }",
    ],
    [
      "two sources of a var",
      ["env: { A: { value: x, generate: 32 } }"],
      "zyndra.yml:2:8: A comes from value and from generate; keep one of them",
    ],
    [
      "a var that is required and has a value",
      ["env: { A: { value: x, required: true } }"],
      "zyndra.yml:2:8: A is never missing: it comes from value; remove required, or value",
    ],
    [
      "a secret with its value",
      ["env: { KEY: { value: hunter22, secret: true } }"],
      "zyndra.yml:2:8: KEY is secret and has a value here: no secrets in the repository; write required: true instead of the value, then: zyndra config:set APP KEY=VALUE",
    ],
    [
      "a nothing after a dash",
      ["cron:", "  -"],
      'zyndra.yml:3:4: entry 1 of cron is empty: it must be a block of keys; for example: { name: nightly-report, schedule: "0 3 * * *", command: node report.js }',
    ],
    [
      "another branch",
      ["deploy: { branch: production }"],
      'zyndra.yml:2:19: branch must be main, not "production"; main is what is deployed; another one is: git push zyndra OTHER:main',
    ],
  ];
  test.each(cases)("%s", (name, lines, ...faults) => {
    const files = name === "another version" ? { "zyndra.yml": "version: 2\n" } : yml(...lines);
    expect(faultsIn(files)).toEqual(faults);
  });

  test("a secret by its form, which is not repeated", () => {
    const key = `sk_live_${"a1".repeat(12)}`;
    const read = readAppFiles(yml(`env: { STRIPE_KEY: ${key} }`, "hooks:", `  release: ./pay --key ${key}`));
    expect(read).toMatchObject({
      ok: false,
      faults: [
        { line: 2, problem: "the value looks like a Stripe key: no secrets in the repository" },
        { line: 4, problem: "the command holds a Stripe key: no secrets in the repository" },
      ],
    });
    expect(JSON.stringify(read)).not.toContain(key);
  });

  test("no version", () => {
    expect(faultsIn({ "zyndra.yml": "name: shop\n" })).toEqual(["zyndra.yml:1:1: version is missing; add version: 1"]);
  });
});

describe("what is not in this version is refused in one sentence that says what to do instead", () => {
  const cases: [lines: string[], fault: string][] = [
    [
      ["addons: { db: { type: postgres, version: '16' } }"],
      "zyndra.yml:2:1: addons is not in this version; remove it, then: zyndra addons:create postgres --app APP",
    ],
    [
      ["domains: [shop.example.com, { host: www.example.com, redirect: shop.example.com }]"],
      "zyndra.yml:2:1: domains is not in this version; remove it, then: zyndra domains:add APP shop.example.com",
    ],
    [
      ["volumes: [{ name: uploads, mount: /app/uploads }]"],
      "zyndra.yml:2:1: volumes is not in this version; remove it, then: zyndra volumes:create uploads --app APP",
    ],
    [
      ["processes: { web: { port: 3000 } }"],
      "zyndra.yml:2:21: port is not in this version; remove it: web must listen on $PORT, which Zyndra gives it",
    ],
    [
      ["processes: { web: { autoscale: { min: 2, max: 6 } } }"],
      "zyndra.yml:2:21: autoscale is not in this version; remove it: zyndra ps:scale APP web=3",
    ],
    [
      ["previews: { enabled: true }"],
      "zyndra.yml:2:1: previews is not in this version; remove it, or keep it as x-previews",
    ],
    [
      ["alerts: [{ when: cpu, over: 90%, within: 10m }]"],
      "zyndra.yml:2:1: alerts is not in this version; remove it, or keep it for later under a name that begins with x-",
    ],
    [
      ["build: { builder: dockerfile }"],
      "zyndra.yml:2:19: builder: dockerfile is not in this version; write auto or static, or remove the line",
    ],
    [
      ["build: { dockerfile: Dockerfile }"],
      "zyndra.yml:2:10: dockerfile is not in this version; remove it: Dockerfiles are not built in this version",
    ],
    [
      ["deploy: { strategy: recreate }"],
      "zyndra.yml:2:21: strategy: recreate is not in this version; write rolling, or remove the line",
    ],
  ];
  test.each(cases)("%j", (lines, fault) => {
    expect(faultsIn(yml(...lines))).toEqual([fault]);
  });

  test.each([
    [
      "addons: [postgres]",
      "2:1: addons is not in this version; remove it, then: zyndra addons:create postgres --app APP",
    ],
    ["env: { FROM: { from: app.host } }", "2:22: from must be app.url or app.name"],
  ])("and in no other one: %s", (line, fault) => {
    expect(faultsIn(yml(line))).toEqual([expect.stringContaining(`zyndra.yml:${fault}`)]);
  });
});

describe("a file that is no right YAML is told with its line", () => {
  const cases: [name: string, text: string, ...faults: string[]][] = [
    ["empty", "", "zyndra.yml:1:1: it is empty; write version: 1, or remove the file"],
    ["only comments", "# later\n", "zyndra.yml:1:1: it is empty; write version: 1, or remove the file"],
    ["a text", "hello\n", 'zyndra.yml:1:1: zyndra.yml must be a block of keys, not "hello"; for example: version: 1'],
    [
      "a tab",
      "version: 1\nbuild:\n\tcache: false\n",
      "zyndra.yml:3:1: a tab stands where spaces indent; write two spaces instead",
    ],
    [
      "a second colon",
      "version: 1\nhooks:\n  release: echo done: ok\n",
      "zyndra.yml:3:12: a second \": \" stands in this line; put the value in quotes: release: 'echo done: ok'",
    ],
    [
      "a line without a colon",
      "version: 1\nname shop\nbuild: {}\n",
      'zyndra.yml:2:1: "name shop" is no key and value; a line looks like this: key: value',
    ],
    [
      "an open bracket",
      "version: 1\nbuild: { cache: false\nname: shop\n",
      "zyndra.yml:3:1: a [ or { is not closed; close it, or indent what belongs into it",
    ],
    ["an open quote", 'version: 1\nname: "shop\n', "zyndra.yml:3:1: a quote is not closed; close it, in the same line"],
    [
      "a value that begins with @",
      "version: 1\nname: @shop\n",
      "zyndra.yml:2:7: a value cannot begin with @; put it in quotes: name: '@shop'",
    ],
    [
      "a crooked indent",
      "version: 1\nbuild:\n  cache: false\n root: a\n",
      "zyndra.yml:4:1: it is indented differently from the lines it belongs to; give lines that belong together the same indent",
    ],
    [
      "several documents",
      "version: 1\n---\nversion: 1\n",
      "zyndra.yml:2:1: a second document begins here; the file is one document: remove the line --- or ...",
    ],
    [
      "an alias of nothing",
      "version: 1\nname: *shop\n",
      "zyndra.yml:2:7: nothing before it is called &shop; name an anchor of this file",
    ],
    [
      "an unknown tag",
      "version: 1\nname: !secret shop\n",
      "zyndra.yml:2:7: !secret is not known; remove it: tags are not used here",
    ],
    [
      "a merge of a text",
      "version: 1\nbuild:\n  <<: hats\n",
      "zyndra.yml:3:7: << takes the keys of another block; for example: <<: *base, with &base at the block that is meant",
    ],
    [
      "a control character",
      "version: 1\nname: sh\x07op\n",
      "zyndra.yml:2:9: it holds a control character; write the line anew as plain text",
    ],
  ];
  test.each(cases)("%s", (_, text, ...faults) => {
    expect(faultsIn({ "zyndra.yml": text })).toEqual(faults);
  });

  test("no UTF-8", () => {
    const latin1 = Buffer.from("version: 1\nname: sh\xf6p\n", "latin1");
    expect(faultsIn({ "zyndra.yml": latin1 })).toEqual(["zyndra.yml:2:9: it is no UTF-8 text; save it as UTF-8"]);
  });

  test("too large, a link, a folder", () => {
    expect(faultsIn({ "zyndra.yml": "#".repeat(maxFileBytes + 1) })).toEqual([
      "zyndra.yml:1:1: it is larger than 64 KiB; is this the right file?",
    ]);
    expect(faultsIn({ "zyndra.yml": { unreadable: "link" } })[0]).toContain("symbolic link");
    expect(faultsIn({ "zyndra.yml": { unreadable: "no file" } })[0]).toContain("no plain file");
  });

  test("what is made to break a reader ends soon, in a sentence", () => {
    const bomb = ["a: &a [x, x, x, x, x, x, x, x, x, x]"];
    for (const [before, name] of ["ab", "bc", "cd", "de", "ef", "fg", "gh"].map((pair) => [...pair])) {
      bomb.push(`${name}: &${name} [${Array(10).fill(`*${before}`).join(", ")}]`);
    }
    const texts = [
      `version: 1\n${bomb.map((line) => `x-${line}`).join("\n")}\n`,
      "version: 1\nx-loop: &loop [*loop]\n",
      "[".repeat(60_000),
      "{a: ".repeat(15_000),
      "- ".repeat(30_000),
      "? ".repeat(30_000),
      '["]",'.repeat(10_000),
      "*a ".repeat(20_000),
      `version: 1\nprocesses:\n${Array.from({ length: 5_000 }, (_, index) => `  Bad ${index}: x\n`).join("")}`,
      `version: 1\n${Array.from({ length: 5_000 }, (_, index) => `bad${index}: x\n`).join("")}`,
      "\n".repeat(64_000),
      ":".repeat(60_000),
      ":\n".repeat(32_000),
      "%a\n".repeat(20_000),
    ];
    for (const text of texts) {
      const read = readAppFiles({ "zyndra.yml": text });
      expect(read.ok).toBe(false);
      if (!read.ok) expect(read.faults.length).toBeLessThanOrEqual(101);
    }
  });

  test("of a file that is wrong throughout only the first faults are looked for", () => {
    const { faults } = parseYaml("zyndra.yml", ":\n".repeat(32_000));
    expect(faults).toHaveLength(50);
  });
});

test("all faults of all files are told at once, in the order of the lines, the same one once", () => {
  const files = {
    ...yml(
      "x-bad: &bad { replicas: -1 }",
      "processes:",
      "  web: *bad",
      "  api: { <<: *bad, command: ./api }",
      "nmae: shop",
    ),
    Procfile: "web node server.js\nweb: ./a\nWeb: ./b\n",
    "app.json": '{"env": {},}',
  };
  expect(faultsIn(files)).toEqual([
    "zyndra.yml:2:25: replicas must be a whole number from 0 to 50, not -1; for example: replicas: 2",
    'zyndra.yml:6:1: "nmae" is not known; did you mean name?',
    'Procfile:1:1: "web node server.js" has no colon; a line looks like this: web: node server.js',
    'Procfile:3:1: "Web" is written with capitals; write web:',
    "app.json:1:12: it is no JSON: expected double-quoted property name; remove the comma before it",
  ]);
});

test("a cause counts the faults and shows the first, with all of them as its lines", () => {
  const read = readAppFiles(yml("nmae: shop", "biuld: {}"));
  if (read.ok) throw new Error("it must be wrong");
  expect(causeOfFaults(read.faults)).toEqual({
    headline: "zyndra.yml has 2 faults",
    detail: 'zyndra.yml:2:1: "nmae" is not known',
    hint: "mend them, commit, push again; zyndra validate finds them before a push",
    lastLines: [
      'zyndra.yml:2:1: "nmae" is not known; did you mean name?',
      'zyndra.yml:3:1: "biuld" is not known; did you mean build?',
    ],
  });
  expect(causeOfFaults(read.faults.slice(0, 1))).toEqual({
    headline: "zyndra.yml has a fault",
    detail: 'zyndra.yml:2:1: "nmae" is not known',
    hint: "did you mean name?",
  });
});

describe("a file with another name", () => {
  test("that can only be meant for Zyndra is refused", () => {
    expect(faultsIn({ names: ["zyndra.yaml", "Procfile"] })).toEqual([
      "zyndra.yaml:1:1: zyndra.yaml is not read: the file is called zyndra.yml; git mv zyndra.yaml zyndra.yml",
    ]);
    expect(faultsIn({ ...yml(), names: ["zyndra.yml", "zyndra.yaml"] })).toEqual([]);
  });

  test("that may be another program's is warned of", () => {
    expect(warningsIn({ "app.yml": "name: probot\n", names: ["app.yml"] })).toEqual([]);
    expect(warningsIn({ "app.yml": "version: 1\nprocesses: {}\n", names: ["app.yml", "procfile"] })).toEqual([
      "app.yml is not read: the file is called zyndra.yml",
      "procfile is not read: the file is called Procfile",
    ]);
  });
});

describe("zyndra.yml, Procfile and app.json together", () => {
  test("nothing at all says nothing", () => {
    expect(readAppFiles({})).toEqual({ ok: true, settings: {}, warnings: [] });
  });

  test("the Procfile's processes and release command, and where they stand", () => {
    expect(readAppFiles({ Procfile: "# what runs\nweb: ./web\nrelease: ./migrate\n" })).toEqual({
      ok: true,
      settings: {
        processes: { web: { command: "./web" } },
        hooks: { release: { command: "./migrate" } },
        origins: { "processes.web.command": "Procfile:2", "hooks.release": "Procfile:3" },
      },
      warnings: [],
    });
  });

  test("zyndra.yml's processes are all that there are, and take the Procfile's commands", () => {
    const files = {
      ...yml("processes:", "  web: { replicas: 2 }", "  worker: ./other", "hooks: { release: ./better }"),
      Procfile: "web: ./web\nworker: ./worker\nclock: ./clock\nrelease: ./migrate\n",
    };
    expect(readAppFiles(files)).toEqual({
      ok: true,
      settings: {
        processes: { web: { command: "./web", count: 2 }, worker: { command: "./other" } },
        hooks: { release: { command: "./better" } },
        origins: {
          "processes.web": "zyndra.yml:3",
          "processes.web.command": "Procfile:1",
          "processes.web.count": "zyndra.yml:3",
          "processes.worker": "zyndra.yml:4",
          "processes.worker.command": "zyndra.yml:4",
          "hooks.release": "zyndra.yml:5",
        },
      },
      warnings: [
        { text: "clock of the Procfile is not among the processes of zyndra.yml: it says all that there are" },
      ],
    });
  });

  test("app.json counts and watches what the Procfile names", () => {
    const files = {
      Procfile: "web: ./web\nworker: ./worker\n",
      "app.json": JSON.stringify({
        formation: { web: { quantity: 2 }, worker: { quantity: 0 }, clock: { quantity: 1 } },
        healthchecks: { web: [{ type: "startup", path: "/up", timeout: 3 }] },
      }),
    };
    expect(said(files)).toEqual({
      processes: {
        web: { command: "./web", count: 2, health: { path: "/up", timeoutMs: 3_000 } },
        worker: { command: "./worker", count: 0 },
      },
    });
  });

  test("zyndra.yml wins, value by value", () => {
    const files = {
      ...yml(
        "processes: { web: { command: ./web, replicas: 3 } }",
        "env: { A: ours }",
        "hooks: { after_deploy: ./after }",
      ),
      "app.json": JSON.stringify({
        formation: { web: { quantity: 2 } },
        healthchecks: { web: [{ type: "readiness", path: "/up" }] },
        env: { A: "theirs", B: "b" },
        scripts: { dokku: { predeploy: "./pre", postdeploy: "./post" } },
        cron: [{ command: "./tick", schedule: "@daily" }],
      }),
    };
    expect(said(files)).toEqual({
      processes: { web: { command: "./web", count: 3, health: { path: "/up" } } },
      env: { A: { value: "ours" }, B: { value: "b" } },
      hooks: { release: { command: "./pre" }, afterDeploy: { command: "./after" } },
      cron: [{ name: "cron-1", command: "./tick", schedule: "0 0 * * *", overlap: "forbid" }],
    });
  });

  test("the names of files in a root are told with their folder", () => {
    const files = { ...yml("build: { root: apps/shop }"), Procfile: "web ./a\n", "app.json": "{" };
    expect(faultsIn(files)).toEqual([
      'apps/shop/Procfile:1:1: "web ./a" has no colon; a line looks like this: web: node server.js',
      "apps/shop/app.json:1:2: the file ends in the middle: something is not closed; an editor that knows JSON shows the place",
    ]);
  });

  test("a static site needs no Procfile", () => {
    const files = { ...yml("build: { builder: static }"), Procfile: "web: node server.js\n" };
    expect(said(files)).toEqual({ build: { builder: "static" } });
    expect(warningsIn(files)).toEqual(["the Procfile is not used: builder: static has a web server of its own"]);
  });
});

describe("a real app.json works unchanged", () => {
  test("of a Rails app on Heroku", () => {
    const appJson = {
      name: "Small Sharp Tool",
      description: "This app does one little thing, and does it well.",
      keywords: ["productivity", "HTML5"],
      website: "https://small-sharp-tool.com/",
      repository: "https://github.com/jane-doe/small-sharp-tool",
      logo: "https://small-sharp-tool.com/logo.svg",
      success_url: "/welcome",
      scripts: {
        postdeploy: "bundle exec rake bootstrap",
        "pr-predestroy": "bundle exec rake clean",
        test: "rake test",
      },
      env: {
        SECRET_TOKEN: { description: "A secret key for verifying signed cookies.", generator: "secret" },
        WEB_CONCURRENCY: { description: "The number of processes to run.", value: "5" },
        RAILS_ENV: "staging",
        GOOGLE_KEY: { description: "For maps", required: false },
        STRIPE_KEY: { description: "For payments" },
        BUILDPACK_URL: { required: true },
      },
      formation: { web: { quantity: 1, size: "standard-1x" }, worker: { quantity: 2 } },
      image: "heroku/ruby",
      addons: ["openredis", { plan: "heroku-postgresql:essential-0", as: "DATABASE", options: { version: "16" } }],
      buildpacks: [{ url: "https://github.com/stomita/heroku-buildpack-phantomjs" }, { url: "heroku/ruby" }],
      stack: "heroku-24",
      environments: { test: { addons: ["heroku-redis"], scripts: { test: "bundle exec rake test" } } },
    };
    const files = {
      "app.json": JSON.stringify(appJson, null, 2),
      Procfile: "web: bundle exec puma -C config/puma.rb\nworker: bundle exec sidekiq\nrelease: bin/rails db:migrate\n",
    };
    expect(said(files)).toEqual({
      processes: {
        web: { command: "bundle exec puma -C config/puma.rb", count: 1 },
        worker: { command: "bundle exec sidekiq", count: 2 },
      },
      hooks: { firstDeploy: { command: "bundle exec rake bootstrap" }, release: { command: "bin/rails db:migrate" } },
      env: {
        SECRET_TOKEN: { generateBytes: 32, description: "A secret key for verifying signed cookies." },
        WEB_CONCURRENCY: { value: "5", description: "The number of processes to run." },
        RAILS_ENV: { value: "staging" },
        GOOGLE_KEY: { description: "For maps" },
        STRIPE_KEY: { expected: true, description: "For payments" },
        BUILDPACK_URL: { expected: true },
      },
    });
    expect(warningsIn(files)).toEqual([
      expect.stringMatching(/^app\.json:\d+: it asks for openredis, which Zyndra does not make/),
      expect.stringMatching(/^app\.json:\d+: it asks for heroku-postgresql: zyndra addons:create postgres --app APP$/),
      "app.json: image, buildpacks, stack are not used: the language is found by its files",
    ]);
  });

  test("of an app on Dokku, indented with tabs", () => {
    const appJson = {
      cron: [
        { command: "node tasks/daily.js", schedule: "@daily" },
        { command: "node tasks/often.js", schedule: "*/5 * * * *", concurrency_policy: "allow" },
        { command: "node tasks/never.js", schedule: "every now and then" },
      ],
      healthchecks: {
        web: [
          { type: "liveness", name: "alive", uptime: 10 },
          { type: "readiness", name: "ready", path: "/health/ready", attempts: 3, timeout: 5, wait: 2 },
          { type: "startup", name: "up", path: "/health/startup", content: "ok" },
        ],
      },
      scripts: { dokku: { predeploy: "node migrate.js", postdeploy: "node after.js" } },
      formation: { web: { quantity: 1, max_parallel: 1, autoscaling: { min_quantity: 1 } } },
      env: { FEATURES: { value: "new", sync: true }, PORT: "5000", NUMBER: 5 },
    };
    const files = { "app.json": JSON.stringify(appJson, null, "\t") };
    expect(said(files)).toEqual({
      processes: { web: { count: 1, health: { path: "/health/ready", timeoutMs: 5_000 } } },
      hooks: { release: { command: "node migrate.js" }, afterDeploy: { command: "node after.js" } },
      cron: [
        { name: "cron-1", schedule: "0 0 * * *", command: "node tasks/daily.js", overlap: "forbid" },
        { name: "cron-2", schedule: "*/5 * * * *", command: "node tasks/often.js", overlap: "allow" },
      ],
      env: { FEATURES: { value: "new", sync: true }, NUMBER: { value: "5" } },
    });
    expect(warningsIn(files)).toEqual([
      expect.stringMatching(/cron entry 3 is left out: "every now and then" is no schedule/),
      expect.stringMatching(/PORT is left out: Zyndra gives each process its own PORT$/),
    ]);
  });

  const odd: [name: string, appJson: unknown][] = [
    ["nothing in it", {}],
    ["nulls", { env: null, formation: null, scripts: null, addons: null, cron: null, healthchecks: null, stack: null }],
    [
      "other types",
      { env: [], formation: [], scripts: "x", addons: {}, cron: {}, healthchecks: [], buildpacks: "x", name: 3 },
    ],
    [
      "odd entries",
      {
        env: { A: null, B: ["x"] },
        formation: { web: 3 },
        addons: [null, 3, {}],
        cron: [null, {}, "x"],
        healthchecks: { web: ["x"] },
      },
    ],
    [
      "names of JavaScript",
      JSON.parse(
        '{"env": {"__proto__": "x", "constructor": "y"}, "__proto__": {"env": {}}, "formation": {"__proto__": {"quantity": 1}}}',
      ),
    ],
    ["keys of a later Heroku", { hats: { nested: [{ deep: true }] }, env: { A: { value: "a", hats: true } } }],
  ];
  test.each(odd)("with %s it harms nothing", (_, appJson) => {
    expect(readAppFiles({ "app.json": JSON.stringify(appJson) }).ok).toBe(true);
  });

  test("with the same key twice, of which the first counts", () => {
    expect(said({ "app.json": '{"env": {"A": "1", "A": "2"}}' })).toEqual({ env: { A: { value: "1" } } });
  });

  const broken: [text: string, fault: string][] = [
    ["", "app.json:1:1: it is empty; write {} or remove the file"],
    ["[]", 'app.json:1:1: it must be one block: { … }; for example: {"env": {}}'],
    [
      '{\n  "env": {},\n}',
      "app.json:3:1: it is no JSON: expected double-quoted property name; remove the comma before it",
    ],
    [
      '{\n  // ours\n  "env": {}\n}',
      "app.json:2:3: it is no JSON: expected property name or '}'; JSON has no comments: remove it",
    ],
    ["{'env': {}}", "app.json:1:2: it is no JSON: expected property name or '}'; use double quotes"],
    [
      '{"a": 1\n "b": 2}',
      "app.json:2:2: it is no JSON: expected ',' or '}' after property value; a comma is missing before it",
    ],
  ];
  test.each(broken)("broken as %j it is told where", (text, fault) => {
    expect(faultsIn({ "app.json": text })).toEqual([fault]);
  });
});

describe("a Procfile of a real repository works unchanged", () => {
  // biome-ignore-start lint/suspicious/noTemplateCurlyInString: it is the shell that fills them in.
  const cases: [text: string, commands: Record<string, string>][] = [
    ["web: gunicorn project.wsgi --log-file -\n", { web: "gunicorn project.wsgi --log-file -" }],
    [
      "web: bundle exec puma -t 5:5 -p ${PORT:-3000} -e ${RACK_ENV:-development}\nworker: bundle exec sidekiq -q default -q mailers\n",
      {
        web: "bundle exec puma -t 5:5 -p ${PORT:-3000} -e ${RACK_ENV:-development}",
        worker: "bundle exec sidekiq -q default -q mailers",
      },
    ],
    [
      "web: java $JAVA_OPTS -jar target/*.jar --port $PORT\n",
      { web: "java $JAVA_OPTS -jar target/*.jar --port $PORT" },
    ],
    [
      "web:    npm start\nbeat: celery -A proj beat -S redbeat.RedBeatScheduler\ncelery_worker: celery -A proj worker\n",
      {
        web: "npm start",
        beat: "celery -A proj beat -S redbeat.RedBeatScheduler",
        celery_worker: "celery -A proj worker",
      },
    ],
  ];
  // biome-ignore-end lint/suspicious/noTemplateCurlyInString: see above.
  test.each(cases)("%j", (text, commands) => {
    const { processes = {} } = said({ Procfile: text });
    expect(Object.fromEntries(Object.entries(processes).map(([type, { command }]) => [type, command]))).toEqual(
      commands,
    );
  });
});

describe("the JSON Schema", () => {
  test("is published as it is made from the table: zyndra validate --schema > docs/zyndra.schema.json", () => {
    const published = readFileSync(new URL("../../docs/zyndra.schema.json", import.meta.url), "utf8");
    expect(JSON.parse(published)).toEqual(zyndraYmlSchema());
  });

  const wrong = [
    ["nmae: shop"],
    ["processes: { web: { replicas: two } }"],
    ["deploy: { timeout: 30 }"],
    ["addons: { db: { type: postgres } }"],
    ["env: { log-level: info }"],
    ["env: { A: { requird: true } }"],
    ["cron: [{ name: x, command: ./x }]"],
    ["build: { builder: dockerfile }"],
  ];
  test.each(wrong)("lets an editor see what is wrong with %s", (line) => {
    expect(editorFaults(yml(line)["zyndra.yml"])).not.toEqual([]);
  });

  test("says of each key what it is for", () => {
    const withoutWords: string[] = [];
    const look = (schema: unknown, path: string) => {
      if (typeof schema !== "object" || schema === null) return;
      for (const [name, value] of Object.entries((schema as { properties?: object }).properties ?? {})) {
        if (!(value as { description?: string }).description) withoutWords.push(`${path}${name}`);
      }
      for (const [name, value] of Object.entries(schema)) look(value, `${path}${name}.`);
    };
    look(zyndraYmlSchema(), "");
    expect(withoutWords).toEqual([]);
  });
});

test("the examples in docs/zyndra-yml.md are right, for a push and for an editor", () => {
  const page = readFileSync(new URL("../../docs/zyndra-yml.md", import.meta.url), "utf8");
  const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text!);
  expect(examples).toHaveLength(2);
  for (const text of examples) {
    expect(faultsIn({ "zyndra.yml": text })).toEqual([]);
    expect(editorFaults(text)).toEqual([]);
  }
  // The long one shows every key there is.
  const shown = Object.keys(parse(examples[1]!));
  const known = Object.entries((zyndraYmlSchema() as { properties: Record<string, object> }).properties);
  expect(known.flatMap(([name, schema]) => ("not" in schema || shown.includes(name) ? [] : [name]))).toEqual([]);
});
