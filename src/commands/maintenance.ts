import { getApp, setMaintenance } from "../db/apps.ts";
import { duration } from "../model/deploy.ts";
import { appChanged, followChange, takeApp } from "./app-change.ts";
import { defineCommand } from "./command.ts";
import { AppInput } from "./inputs.ts";

export const maintenanceOn = defineCommand({
  name: "maintenance:on",
  summary: "Answer visitors with a maintenance page (503); the app itself goes on running",
  examples: ["maintenance:on shop"],
  needs: "developer",
  changes: true,
  input: AppInput,
  words: { positional: ["app"] },
  async run(context, input) {
    const app = await takeApp(context, input.app);
    const before = app.maintenanceSince;
    const revision = before === null ? await setMaintenance(context.tx, app.id, context.actor.name) : null;
    return { ...(await appChanged(context, app, revision)), since: before, by: app.maintenanceBy };
  },
  view: ({ appName, since, by, isLive }) => ({
    text:
      since !== null
        ? `${appName} has been in maintenance for ${howLong(since)} already (${by})`
        : isLive
          ? `${appName} is being put into maintenance`
          : `${appName} is in maintenance from its first push on`,
    ...(since === null ? { hint: `zyndra maintenance:off ${appName} ends it` } : {}),
  }),
  follow: (result) => followChange(result, `${result.appName} is in maintenance: its visitors get a page that says so`),
});

export const maintenanceOff = defineCommand({
  name: "maintenance:off",
  summary: "Let the app answer its visitors again",
  examples: ["maintenance:off shop"],
  needs: "developer",
  changes: true,
  input: AppInput,
  words: { positional: ["app"] },
  async run(context, input) {
    const app = await takeApp(context, input.app);
    const revision = app.maintenanceSince === null ? null : await setMaintenance(context.tx, app.id, null);
    return { ...(await appChanged(context, app, revision)), url: context.deps.runtime.edge.url(app.name) };
  },
  view: ({ appName, revision }) => ({
    text: revision === null ? `${appName} is not in maintenance` : `${appName} is being taken out of maintenance`,
  }),
  follow: (result) => followChange(result, `${result.appName} answers at ${result.url} again`),
});

export const showMaintenance = defineCommand({
  name: "maintenance",
  summary: "Show whether an app is in maintenance",
  examples: ["maintenance shop"],
  needs: "viewer",
  changes: false,
  input: AppInput,
  words: { positional: ["app"] },
  async run({ deps, actor }, input) {
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    return { appName: app.name, since: app.maintenanceSince, by: app.maintenanceBy };
  },
  view: ({ appName, since, by }) =>
    since === null
      ? { text: `${appName} is not in maintenance`, hint: `zyndra maintenance:on ${appName} puts it there` }
      : {
          text: `${appName} has been in maintenance for ${howLong(since)} (${by})`,
          hint: `zyndra maintenance:off ${appName} ends it`,
        },
});

function howLong(since: Date): string {
  return duration(Date.now() - since.getTime());
}
