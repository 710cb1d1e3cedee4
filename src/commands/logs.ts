import { z } from "zod";
import { getApp } from "../db/apps.ts";
import { findLiveRelease } from "../db/releases.ts";
import type { ReleaseRow } from "../db/schema.ts";
import { cronProcess } from "../model/cron.ts";
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
  async run({ deps, actor }, { app: name, process }) {
    const app = await getApp(deps.db.db, actor.orgId, name);
    const release = await findLiveRelease(deps.db.db, app);
    return { appName: app.name, appId: app.id, unknown: unknownProcess(app.name, release, process) };
  },
  // What goes on is never over with nothing: it is told before.
  view: ({ unknown }, { tail }) => (tail && unknown !== undefined ? { warnings: [unknown] } : {}),
  follow: ({ appName, appId, unknown }, { num, tail, process, source, since, grep }) => ({
    kind: "logs",
    appName,
    appId,
    lines: num ?? (since === undefined ? linesShown : mostLogLines),
    tail,
    ifNothing: unknown ?? nothingOf(appName, { process, source, since, grep }),
    ...(process === undefined ? {} : { process }),
    ...(source === undefined ? {} : { source }),
    // Ago is by our clock; a time of day is by that of whoever has typed it.
    ...(since === undefined
      ? {}
      : { since: isRelative(since) ? momentSince(since, new Date())!.toISOString() : since }),
    ...(grep === undefined ? {} : { grep }),
  }),
});

/** Such may have written once, under an older release; so it matters only where nothing comes. */
function unknownProcess(appName: string, release: ReleaseRow | null, process: string | undefined): string | undefined {
  if (process === undefined || release === null) return undefined;
  const entries = (release.settings.cron ?? []).map(({ name }) => cronProcess(name));
  const known = [...Object.keys(release.processTypes), "router", ...entries];
  const type = process.split(".")[0]!;
  if (known.includes(process) || known.includes(type) || ["run", "release"].includes(type)) return undefined;
  return `no process ${process}: ${appName} has ${known.join(", ")}`;
}

function nothingOf(
  appName: string,
  { process, ...filters }: Partial<Record<"process" | "source" | "since" | "grep", string>>,
): string {
  const isFiltered = Object.values(filters).some((filter) => filter !== undefined);
  const who = process === undefined ? appName : `${process} of ${appName}`;
  return isFiltered ? `nothing of ${who} fits` : `nothing was written yet by ${who}`;
}
