import { z } from "zod";
import { renameApp } from "../db/apps.ts";
import { UserError } from "../errors.ts";
import { AppName } from "../model/names.ts";
import { appChanged, followChange, takeApp } from "./app-change.ts";
import { defineCommand } from "./command.ts";
import { ExistingApp } from "./inputs.ts";

export const rename = defineCommand({
  name: "apps:rename",
  aliases: ["rename"],
  summary: "Give an app another name, and with it another address",
  examples: ["apps:rename shop hats"],
  needs: "admin",
  changes: true,
  input: z.strictObject({ app: ExistingApp, newName: z.string({ error: "which new name?" }).pipe(AppName) }),
  words: { positional: ["app", "newName"] },
  auditInput: ({ newName }) => ({ newName }),
  async run(context, { app: name, newName }) {
    const app = await takeApp(context, name);
    if (app.name === newName) throw new UserError("conflict", `${newName} is what it is called already`);
    const revision = await renameApp(context.tx, app, newName);
    const change = await appChanged(context, { ...app, name: newName }, revision);
    return { ...change, oldName: app.name, url: context.deps.runtime.edge.url(newName) };
  },
  view: ({ appName, oldName, url, isLive }) => ({
    text: `${oldName} is called ${appName} now${isLive ? "" : `; it will be at ${url}`}`,
    hint: `in other folders that push to it: zyndra git:remote ${appName}`,
  }),
  renamed: ({ appName, oldName }) => ({ from: oldName, to: appName }),
  follow: (result) => followChange(result, `${result.appName} is at ${result.url}`),
});
