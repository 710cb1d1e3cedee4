import { describe, expect, test } from "vitest";
import { parseProcfile } from "../../src/model/procfile.ts";

describe("a Procfile is read", () => {
  const cases: [name: string, text: string, expected: object][] = [
    ["with one process", "web: node server.js\n", { processTypes: { web: { command: "node server.js" } } }],
    [
      "with several, release apart",
      "web: node web.js\nworker: node worker.js\nrelease: npm run migrate",
      {
        processTypes: { web: { command: "node web.js" }, worker: { command: "node worker.js" } },
        releaseCommand: "npm run migrate",
      },
    ],
    [
      "with a mark at its start and Windows' line ends",
      "\uFEFFweb: ./a\r\nworker: ./b\r\n",
      { processTypes: { web: { command: "./a" }, worker: { command: "./b" } } },
    ],
    ["with comments and blank lines", "# what runs\n\n  web: ./a   \n", { processTypes: { web: { command: "./a" } } }],
    [
      "with colons in the command",
      "web: python -m http.server $PORT # a: b",
      { processTypes: { web: { command: "python -m http.server $PORT # a: b" } } },
    ],
    ["without a space after the colon", "web:./a", { processTypes: { web: { command: "./a" } } }],
    ["with release alone", "release: ./migrate", { processTypes: {}, releaseCommand: "./migrate" }],
  ];
  test.each(cases)("%s", (_, text, procfile) => {
    expect(parseProcfile(text)).toEqual({ ok: true, procfile });
  });
});

describe("a broken Procfile is told with its line", () => {
  const cases: [text: string, detail: string, hint?: string][] = [
    ["", "Procfile:1: it names no process"],
    ["# nothing yet\n", "Procfile:1: it names no process"],
    [
      "web: ./a\nstart the app\n",
      'Procfile:2: "start the app" has no colon',
      "a line looks like this: web: node server.js",
    ],
    ["web:\n", 'Procfile:1: "web" has no command'],
    ["Web: ./a\n", 'Procfile:1: "Web" is written with capitals', "write web:"],
    ["1st: ./a\n", 'Procfile:1: "1st" is no process type'],
    ["my web: ./a\n", 'Procfile:1: "my web" is no process type'],
    [": ./a\n", 'Procfile:1: "" is no process type'],
    ["\nweb: ./a\n\nweb: ./b\n", 'Procfile:4: "web" is already in line 2'],
    ["release: ./a\nrelease: ./b\n", 'Procfile:2: "release" is already in line 1'],
    ["web: ./a\x00b\n", 'Procfile:1: the command of "web" holds a control character'],
    [`web: ${"a".repeat(5_000)}`, 'Procfile:1: the command of "web" is longer than 4096 characters'],
    [
      Array.from({ length: 31 }, (_, index) => `p${index}: ./a`).join("\n"),
      "Procfile:31: it names more than 30 process types",
    ],
  ];
  test.each(cases)("%j", (text, detail, hint) => {
    const parsed = parseProcfile(text);
    expect(parsed).toMatchObject({ ok: false, cause: { detail, ...(hint ? { hint } : {}) } });
    expect(parsed.ok || parsed.cause.headline.length).toBeLessThan(80);
  });
});
