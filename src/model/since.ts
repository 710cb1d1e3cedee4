const unitMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** What a moment in the past may look like, in words. */
export const sinceRule = "a time such as 10m, 2h, 14:30 or 2026-11-26T10:00";

/** Whether it means the same everywhere, or by somebody's clock. */
export function isRelative(text: string): boolean {
  return /^\d{1,6} ?[smhdw]$/.test(text);
}

/**
 * The moment meant by `10m` (ago), `14:30` (the last time it was), `2026-11-26` (its beginning) or `2026-11-26T10:00`; without a
 * zone by the clock of the machine that asks here. Undefined for anything else.
 */
export function momentSince(text: string, now: Date): Date | undefined {
  if (isRelative(text)) return new Date(now.getTime() - Number.parseInt(text, 10) * unitMs[text.at(-1)!]!);
  const [, hour, minute, second = "0"] = /^(\d{1,2}):(\d\d)(?::(\d\d))?$/.exec(text) ?? [];
  if (hour !== undefined) return lastTime(now, [Number(hour), Number(minute), Number(second)]);
  if (!/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?$/i.test(text)) return undefined;
  // A date alone would be taken for one in UTC.
  const moment = new Date(text.length === 10 ? `${text}T00:00` : text.replace(" ", "T"));
  return Number.isNaN(moment.getTime()) ? undefined : moment;
}

function lastTime(now: Date, [hour, minute, second]: [number, number, number]): Date | undefined {
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const moment = new Date(now);
  moment.setHours(hour, minute, second, 0);
  if (moment > now) moment.setDate(moment.getDate() - 1);
  return moment;
}
