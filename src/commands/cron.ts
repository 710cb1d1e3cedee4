import { z } from "zod";
import { getApp, lockNamedApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { findOtherCronRun, insertCronRun, listCronRuns, listLastCronRuns, readClock } from "../db/cron-runs.ts";
import { ring } from "../db/events.ts";
import { findLiveRelease, getLiveRelease } from "../db/releases.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import type { CronEntry } from "../model/app-settings.ts";
import { cronProcess, nextDue } from "../model/cron.ts";
import { duration } from "../model/deploy.ts";
import { cronTopic } from "../model/event.ts";
import { clip, nearest } from "../model/names.ts";
import { ago } from "./ago.ts";
import { defineCommand } from "./command.ts";
import { AppInput, Count, ExistingApp } from "./inputs.ts";
import { mostRows } from "./listing.ts";

/** The name of an entry that should exist: any text, so that a wrong one is answered with the nearest that does. */
const whichEntry = "which cron entry? zyndra cron APP lists them";
const EntryName = z.string({ error: whichEntry }).min(1, whichEntry).max(100);

export const listCron = defineCommand({
  name: "cron:list",
  aliases: ["cron"],
  summary: "List what runs at set times",
  examples: ["cron shop"],
  needs: "viewer",
  changes: false,
  input: AppInput,
  words: { positional: ["app"] },
  async run({ deps, actor }, input) {
    const { db } = deps.db;
    const app = await getApp(db, actor.orgId, input.app);
    const release = await findLiveRelease(db, app);
    const [now, last] = await Promise.all([readClock(db), listLastCronRuns(db, app.id)]);
    return (release?.settings.cron ?? []).map((entry) => {
      const run = last.find(({ name }) => name === entry.name);
      const nextAt = nextDue(entry, now);
      return {
        name: entry.name,
        schedule: entry.schedule,
        timezone: entry.timezone ?? "UTC",
        command: entry.command,
        overlap: entry.overlap,
        nextAt,
        nextInMs: nextAt && nextAt.getTime() - now.getTime(),
        last: run ? { status: run.status, dueAt: run.dueAt, exitCode: run.exitCode, reason: run.reason } : null,
      };
    });
  },
  view: (entries, { app }) => ({
    table: {
      columns: ["NAME", "SCHEDULE", "NEXT", "LAST", "COMMAND"],
      rows: entries.map(({ name, schedule, timezone, nextInMs, last, command }) => [
        name,
        `${schedule} ${timezone}`,
        nextInMs === null ? "never" : `in ${duration(nextInMs)}`,
        last ? `${last.status} ${ago(last.dueAt)}` : "",
        command,
      ]),
      none: `${app} runs nothing at set times: its zyndra.yml has no cron entries.`,
    },
    ...(entries.length > 0 ? { hint: `zyndra cron:runs ${app} shows how they went` } : {}),
  }),
});

export const runCron = defineCommand({
  name: "cron:run",
  summary: "Run a cron entry now, beside its schedule",
  examples: ["cron:run shop nightly-report"],
  needs: "developer",
  changes: true,
  input: z.strictObject({ app: ExistingApp, name: EntryName }),
  words: { positional: ["app", "name"] },
  auditInput: ({ name }) => ({ name }),
  async run({ tx, actor }, input) {
    const app = await lockNamedApp(tx, actor.orgId, input.app);
    const release = await getLiveRelease(tx, app);
    const entry = getEntry(app, release, input.name);
    const { orgId, projectId } = app;
    const run = { appId: app.id, orgId, projectId, name: entry.name, dueAt: await readClock(tx) };
    await assertMayOverlap(tx, app, entry, run);
    await insertCronRun(tx, { ...run, version: release.version, reason: `asked for by ${actor.name}` });
    await ring(tx, cronTopic);
    return { appName: app.name, name: entry.name, dueAt: run.dueAt, process: cronProcess(entry.name) };
  },
  view: ({ appName, name, process }) => ({
    text: `${name} of ${appName} is started`,
    hint: `zyndra logs ${appName} --tail --process ${process} shows its lines, zyndra cron:runs ${appName} ${name} how it ended`,
  }),
});

export const listCronHistory = defineCommand({
  name: "cron:runs",
  summary: "Show how cron entries ran, newest first",
  examples: ["cron:runs shop", "cron:runs shop nightly-report"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({ app: ExistingApp, name: EntryName.optional(), num: Count(15, mostRows) }),
  words: { positional: ["app", "name"], flags: { num: { kind: "number", short: "n", summary: "how many" } } },
  async run({ deps, actor }, { app: appName, name, num }) {
    const { db } = deps.db;
    const app = await getApp(db, actor.orgId, appName);
    const rows = await listCronRuns(db, app.id, { name, limit: num });
    // What is not on record may be a slip of the pen.
    if (name !== undefined && rows.length === 0) getEntry(app, await getLiveRelease(db, app), name);
    return rows.map(({ name, dueAt, status, exitCode, reason, version, startedAt, finishedAt }) => ({
      name,
      dueAt,
      status,
      exitCode,
      reason,
      version,
      tookMs: finishedAt && status !== "skipped" ? finishedAt.getTime() - startedAt.getTime() : null,
    }));
  },
  view: (runs, { app }) => ({
    table: {
      columns: ["DUE", "ENTRY", "STATE", "EXIT", "TOOK", "RELEASE", ""],
      rows: runs.map(({ name, dueAt, status, exitCode, reason, version, tookMs }) => [
        `${dueAt.toISOString().slice(0, 16).replace("T", " ")} UTC`,
        name,
        status,
        exitCode === null ? "" : String(exitCode),
        tookMs === null ? "" : duration(tookMs),
        `v${version}`,
        reason ?? "",
      ]),
      none: `Nothing of ${app} has run at a set time yet.`,
    },
  }),
});

/** @throws UserError where what is live has no such entry. */
function getEntry(app: AppRow, release: ReleaseRow, name: string): CronEntry {
  const entries = release.settings.cron ?? [];
  const found = entries.find((entry) => entry.name === name);
  if (found) return found;
  const near = nearest(
    name,
    entries.map((entry) => entry.name),
  );
  throw new UserError(
    "not_found",
    `v${release.version} of ${app.name} has no cron entry "${clip(name)}".${near === undefined ? "" : ` Did you mean ${near}?`}`,
    `zyndra cron ${app.name} lists what there is`,
  );
}

/** @throws UserError where a run goes on beside which there may be no other. */
async function assertMayOverlap(
  tx: Db,
  app: AppRow,
  { name, overlap }: CronEntry,
  run: Parameters<typeof findOtherCronRun>[1],
): Promise<void> {
  const other = overlap === "forbid" ? await findOtherCronRun(tx, run) : null;
  if (!other) return;
  const since = duration(run.dueAt.getTime() - other.startedAt.getTime());
  throw new UserError(
    "conflict",
    `${name} of ${app.name} has been running for ${since}, and may not run twice at once`,
    `zyndra logs ${app.name} --tail --process ${cronProcess(name)} shows what it does`,
  );
}
