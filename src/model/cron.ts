import { CronExpressionParser } from "cron-parser";
import type { CronEntry } from "./app-settings.ts";

/** When a cron entry is due. Its clock is the one on the wall of its time zone; the moments are the world's. */
export type Schedule = Pick<CronEntry, "schedule" | "timezone">;

/** A run that begins later than this after its time is left out: whoever waits for it has stopped waiting. */
export const startWithinMs = 5 * 60_000;

/** How long one try of an entry may take that says nothing else. */
export const defaultTimeoutMs = 60 * 60_000;

/** The process under whose name an entry's lines stand in the app's log. */
export const cronProcess = (name: string) => `cron.${name}`;

/** What is wrong with a schedule, as a sentence; undefined where it can be kept. */
export function scheduleFault({ schedule, timezone }: Schedule): string | undefined {
  if (timezone !== undefined && !isZone(timezone))
    return `"${timezone}" is no time zone: Europe/Stockholm, for example, or UTC`;
  const fields = fieldsOf(schedule);
  if (fields.length !== 5) return `"${schedule}" is no schedule: it takes five fields, minute hour day month weekday`;
  const odd = fields.flatMap((field) => field.split(",")).find((part) => !partPattern.test(part));
  if (odd !== undefined) return `"${odd}" in "${schedule}" is not understood: 5, 1-5, */10, MON-FRI or lists of them`;
  try {
    CronExpressionParser.parse(schedule);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    // As the library calls a 30 February.
    if (said === "Invalid explicit day of month definition") return `"${schedule}" is never due`;
    return `"${schedule}" is not understood: ${outOfRange(said) ?? said.replace(/^\w+ error, /, "")}`;
  }
  return nextDue({ schedule }, new Date()) === null ? `"${schedule}" is never due` : undefined;
}

const fieldsByRange: Record<string, string> = {
  "0-59": "minute",
  "0-23": "hour",
  "1-31": "day",
  "1-12": "month",
  "0-7": "weekday",
};

/** `hour 25 is not 0 to 23`, of the library's `got value 25 expected range 0-23`. */
function outOfRange(said: string): string | undefined {
  const [, value, range] = /got value (\S+) expected range (\d+-\d+)/.exec(said) ?? [];
  return range === undefined
    ? undefined
    : `${fieldsByRange[range] ?? "value"} ${value} is not ${range.replace("-", " to ")}`;
}

/** The first moment after another at which an entry is due; null where there is none: a 31 April, a schedule with a fault. */
export function nextDue(entry: Schedule, after: Date): Date | null {
  const { value } = dueAfter(entry, after).next();
  return value ?? null;
}

/** The newest moment in (`after`, `until`] at which an entry was due; null where it was not. */
export function newestDue(entry: Schedule, after: Date, until: Date): Date | null {
  const first = nextDue(entry, after);
  if (first === null || first > until) return null;
  // From the end backwards in growing steps, since there may have been a million of them.
  for (const backMs of lookBackMs) {
    const from = new Date(Math.max(after.getTime(), until.getTime() - backMs));
    const newest = lastOf(dueAfter(entry, from), until);
    if (newest !== null) return newest;
    if (from.getTime() === after.getTime()) break;
  }
  return first;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const lookBackMs = [hourMs, dayMs, 32 * dayMs, 5 * 366 * dayMs];

function lastOf(moments: Iterable<Date>, until: Date): Date | null {
  let last: Date | null = null;
  for (const moment of moments) {
    if (moment > until) break;
    last = moment;
  }
  return last;
}

/**
 * All moments after another, in order, each once. On the night when the clock jumps ahead, a time that is skipped is due when
 * it would have been (02:30 is then called 03:30); on the night when it goes back, a time that comes twice is due at the
 * first. What is due in every hour knows no clock: it goes on as the time does.
 */
function* dueAfter({ schedule, timezone = "UTC" }: Schedule, after: Date): Generator<Date, void> {
  if (!isZone(timezone)) return;
  const goesByTheHour = fieldsOf(schedule)[1]?.startsWith("*");
  if (timezone === "UTC" || goesByTheHour) yield* momentsOf(schedule, timezone, after);
  else yield* fixedMoments(schedule, timezone, after);
}

/** More than any clock jumps in one night. */
const mostShiftMs = 3 * hourMs;

/** The library leaves out what falls into a skipped midnight (Cairo, Havana): so the times on the wall are made first. */
function* fixedMoments(schedule: string, timezone: string, after: Date): Generator<Date, void> {
  const from = new Date(after.getTime() + offsetMs(timezone, after) - mostShiftMs);
  // A skipped time comes to stand behind the next ones, so each is held until none before it can follow.
  const held: number[] = [];
  let told = after.getTime();
  for (const wall of momentsOf(schedule, "UTC", from)) {
    const moment = momentOnWall(wall.getTime(), timezone);
    for (const ready of takeBefore(held, moment - mostShiftMs)) {
      if (ready > told) yield new Date((told = ready));
    }
    held.push(moment);
  }
  for (const ready of takeBefore(held, Number.POSITIVE_INFINITY)) if (ready > told) yield new Date((told = ready));
}

function takeBefore(held: number[], limit: number): number[] {
  held.sort((a, b) => a - b);
  const count = held.findIndex((moment) => moment >= limit);
  return held.splice(0, count < 0 ? held.length : count);
}

/** The moment at which the wall clock of a zone shows this time (given as if it were UTC). */
function momentOnWall(wallMs: number, timezone: string): number {
  const before = offsetMs(timezone, new Date(wallMs - dayMs));
  const after = offsetMs(timezone, new Date(wallMs + dayMs));
  const [first, second] = [wallMs - before, wallMs - after];
  const isSecond = offsetMs(timezone, new Date(first)) !== before && offsetMs(timezone, new Date(second)) === after;
  return isSecond ? second : first;
}

function* momentsOf(schedule: string, timezone: string, after: Date): Generator<Date, void> {
  try {
    const expression = CronExpressionParser.parse(schedule, { currentDate: after, tz: timezone });
    for (;;) yield expression.next().toDate();
  } catch {
    // A fault in the schedule, or no day in all the years that the library looks at.
  }
}

const fieldsOf = (schedule: string) => schedule.trim().split(/\s+/);

// Of what the library takes, what crontab(5) knows: without seconds, random minutes and last days.
const partPattern = /^(\*|(\d{1,2}|[a-z]{3})(-(\d{1,2}|[a-z]{3}))?)(\/[1-9]\d{0,2})?$/i;

const clocks = new Map<string, Intl.DateTimeFormat | undefined>();

function clockOf(timezone: string): Intl.DateTimeFormat | undefined {
  if (!clocks.has(timezone)) clocks.set(timezone, openClock(timezone));
  return clocks.get(timezone);
}

function openClock(timezone: string): Intl.DateTimeFormat | undefined {
  // Intl takes offsets such as +02:00, the library does not.
  if (!/^[A-Za-z]/.test(timezone)) return undefined;
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: timezone, timeZoneName: "longOffset" });
  } catch {
    return undefined;
  }
}

const isZone = (timezone: string) => clockOf(timezone) !== undefined;

/** How far a zone's clock is ahead of UTC at a moment. */
function offsetMs(timezone: string, at: Date): number {
  const name = clockOf(timezone)!
    .formatToParts(at)
    .find(({ type }) => type === "timeZoneName")!.value;
  const [, sign, hours, minutes, seconds = "0"] = /^GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(name) ?? [];
  if (sign === undefined) return 0;
  const ms = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
  return sign === "-" ? -ms : ms;
}
