import { expect, test } from "vitest";
import { duration, headline } from "../../src/model/deploy.ts";

test.each([
  [0, "0.0 s"],
  [431, "0.4 s"],
  [9_949, "9.9 s"],
  [9_951, "10 s"],
  [38_400, "38 s"],
  [119_000, "119 s"],
  [120_000, "2 min"],
  [7_200_000, "2 h"],
  [200_000_000, "2 d"],
])("%i ms are %s", (ms, said) => {
  expect(duration(ms)).toBe(said);
});

test("a live deploy's headline names the version, where it is and how long it took", () => {
  const facts = {
    appName: "shop",
    number: 42,
    status: "live",
    version: 12,
    tookMs: 38_000,
    url: "https://shop.example.org",
  } as const;
  expect(headline(facts)).toBe("shop v12 is live at https://shop.example.org (38 s)");
});

test("a failed deploy's headline names the cause", () => {
  const cause = { headline: "web crashes at start" };
  expect(headline({ appName: "shop", number: 44, status: "failed", tookMs: 0, cause })).toBe(
    "shop, deploy #44 failed: web crashes at start",
  );
});

test("a running deploy's headline names the step in words", () => {
  expect(headline({ appName: "shop", number: 43, status: "rolling_out", tookMs: 14_000 })).toBe(
    "shop, deploy #43: rolling out (14 s)",
  );
});
