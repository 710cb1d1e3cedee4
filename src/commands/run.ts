import { z } from "zod";
import { getApp, lockNamedApp } from "../db/apps.ts";
import { ring } from "../db/events.ts";
import { endRun, listActiveRuns } from "../db/runs.ts";
import type { AppRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import { commandLine, shownCommandLine } from "../model/command-line.ts";
import { detachedRunsTopic, runTopic } from "../model/event.ts";
import { clip } from "../model/names.ts";
import { appMasker } from "../pipeline/masking.ts";
import { runName, shownCommand, startRun } from "../pipeline/runs.ts";
import { type CommandContext, defineCommand } from "./command.ts";
import { ExistingApp } from "./inputs.ts";

/** As long as one word of a command line may be on Linux. */
const maxCommandBytes = 128 * 1024 - 1;

const whichCommand = "which command? For example: npm run migrate";

const OneCommand = z
  .array(z.string(), { error: whichCommand })
  .min(1, whichCommand)
  .refine((words) => Buffer.byteLength(commandLine(words)) <= maxCommandBytes, "the command is longer than 128 KiB")
  .refine((words) => !words.some((word) => word.includes("\0")), "a NUL character has no place in a command");

const detachFlag = { kind: "switch", summary: "do not wait; its output goes into the app's log" } as const;

export const runCommandOnce = defineCommand({
  name: "run",
  summary: "Run a command once, in what is live",
  examples: [
    "run shop npm run migrate",
    "run shop bash",
    'run shop "npm run export && npm run mail"',
    "run --no-tty shop cat report.csv > report.csv",
    "run --detach shop npm run import",
  ],
  needs: "developer",
  changes: true,
  input: z
    .strictObject({
      app: ExistingApp,
      command: OneCommand,
      tty: z.boolean().optional(),
      noTty: z.boolean().default(false),
      interactive: z.boolean().default(false),
      exitCode: z.boolean().default(false),
      detach: z.boolean().default(false),
    })
    .refine(({ tty, noTty }) => !(tty && noTty), "--tty and --no-tty exclude each other")
    .refine(({ tty, detach }) => !(tty && detach), "nobody sits at a terminal of what runs detached"),
  words: {
    positional: ["app", "command"],
    rest: true,
    literalRest: true,
    flags: {
      tty: { kind: "switch", short: "t", summary: "with a terminal, as it is anyway where you sit at one" },
      noTty: { kind: "switch", summary: "without one" },
      interactive: { kind: "switch", short: "i", summary: "pass standard input on, as it is anyway" },
      exitCode: { kind: "switch", short: "x", summary: "exit as the command does, as it is anyway" },
      detach: { ...detachFlag, short: "d" },
    },
  },
  auditInput: async (input, context) => ({
    command: await auditedCommand(context, input),
    ...(input.detach ? { detached: true } : {}),
  }),
  run: (context, input) => askForRun(context, input, input.detach),
  view: (asked, { detach }) => (detach ? viewDetached(asked) : {}),
  follow: ({ appName, runId, name, version }, { tty, noTty, detach }) =>
    detach
      ? undefined
      : { kind: "run", appName, runId, name, where: `${appName} v${version}`, tty: noTty ? false : (tty ?? null) },
});

export const runDetached = defineCommand({
  name: "run:detached",
  summary: "Run a command once, in what is live, and do not wait: its output goes into the app's log",
  examples: ["run:detached shop npm run import"],
  needs: "developer",
  changes: true,
  input: z.strictObject({ app: ExistingApp, command: OneCommand }),
  words: { positional: ["app", "command"], rest: true, literalRest: true },
  auditInput: async (input, context) => ({ command: await auditedCommand(context, input) }),
  run: (context, input) => askForRun(context, input, true),
  view: viewDetached,
});

/** `run.3`, or its number alone. */
const RunName = z
  .string({ error: "which one? ps shows what runs" })
  .transform((word) => word.replace(/^run\./, ""))
  .refine((word) => /^[1-9]\d{0,8}$/.test(word), {
    error: (issue) => `"${clip(String(issue.input))}" is no run: run.3, for example`,
  })
  .transform(Number);

export const stopRun = defineCommand({
  name: "run:stop",
  summary: "End a command that runs once",
  examples: ["run:stop shop run.3"],
  needs: "developer",
  changes: true,
  input: z.strictObject({ app: ExistingApp, run: RunName }),
  words: { positional: ["app", "run"] },
  auditInput: ({ run }) => ({ run: runName({ number: run }) }),
  async run({ tx, actor }, input) {
    const app = await getApp(tx, actor.orgId, input.app);
    const found = (await listActiveRuns(tx, app.id)).find(({ number }) => number === input.run);
    const name = runName({ number: input.run });
    if (!found || !(await endRun(tx, found.id, null))) {
      throw new UserError("not_found", `no ${name} of ${app.name} runs`, `zyndra ps ${app.name} shows what does`);
    }
    await ring(tx, runTopic(found.id));
    return { appName: app.name, name };
  },
  view: ({ appName, name }) => ({ text: `${name} of ${appName} is being stopped` }),
});

/** What of an app runs once, as `ps` shows it. */
export async function listShownRuns(deps: Deps, app: AppRow) {
  const { db } = deps.db;
  const running = (await listActiveRuns(db, app.id)).filter(({ status }) => status === "running");
  if (running.length === 0) return [];
  const masker = await appMasker(deps, app);
  return Promise.all(
    running.map(async (run) => ({
      name: runName(run),
      version: run.version,
      since: run.startedAt ?? run.createdAt,
      by: run.actorName,
      command: await shownCommand(deps, db, run, masker),
    })),
  );
}

type Asked = { appName: string; runId: string; name: string; version: number };

async function askForRun(
  { deps, tx, actor }: CommandContext,
  input: { app: string; command: string[] },
  detached: boolean,
): Promise<Asked> {
  const app = await lockNamedApp(tx, actor.orgId, input.app);
  const { run, release } = await startRun(deps, tx, app, actor, { command: commandLine(input.command), detached });
  if (detached) await ring(tx, detachedRunsTopic);
  return { appName: app.name, runId: run.id, name: runName(run), version: release.version };
}

function viewDetached({ appName, name, version }: Asked) {
  return {
    text: `${name} runs in ${appName} v${version}`,
    hint: `zyndra logs ${appName} --tail --process ${name} shows its output; zyndra run:stop ${appName} ${name} ends it`,
  };
}

async function auditedCommand(
  { deps, actor }: CommandContext,
  { app, command }: { app: string; command: string[] },
): Promise<string> {
  const masker = await appMasker(deps, await getApp(deps.db.db, actor.orgId, app));
  return clip(masker.mask(shownCommandLine(commandLine(command))), 1_000);
}
