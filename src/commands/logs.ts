import { z } from "zod";
import { getApp } from "../db/apps.ts";
import { defineCommand } from "./command.ts";
import { Count, ExistingApp } from "./inputs.ts";

export const showLogs = defineCommand({
  name: "logs",
  summary: "Show what an app writes, and the requests that reached it",
  examples: ["logs shop", "logs shop --tail --process web.1"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({
    app: ExistingApp,
    tail: z.boolean().default(false),
    num: Count(100, 10_000),
    process: z
      .string()
      .regex(/^[a-z][a-z0-9_-]{0,29}(\.\d{1,4})?$/, "--process needs a name such as web, web.1 or router")
      .optional(),
  }),
  words: {
    positional: ["app"],
    flags: {
      tail: { kind: "switch", short: "t", summary: "go on with what comes" },
      num: { kind: "number", short: "n", summary: "how many lines of before" },
      process: { kind: "text", short: "p", summary: "only of this process or process type" },
    },
  },
  async run({ deps, actor }, { app: name }) {
    const app = await getApp(deps.db.db, actor.orgId, name);
    return { appName: app.name, appId: app.id };
  },
  view: () => ({}),
  follow: ({ appName, appId }, { num, tail, process }) => ({
    kind: "logs",
    appName,
    appId,
    lines: num,
    tail,
    ...(process === undefined ? {} : { process }),
  }),
});
