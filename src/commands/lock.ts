import { z } from "zod";
import { lockDeploys, unlockDeploys } from "../db/apps.ts";
import { UserError } from "../errors.ts";
import { clip } from "../model/names.ts";
import { lockedWords, mayPassLock, whoMay } from "../pipeline/lock.ts";
import { takeApp } from "./app-change.ts";
import { defineCommand } from "./command.ts";
import { AppInput, ExistingApp } from "./inputs.ts";

const longestReason = 200;

/** Typed with or without quotes. */
const LockReason = z
  .union([z.string(), z.array(z.string())], { error: 'why? For example: "launch at 3 pm"' })
  .transform((words) => clip([words].flat().join(" ").trim(), longestReason))
  .refine((reason) => reason !== "", { error: 'why? For example: "launch at 3 pm"' });

export const lock = defineCommand({
  name: "lock",
  aliases: ["apps:lock", "freeze"],
  summary: "Refuse pushes and deploys of an app from now on, with a reason",
  examples: ['lock shop "launch at 3 pm"'],
  needs: "developer",
  changes: true,
  input: z.strictObject({ app: ExistingApp, reason: LockReason }),
  words: { positional: ["app", "reason"], rest: true },
  auditInput: ({ reason }) => ({ reason }),
  async run(context, { app: name, reason }) {
    const { tx, actor } = context;
    const app = await takeApp(context, name);
    if (app.lockedAt !== null && app.lockedBy !== actor.name) {
      throw new UserError("conflict", lockedWords(app), `zyndra unlock ${app.name} first (${whoMay(app)} may)`);
    }
    await lockDeploys(tx, app.id, { by: actor.name, reason });
    return { appName: app.name, by: actor.name, reason };
  },
  view: ({ appName, by, reason }) => ({
    text: `${appName} is locked by ${by}: "${reason}". Pushes and deploys are refused; rollback, config and scale go on`,
    hint: `zyndra unlock ${appName} ends it; with a reason you, admins and owners get past it: git push -o force="why"`,
  }),
});

export const unlock = defineCommand({
  name: "unlock",
  aliases: ["apps:unlock", "unfreeze"],
  summary: "Let pushes and deploys of an app through again",
  examples: ["unlock shop"],
  needs: "developer",
  changes: true,
  input: AppInput,
  words: { positional: ["app"] },
  async run(context, input) {
    const { tx, actor } = context;
    const app = await takeApp(context, input.app);
    if (app.lockedAt === null) throw new UserError("conflict", `${app.name} is not locked`);
    if (!mayPassLock(app, actor)) throw new UserError("forbidden", lockedWords(app), `${whoMay(app)} can unlock it`);
    await unlockDeploys(tx, app.id);
    return { appName: app.name, was: { by: app.lockedBy, reason: app.lockReason } };
  },
  view: ({ appName, was }) => ({ text: `${appName} is unlocked; ${was.by} had locked it: "${was.reason}"` }),
});
