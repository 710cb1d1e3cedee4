import { z } from "zod";
import { runChecks, worstOf } from "../checks.ts";
import { defineCommand } from "./command.ts";

export const examinePlatform = defineCommand({
  name: "platform:doctor",
  summary: "Look whether all parts of this Zyndra work; zyndra doctor looks at your machine, too",
  examples: ["platform:doctor"],
  needs: "admin",
  changes: false,
  input: z.strictObject({}),
  words: { positional: [] },
  run: ({ deps }) => runChecks(deps.checks),
  view: (findings) => ({
    table: {
      columns: ["", "WHAT", "FOUND", "WHAT TO DO"],
      rows: findings.map(({ verdict, check, text, hint }) => [verdict, check, text, hint ?? ""]),
      none: "There is nothing to look at.",
      lastBelow: true,
    },
    ...(worstOf(findings) === "ok" ? { hint: "all of it is in order" } : {}),
  }),
});
