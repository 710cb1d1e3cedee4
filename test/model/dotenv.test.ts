import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { formatDotenv, formatShell, parseDotenv } from "../../src/model/dotenv.ts";

/** Values that break one dialect or another. */
const oddValues = [
  "", " ", "  padded  ", "\t", "a b", "#", "#x", "a #b", "a#b", " # ", "'", '"', "`", "''", '""', "it's", `say "hi"`,
  `both ' and "`, "\\", "\\\\", "\\n", "\\'", '\\"', "a\\", "C:\\new\\table", "$", "$$", "$HOME", "$\x7bHOME}", "$(date)",
  "pa$$word", "`date`", "\n", "a\nb", "a\n\nb\n", "\r", "a\r\nb", "\r\n", "a\rb'", "-----BEGIN KEY-----\nMIIE+/=\n-----END KEY-----\n",
  "=", "==", "=x", "a=b=c", "export X=1", "NAME=VALUE", "true", "null", "{}", '{"a": "b\\n", "c": [1, 2]}', "postgres://u:p%40ss@h:5432/db?x=y&z=1#f",
  "ä ö ü ß", "日本語", "🎩", "\u200b", "\u00a0", "\u2028", "\ufeff", "\u0001", "\x1b[31m", "\v", "\f", "a\tb", "!", "!!", "*", "~", "~root", "a;b", "a&b", "a|b",
  "<x>", "(x)", "[x]", "^", "%", "%s", "@", "@file", ",", ":", "?", "x".repeat(30_000), "\\$HOME", "\\`", "\\\n", "a\\\nb", "'\\''", `'"'"'`, "'\n'", "\"\n\"", "'\r'",
  "# not a comment\nA=2", "A=1 # b", "' # '", '" # "',
]; // biome-ignore format: a table

/** Made of what is special somewhere, always the same ones. */
function madeValues(count: number): string[] {
  const pieces = [
    "a",
    "B",
    "9",
    " ",
    "'",
    '"',
    "`",
    "\\",
    "$",
    "#",
    "=",
    "\n",
    "\r",
    "\t",
    "{",
    "}",
    "(",
    "ü",
    "🎩",
    "\\n",
    "!",
    "$\x7bX}",
  ];
  let seed = 42;
  const next = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648);
  return Array.from({ length: count }, () =>
    Array.from({ length: next() % 12 }, () => pieces[Math.floor((next() / 2_147_483_648) * pieces.length)]).join(""),
  );
}

const named = (values: string[]) => Object.fromEntries(values.map((value, index) => [`V${index}`, value]));

describe("what is written is read back exactly", () => {
  test.each(oddValues)("%j", (value) => {
    expect(parseDotenv(formatDotenv({ A: value }))).toEqual({ vars: { A: value }, faults: [], warnings: [] });
  });

  test("all of them in one file, and a thousand more", () => {
    const vars = named([...oddValues, ...madeValues(1_000)]);
    expect(parseDotenv(formatDotenv(vars))).toEqual({ vars, faults: [], warnings: [] });
    // An editor on another system may have saved it with its own line ends, and a mark in front.
    const without = named([...oddValues, ...madeValues(1_000)].filter((value) => !/[\r\n]/.test(value)));
    expect(parseDotenv(`\ufeff${formatDotenv(without).replaceAll("\n", "\r\n")}`).vars).toEqual(without);
  });

  test("and a shell reads both formats as well, but for carriage returns", () => {
    const values = [...oddValues, ...madeValues(200)].filter((value) => !value.includes("\r"));
    const vars = named(values.filter((value) => value.length < 1_000));
    const printed = Object.keys(vars).map((name) => `printf '%s\\0' "$${name}"`);
    for (const script of [formatDotenv(vars), formatShell(vars)]) {
      const out = execFileSync("sh", { input: [script, ...printed].join("\n"), encoding: "utf8" });
      expect(out.split("\0").slice(0, -1)).toEqual(Object.values(vars));
    }
  });
});

describe("a file of others", () => {
  test.each<[string, Record<string, string>]>([
    ["A=1\nB=2\n", { A: "1", B: "2" }],
    ["export A=1\n  export   B=2", { A: "1", B: "2" }],
    ["\ufeffA=1\r\nB=2\r\n", { A: "1", B: "2" }],
    ["# a comment\n\n   # another\nA=1", { A: "1" }],
    ["A = 1", { A: "1" }],
    ["A=  spaces around  ", { A: "spaces around" }],
    ["A=", { A: "" }],
    ["A= # nothing", { A: "" }],
    ["A=1 # one", { A: "1" }],
    ["A=1# one", { A: "1# one" }],
    ["A=#secret", { A: "#secret" }],
    ["A='1' # one\nB=\"2\"# two", { A: "1", B: "2" }],
    ["A=it's", { A: "it's" }],
    ["A='as $it \\n is'", { A: "as $it \\n is" }],
    ['A="a\\nb\\tc\\"d\\\\e\\$f\\x"', { A: 'a\nb\tc"d\\e$f\\x' }],
    ['A=`it\'s "so"`', { A: `it's "so"` }],
    ["A='it'\\''s'", { A: "it's" }],
    [`A="a"'b'`, { A: "ab" }],
    ["A='-----BEGIN-----\nabc=\n-----END-----\n'\nB=1", { A: "-----BEGIN-----\nabc=\n-----END-----\n", B: "1" }],
    ['A="one\r\ntwo"', { A: "one\ntwo" }],
    ['A="one \\\ntwo"', { A: "one two" }],
    ["A=postgres://u:p@h/db?a=b#c", { A: "postgres://u:p@h/db?a=b#c" }],
    ["A=\"\"\nB=''", { A: "", B: "" }],
    ["A=a=b", { A: "a=b" }],
    ["", {}],
    ["# only this", {}],
  ])("%j", (text, vars) => {
    expect(parseDotenv(text)).toEqual({ vars, faults: [], warnings: [] });
  });

  test.each<[string, string[]]>([
    ["A=1\nnonsense hunter2\nB=2", ["line 2: this is no NAME=VALUE"]],
    ["9A=hunter2", ["line 1: what stands before the = is no config var's name"]],
    ["A='hunter2\nB=2", ["line 1: a quote begins here that is never closed"]],
    ['A="hunter2\\"\nB=2', ["line 1: a quote begins here that is never closed"]],
    ["A='x' hunter2", ["line 1: something stands after the closing quote"]],
    [`A=${"x".repeat(40_000)}`, ["line 1: the value of A is longer than 32 KiB"]],
    ["A=hunter\0two", ["line 1: the value of A contains a NUL byte, which no environment can hold"]],
    // All at once, and the lines of a quoted value are counted.
    ["A='1\n2\n3'\nbad\n\nB=\"\n\"\nworse", ["line 4: this is no NAME=VALUE", "line 8: this is no NAME=VALUE"]],
    // A key that lost its quotes: none of its lines is shown.
    [
      "K=-----BEGIN\nMII/EvQ==\nhunter2\n",
      ["line 2: what stands before the = is no config var's name", "line 3: this is no NAME=VALUE"],
    ],
  ])("%j is refused without showing a value", (text, faults) => {
    const found = parseDotenv(text);
    expect(found.faults).toEqual(faults);
    expect(found.faults.join()).not.toContain("hunter2");
  });

  test.each<[string, Record<string, string>, string[]]>([
    ["PORT=3000\nA=1", { A: "1" }, ["line 1: PORT is left out: Zyndra gives each process its own PORT"]],
    ["ZYNDRA_X=1", {}, ["line 1: ZYNDRA_X is left out: names that begin with ZYNDRA_ are the platform's"]],
    ["__proto__=1", {}, ["line 1: __proto__ is left out: the name has a meaning of its own in JavaScript"]],
    ["A=1\n\nA=2", { A: "2" }, ["line 3: A stands on line 1 as well; the later one holds"]],
    [
      'A=$HOME\nB="$\x7bX}"\nC=\'$HOME\'\nD="\\$HOME"\nE=5$',
      { A: "$HOME", B: "$\x7bX}", C: "$HOME", D: "$HOME", E: "5$" },
      ["line 1: the $ in A is taken as it is", "line 2: the $ in B is taken as it is"],
    ],
  ])("%j is read, and says what one might not expect", (text, vars, warnings) => {
    expect(parseDotenv(text)).toEqual({ vars, faults: [], warnings });
  });

  test("of a megabyte is read at once, whatever is in it", () => {
    const began = performance.now();
    for (const text of [
      `A="${"x".repeat(1_000_000)}"`,
      `A=${"\\'".repeat(500_000)}`,
      "A='\n".repeat(250_000),
      'A="x\n'.repeat(200_000),
      "=".repeat(1_000_000),
      " ".repeat(1_000_000),
      `x${" ".repeat(1_000_000)}y`,
      `A=${" #".repeat(500_000)}\u2028x`,
    ])
      parseDotenv(text);
    expect(performance.now() - began).toBeLessThan(20_000);
  });
});
