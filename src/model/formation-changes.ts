import { z } from "zod";
import { clip } from "./names.ts";
import { type Formation, maxProcessesOfType, processTypePattern } from "./process-types.ts";

/** `web=2 worker=0` as asked for, each type once. */
export const FormationChanges = z
  .array(z.string())
  .min(1, "which processes, and how many? For example: web=2")
  .transform((words, context): Formation => {
    const changes: Formation = {};
    for (const word of words) {
      const [type = "", count = "", ...rest] = word.split("=");
      const amount = Number(count);
      if (rest.length > 0 || !processTypePattern.test(type) || !/^\d{1,4}$/.test(count)) {
        context.addIssue(`"${clip(word)}" is no TYPE=COUNT, such as web=2`);
      } else if (amount > maxProcessesOfType) {
        context.addIssue(`${type}=${amount} is too many: ${maxProcessesOfType} processes of a type are the limit`);
      } else {
        changes[type] = amount;
      }
    }
    return changes;
  });
