import { expect, test } from "vitest";
import { ConfigAssignments } from "../../src/model/config-vars.ts";

test("everything after the first = is the value, whatever it holds", () => {
  const words = ["A=1", "URL=postgres://u:p@h/db?x=y", "EMPTY=", "LINES=a\nb", "QUOTED='as it is'"];
  expect(ConfigAssignments.parse(words)).toEqual({
    A: "1",
    URL: "postgres://u:p@h/db?x=y",
    EMPTY: "",
    LINES: "a\nb",
    QUOTED: "'as it is'",
  });
});

test.each([
  [["PORT=3000"], /PORT cannot be set: Zyndra gives each process its own PORT/],
  [["ZYNDRA_X=1"], /names that begin with ZYNDRA_ are the platform's/],
  [["9LIVES=1"], /"9LIVES" is not a config var's name/],
  [["A-B=1"], /"A-B" is not a config var's name/],
  [["hunter2hunter2hunter2"], /^which config var is word 1 to be the value of\? For example: LOG_LEVEL=debug$/],
  [["LOG_LEVEL"], /^LOG_LEVEL has no value: zyndra config:set APP LOG_LEVEL=…$/],
  [["=x"], /is not a config var's name/],
  [[`BIG=${"x".repeat(40_000)}`], /the value of BIG is longer than 32 KiB/],
  [["NUL=a\0b"], /NUL byte/],
  [[], /which config vars\?/],
])("%j is refused in a sentence", (words, sentence) => {
  const parsed = ConfigAssignments.safeParse(words);
  expect(parsed.error!.issues.map((issue) => issue.message).join("; ")).toMatch(sentence);
});

test("all faults are told at once", () => {
  const parsed = ConfigAssignments.safeParse(["PORT=1", "x-y=2", "nothing"]);
  expect(parsed.error!.issues).toHaveLength(3);
});
