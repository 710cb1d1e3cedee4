import { describe, expect, test } from "vitest";
import { newestDue, nextDue, scheduleFault } from "../../src/model/cron.ts";

/** The first moments after another, in UTC, without what is the same in all of them. */
function moments(schedule: string, timezone: string | undefined, after: string, count: number): string[] {
  const found: string[] = [];
  let moment = new Date(after);
  while (found.length < count) {
    const next = nextDue({ schedule, ...(timezone && { timezone }) }, moment);
    if (next === null) return [...found, "never"];
    found.push(next.toISOString().slice(5, 16).replace("T", " "));
    moment = next;
  }
  return found;
}

describe("an entry is due", () => {
  test.each([
    ["0 3 * * *", undefined, "2026-10-02T02:59:59.999Z", ["10-02 03:00", "10-03 03:00"]],
    ["0 3 * * *", undefined, "2026-10-02T03:00:00.000Z", ["10-03 03:00", "10-04 03:00"]],
    ["*/20 * * * *", "UTC", "2026-12-31T23:50Z", ["01-01 00:00", "01-01 00:20"]],
    ["0 9 * * MON-FRI", "Europe/Stockholm", "2026-07-03T12:00Z", ["07-06 07:00", "07-07 07:00"]],
    ["0 0 29 2 *", "Asia/Tokyo", "2026-01-01T00:00Z", ["02-28 15:00", "02-28 15:00"]],
    // As in crontab(5): where both days are named, either is enough.
    ["0 0 13 * 5", undefined, "2026-10-02T12:00Z", ["10-09 00:00", "10-13 00:00", "10-16 00:00"]],
    ["0 0 31 4,6 *", undefined, "2026-10-02T12:00Z", ["never"]],
  ])("%s in %s after %s", (schedule, timezone, after, expected) => {
    expect(moments(schedule, timezone, after, expected.length)).toEqual(expected);
  });
});

describe("on the night when the clock jumps ahead", () => {
  test.each([
    [
      "a time that is skipped is due when it would have been",
      ["30 2 * * *", "Europe/Stockholm", "2026-03-28T12:00Z"],
      ["03-29 01:30", "03-30 00:30"],
    ],
    [
      "also with others around it, in order",
      ["15,45 2-3 * * *", "Europe/Stockholm", "2026-03-28T12:00Z"],
      ["03-29 01:15", "03-29 01:45", "03-30 00:15"],
    ],
    [
      "a time that the skipped one falls on is due once",
      ["0 2,3 * * *", "Europe/Stockholm", "2026-03-28T12:00Z"],
      ["03-29 01:00", "03-30 00:00", "03-30 01:00"],
    ],
    [
      "a midnight that is skipped is not left out",
      ["0 0 * * *", "Africa/Cairo", "2026-04-22T12:00Z"],
      ["04-22 22:00", "04-23 22:00", "04-24 21:00"],
    ],
    [
      "nor what falls into a jump of half an hour",
      ["15 2 * * *", "Australia/Lord_Howe", "2026-10-02T12:00Z"],
      ["10-02 15:45", "10-03 15:45", "10-04 15:15"],
    ],
    [
      "what is due in every hour goes on as the time does",
      ["30 * * * *", "Europe/Stockholm", "2026-03-29T00:00Z"],
      ["03-29 00:30", "03-29 01:30", "03-29 02:30"],
    ],
  ] as const)("%s", (_, [schedule, timezone, after], expected) => {
    expect(moments(schedule, timezone, after, expected.length)).toEqual(expected);
  });
});

describe("on the night when the clock goes back", () => {
  test.each([
    ["30 2 * * *", "2026-10-24T12:00Z", ["10-25 00:30", "10-26 01:30"]],
    // Looked for between the two.
    ["30 2 * * *", "2026-10-25T00:45Z", ["10-26 01:30", "10-27 01:30"]],
    ["30 1-3 * * *", "2026-10-24T12:00Z", ["10-24 23:30", "10-25 00:30", "10-25 02:30", "10-26 00:30"]],
  ])("a time that comes twice is due once: %s after %s", (schedule, after, expected) => {
    expect(moments(schedule, "Europe/Stockholm", after, expected.length)).toEqual(expected);
  });

  test("what is due in every hour is due in both", () => {
    expect(moments("0 * * * *", "Europe/Stockholm", "2026-10-24T23:30Z", 3)).toEqual([
      "10-25 00:00",
      "10-25 01:00",
      "10-25 02:00",
    ]);
  });
});

describe("the newest moment of a time", () => {
  test.each([
    ["* * * * *", "2020-01-01T00:00Z", "2026-01-01T00:00:30Z", "2026-01-01T00:00:00.000Z"],
    ["0 3 * * *", "2026-01-01T00:00Z", "2026-01-09T02:00Z", "2026-01-08T03:00:00.000Z"],
    ["0 0 29 2 *", "2020-01-01T00:00Z", "2026-01-01T00:00Z", "2024-02-29T00:00:00.000Z"],
    ["0 0 29 2 *", "2000-01-01T00:00Z", "2003-01-01T00:00Z", "2000-02-29T00:00:00.000Z"],
    ["0 3 * * *", "2026-01-01T00:00Z", "2026-01-01T03:00Z", "2026-01-01T03:00:00.000Z"],
    ["0 3 * * *", "2026-01-01T03:00Z", "2026-01-02T02:59:59Z", undefined],
    ["0 3 * * *", "2026-01-05T00:00Z", "2026-01-01T00:00Z", undefined],
  ])("%s from %s to %s", (schedule, after, until, expected) => {
    expect(newestDue({ schedule }, new Date(after), new Date(until))?.toISOString()).toBe(expected);
  });
});

describe("a schedule that cannot be kept is answered with why", () => {
  test.each([
    ["@daily", "is no schedule: it takes five fields"],
    ["0 0 3 * * *", "is no schedule: it takes five fields"],
    ["", "is no schedule"],
    ["61 * * * *", "minute 61 is not 0 to 59"],
    ["5-1 * * * *", "Invalid range: 5-1"],
    ["1-5-7 * * * *", '"1-5-7" in "1-5-7 * * * *" is not understood'],
    ["*/0 * * * *", '"*/0"'],
    ["0 0 L * *", '"L"'],
    ["H * * * *", '"H"'],
    ["0 0 * * *;reboot", '"*;reboot"'],
    ["0 0 1 foo *", '"foo"'],
    ["0 0 30 2 *", '"0 0 30 2 *" is never due'],
    ["0 0 31 4,6 *", '"0 0 31 4,6 *" is never due'],
  ])("%j", (schedule, expected) => {
    expect(scheduleFault({ schedule })).toContain(expected);
  });

  test.each(["Mars/Olympus", "+02:00", ""])("in the time zone %j", (timezone) => {
    expect(scheduleFault({ schedule: "0 3 * * *", timezone })).toContain(`"${timezone}" is no time zone`);
  });

  test.each(["0 3 * * *", "*/5 0-6 1,15 JAN-mar sun", "  0   0 * * 7 ", "5/15 * * * *"])(
    "but %j can be kept",
    (schedule) => {
      expect(scheduleFault({ schedule, timezone: "America/Argentina/Buenos_Aires" })).toBeUndefined();
    },
  );
});
