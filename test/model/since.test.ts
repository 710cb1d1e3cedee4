import { expect, test } from "vitest";
import { isRelative, momentSince } from "../../src/model/since.ts";

/** By this machine's clock, whatever its zone. */
const local = (day: number, hour = 0, minute = 0, second = 0) => new Date(2026, 10, day, hour, minute, second);
const now = local(26, 12, 30);

test.each<[string, Date]>([
  ["30s", local(26, 12, 29, 30)],
  ["10m", local(26, 12, 20)],
  ["2h", local(26, 10, 30)],
  ["2 h", local(26, 10, 30)],
  ["1d", new Date(now.getTime() - 86_400_000)],
  ["1w", new Date(now.getTime() - 7 * 86_400_000)],
  ["12:00", local(26, 12)],
  ["9:05:07", local(26, 9, 5, 7)],
  // A time that is still to come was yesterday.
  ["14:00", local(25, 14)],
  ["2026-11-20", local(20)],
  ["2026-11-20T08:15", local(20, 8, 15)],
  ["2026-11-20 08:15:30", local(20, 8, 15, 30)],
  ["2026-11-20T08:15:30.5Z", new Date("2026-11-20T08:15:30.500Z")],
  ["2026-11-20T08:15+02:00", new Date("2026-11-20T06:15:00Z")],
])("%s is understood", (text, moment) => {
  expect(momentSince(text, now)).toEqual(moment);
});

test.each([
  "",
  "yesterday",
  "10",
  "m",
  "-5m",
  "10x",
  "25:00",
  "12:60",
  "2026-13-01",
  "2026-11",
  "26.11.2026",
  "1e3s",
  "10m\n",
])("%j is not", (text) => expect(momentSince(text, now)).toBeUndefined());

test("only what is ago means the same by every clock", () => {
  expect(["10m", "2h", "14:00", "2026-11-20"].map(isRelative)).toEqual([true, true, false, false]);
});
