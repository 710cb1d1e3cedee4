import { z } from "zod";
import { clip } from "./names.ts";
import { type Formation, maxProcessesOfType, processTypePattern } from "./process-types.ts";

/** So many, or so many more or fewer than there are. */
export type FormationChange = { to: number } | { by: number };
export type FormationChanges = Record<string, FormationChange>;

/** `web=2 worker+1 clock-1` as asked for, each type once; `web:2` means `web=2`. */
export const FormationChangeWords = z.array(z.string()).transform((words, context): FormationChanges => {
  const changes: FormationChanges = {};
  for (const word of words) {
    const [, type = "", sign = "", count = "", size] = /^(.+?)([=:+]|-(?=\d+$))(\d{1,4})(?::(.+))?$/.exec(word) ?? [];
    const amount = Number(count);
    if (!processTypePattern.test(type)) {
      context.addIssue(sizeFault(word) ?? `"${clip(word)}" is no TYPE=COUNT, such as web=2, web+1 or web-1`);
    } else if (size !== undefined) {
      context.addIssue(`processes have no sizes here, so ${type} takes a count alone: ${type}${sign}${count}`);
    } else if (amount > maxProcessesOfType) {
      context.addIssue(tooMany(type, amount));
    } else if (sign === "+" || sign === "-") {
      changes[type] = { by: sign === "+" ? amount : -amount };
    } else {
      changes[type] = { to: amount };
    }
  }
  return changes;
});

/** The counts that changes lead to from what there is, or a sentence where there can be none. */
export function changedFormation(before: Formation, changes: FormationChanges): Formation | string {
  const counts: Formation = {};
  for (const [type, change] of Object.entries(changes)) {
    const count = "to" in change ? change.to : (before[type] ?? 0) + change.by;
    if (count < 0) return `${type} is at ${before[type] ?? 0}, so there are none to take away beyond that`;
    if (count > maxProcessesOfType) return tooMany(type, count);
    counts[type] = count;
  }
  return counts;
}

function tooMany(type: string, count: number): string {
  return `${type}=${count} is too many: ${maxProcessesOfType} processes of a type are the limit`;
}

/** `web=standard-2x` and `web:Basic`, as on Heroku. */
function sizeFault(word: string): string | undefined {
  const [, type = ""] = /^([a-z][a-z0-9_-]*)[=:][a-z][\w-]*$/i.exec(word) ?? [];
  return processTypePattern.test(type)
    ? `processes have no sizes here: ${type} takes a count, such as ${type}=2`
    : undefined;
}
