import { z } from "zod";
import { getApp } from "../db/apps.ts";
import { clip } from "../model/names.ts";
import { isRelative, momentSince, sinceRule } from "../model/since.ts";
import { defineCommand } from "./command.ts";
import { CountUpTo, ExistingApp } from "./inputs.ts";

const linesShown = 100;
/** More lines than this are never shown at once. */
export const mostLogLines = 10_000;
/** The longest text that can be looked for. */
export const maxGrepLength = 200;

const Since = z.string().refine((text) => momentSince(text, new Date()) !== undefined, {
  error: (issue) => `--since needs ${sinceRule}, not "${clip(String(issue.input))}"`,
});

/** What Heroku calls its own lines are the router's here. */
const Source = z
  .enum(["app", "router", "heroku"], { error: "--source is app or router" })
  .transform((source) => (source === "heroku" ? "router" : source));

export const showLogs = defineCommand({
  name: "logs",
  summary: "Show what an app writes, and the requests that reached it",
  examples: ["logs shop --tail", "logs shop --process worker --since 2h", "logs shop --grep timeout -n 20"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({
    app: ExistingApp,
    tail: z.boolean().default(false),
    num: CountUpTo(mostLogLines).optional(),
    process: z
      .string()
      .regex(
        /^[a-z][a-z0-9_-]{0,29}(\.[a-z0-9][a-z0-9_-]{0,99})?$/,
        "--process needs a name such as web, web.1, cron.report or router",
      )
      .optional(),
    source: Source.optional(),
    since: Since.optional(),
    grep: z
      .string()
      .min(1, "--grep needs a text")
      .max(maxGrepLength, `--grep takes ${maxGrepLength} characters at most`)
      .optional(),
  }),
  words: {
    positional: ["app"],
    flags: {
      tail: { kind: "switch", short: "t", summary: "go on with what comes" },
      num: { kind: "number", short: "n", summary: `how many lines of before; ${linesShown}, or with --since all` },
      process: {
        kind: "text",
        short: "p",
        also: ["ps", "dyno", "dyno-name", "d", "process-type"],
        summary: "only of this process or process type",
      },
      source: { kind: "text", short: "s", summary: "app: what it writes; router: the requests" },
      since: { kind: "text", summary: "since 10m or 2h ago, 14:30, 2026-11-26T10:00" },
      grep: { kind: "text", short: "g", summary: "only lines with this text, in capitals or not" },
    },
  },
  async run({ deps, actor }, { app: name }) {
    const app = await getApp(deps.db.db, actor.orgId, name);
    return { appName: app.name, appId: app.id };
  },
  view: () => ({}),
  follow: ({ appName, appId }, { num, tail, process, source, since, grep }) => ({
    kind: "logs",
    appName,
    appId,
    lines: num ?? (since === undefined ? linesShown : mostLogLines),
    tail,
    ...(process === undefined ? {} : { process }),
    ...(source === undefined ? {} : { source }),
    // Ago is by our clock; a time of day is by that of whoever has typed it.
    ...(since === undefined
      ? {}
      : { since: isRelative(since) ? momentSince(since, new Date())!.toISOString() : since }),
    ...(grep === undefined ? {} : { grep }),
  }),
});
