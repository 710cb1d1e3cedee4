import { z } from "zod";
import { setFormation } from "../db/apps.ts";
import type { AppRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { clip } from "../model/names.ts";
import type { Formation } from "../model/process-types.ts";
import { type AppChange, appChanged, followChange, takeApp } from "./app-change.ts";
import { type CommandContext, defineCommand } from "./command.ts";
import { ExistingApp } from "./inputs.ts";
import { getLiveFormation, unknownType } from "./live-formation.ts";

const AppAndTypes = z.strictObject({ app: ExistingApp, types: z.array(z.string()).default([]) });

export const stop = defineCommand({
  name: "ps:stop",
  summary: "Scale process types to nothing; without any, all of them",
  examples: ["ps:stop shop", "ps:stop shop worker"],
  needs: "developer",
  changes: true,
  input: AppAndTypes,
  words: { positional: ["app", "types"], rest: true },
  auditInput: ({ types }) => ({ types: types.map((type) => clip(type)) }),
  async run(context, input) {
    const app = await takeApp(context, input.app);
    const { formation } = await getLiveFormation(context.tx, app);
    for (const type of input.types) refuseUnknownType(app, formation, type);
    const types = input.types.length > 0 ? input.types : Object.keys(formation);
    const running = types.filter((type) => formation[type]! > 0);
    const was = Object.fromEntries(running.map((type) => [type, formation[type]!]));
    return { ...(await scaled(context, app, formation, Object.fromEntries(running.map((type) => [type, 0])))), was };
  },
  view: ({ appName, changes, was }) =>
    Object.keys(changes).length === 0
      ? { text: `${appName} is stopped already` }
      : {
          text: `${appName} is asked to run ${formationWords(changes)}`,
          hint: `zyndra ps:scale ${appName} ${formationWords(was)} brings back what ran`,
        },
  follow: (result) => followChange(result, `${result.appName} runs ${formationWords(result.formation)}`),
});

export const start = defineCommand({
  name: "ps:start",
  summary: "Run process types that were scaled to nothing again; without any, web",
  examples: ["ps:start shop", "ps:start shop worker"],
  needs: "developer",
  changes: true,
  input: AppAndTypes,
  words: { positional: ["app", "types"], rest: true },
  auditInput: ({ types }) => ({ types: types.map((type) => clip(type)) }),
  async run(context, input) {
    const app = await takeApp(context, input.app);
    const { formation, said } = await getLiveFormation(context.tx, app);
    for (const type of input.types) refuseUnknownType(app, formation, type);
    const usual = Object.keys(formation).filter((type) => type === "web" || (said[type] ?? 0) > 0);
    const types = input.types.length > 0 ? input.types : usual.length > 0 ? usual : Object.keys(formation);
    const resting = types.filter((type) => formation[type] === 0);
    const changes = Object.fromEntries(resting.map((type) => [type, Math.max(1, said[type] ?? 1)]));
    return scaled(context, app, formation, changes);
  },
  view: ({ appName, changes, formation }) => ({
    text:
      Object.keys(changes).length === 0
        ? `${appName} runs already: ${formationWords(formation)}`
        : `${appName} is asked to run ${formationWords(changes)}`,
  }),
  follow: (result) => followChange(result, `${result.appName} runs ${formationWords(result.formation)}`),
});

type Scaled = AppChange & { changes: Formation; formation: Formation };

async function scaled(context: CommandContext, app: AppRow, before: Formation, changes: Formation): Promise<Scaled> {
  const revision = Object.keys(changes).length === 0 ? null : await setFormation(context.tx, app, changes);
  return { ...(await appChanged(context, app, revision)), changes, formation: { ...before, ...changes } };
}

/** @throws UserError bad_input with what to type instead */
function refuseUnknownType(app: AppRow, formation: Formation, word: string): void {
  if (word in formation) return;
  const [, type = ""] = /^(.+)\.\d+$/.exec(word) ?? [];
  if (type in formation) {
    throw new UserError(
      "bad_input",
      `${clip(word)} is one process: how many of them run is said for each process type`,
      `zyndra ps:restart ${app.name} ${clip(word)} starts it anew; zyndra ps:scale ${app.name} ${type}=${Math.max(0, formation[type]! - 1)} runs fewer`,
    );
  }
  throw unknownType(app, word, Object.keys(formation));
}

function formationWords(formation: Formation): string {
  return Object.entries(formation)
    .map(([type, count]) => `${type}=${count}`)
    .join(" ");
}
