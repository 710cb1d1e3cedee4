import { z } from "zod";
import { getApp, insertApp, insertRing, listApps, requestDestroy } from "../db/apps.ts";
import { listUnfinished, listUntold, requestCancel } from "../db/deploys.ts";
import { listHosts } from "../db/domains.ts";
import { lastEventSeq, ring } from "../db/events.ts";
import { defaultProject } from "../db/people.ts";
import { appTopic, cancelTopic } from "../model/event.ts";
import { readableHost } from "../model/hosts.ts";
import { AppName } from "../model/names.ts";
import { whatGoesWith } from "./addon-changes.ts";
import { ago } from "./ago.ts";
import { stateOf } from "./app-info.ts";
import { defineCommand } from "./command.ts";
import { AppInput } from "./inputs.ts";

export const createApp = defineCommand({
  name: "apps:create",
  aliases: ["create"],
  summary: "Make a new app",
  examples: ["apps:create shop"],
  needs: "developer",
  changes: true,
  input: z.strictObject({ app: AppName }),
  words: { positional: ["app"] },
  async run({ deps, tx, actor }, { app: name }) {
    const app = await insertApp(tx, { orgId: actor.orgId, projectId: await defaultProject(tx, actor.orgId), name });
    await deps.repos.ensureRepo(app.id);
    return { name, url: deps.runtime.edge.url(name) };
  },
  view: ({ name, url }) => ({
    text: `${name} is made; it will be at ${url}`,
    hint: `in its folder: zyndra git:remote ${name}, then git push zyndra main`,
  }),
});

export const listAllApps = defineCommand({
  name: "apps:list",
  aliases: ["apps"],
  summary: "List the apps",
  examples: ["apps"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({}),
  words: { positional: [] },
  async run({ deps, actor }) {
    const rows = await listApps(deps.db.db, actor.orgId);
    return Promise.all(
      rows.map(async ({ app, version, liveAt, running }) => {
        const processes = await deps.runtime.processes.list(app.id);
        const web = processes.filter((process) => process.type === "web");
        return {
          name: app.name,
          isLocked: app.lockedAt !== null,
          state: stateOf({ app, version, deploying: running?.status ?? null, processes }),
          release: version === null ? null : `v${version}`,
          liveSince: liveAt,
          web: `${web.filter((process) => process.state === "up").length}/${web.length}`,
          url: deps.runtime.edge.url(app.name),
        };
      }),
    );
  },
  view: (apps) => ({
    table: {
      columns: ["NAME", "STATE", "RELEASE", "LIVE SINCE", "WEB", "URL"],
      rows: apps.map((app) => [
        app.name,
        app.isLocked ? `${app.state}, locked` : app.state,
        app.release ?? "",
        ago(app.liveSince),
        app.release ? app.web : "",
        app.url,
      ]),
      none: "There are no apps yet.",
    },
    ...(apps.length === 0 ? { hint: "zyndra apps:create NAME makes one" } : {}),
  }),
});

export const destroyApp = defineCommand({
  name: "apps:destroy",
  aliases: ["destroy"],
  summary: "Remove an app with all it made",
  examples: ["apps:destroy shop"],
  needs: "admin",
  changes: true,
  input: AppInput,
  words: { positional: ["app"] },
  async confirm(input, context) {
    const { tx, actor } = context;
    const { id, name, releaseCount } = await getApp(tx, actor.orgId, input.app);
    const hosts = (await listHosts(tx, id)).map(readableHost);
    const releases = releaseCount === 0 ? "" : releaseCount === 1 ? "its release, " : `its ${releaseCount} releases, `;
    return {
      warning: [
        `This removes ${name} for good: its processes, ${releases}config vars, logs and its repository.`,
        ...(hosts.length > 0 ? [`${hosts.join(", ")} ${hosts.length === 1 ? "leads" : "lead"} nowhere then.`] : []),
        ...(await whatGoesWith(context, id)),
      ].join(" "),
      type: name,
    };
  },
  async run({ tx, actor }, input) {
    const app = await getApp(tx, actor.orgId, input.app);
    await requestDestroy(tx, app.id, actor.name);
    for (const deploy of [...(await listUnfinished(tx, app.id)), ...(await listUntold(tx, app.id))]) {
      await requestCancel(tx, deploy.id, actor.name);
      await ring(tx, cancelTopic(deploy.id));
    }
    await insertRing(tx, app);
    return { appName: app.name, appId: app.id, after: await lastEventSeq(tx, appTopic(app.id)) };
  },
  view: ({ appName }) => ({ text: `${appName} is being removed` }),
  follow: ({ appName, appId, after }) => ({ kind: "app", appName, appId, until: "destroyed", after }),
});
