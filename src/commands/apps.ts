import { z } from "zod";
import { getApp, insertApp, insertRing, listApps, requestDestroy } from "../db/apps.ts";
import { listUnfinished, requestCancel } from "../db/deploys.ts";
import { lastEventSeq, ring } from "../db/events.ts";
import { defaultProject } from "../db/people.ts";
import { findLiveRelease } from "../db/releases.ts";
import { duration, shortId } from "../model/deploy.ts";
import { appTopic, cancelTopic } from "../model/event.ts";
import { AppName } from "../model/names.ts";
import type { ProcessStatus } from "../runtime/runtime.ts";
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
          state: stateOf({
            destroying: app.destroyRequestedAt !== null,
            version,
            deploying: running?.status ?? null,
            processes,
          }),
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
        app.state,
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

export const showApp = defineCommand({
  name: "apps:info",
  aliases: ["info"],
  summary: "Show one app",
  examples: ["apps:info shop"],
  needs: "viewer",
  changes: false,
  input: AppInput,
  words: { positional: ["app"] },
  async run({ deps, actor }, input) {
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    const release = await findLiveRelease(deps.db.db, app);
    const processes = await deps.runtime.processes.list(app.id);
    const begun = (await listUnfinished(deps.db.db, app.id)).find(({ status }) => status !== "queued");
    return {
      name: app.name,
      state: stateOf({
        destroying: app.destroyRequestedAt !== null,
        version: release?.version ?? null,
        deploying: begun?.status ?? null,
        processes,
      }),
      url: deps.runtime.edge.url(app.name),
      release: release && {
        version: release.version,
        commit: release.commit,
        description: release.description,
        liveAt: release.liveAt,
      },
      main: app.mainCommit,
      processes: processes.map(({ name, state }) => ({ name, state })),
      createdAt: app.createdAt,
    };
  },
  view: (app) => ({
    fields: [
      { name: "App", value: app.name },
      { name: "State", value: app.state },
      { name: "URL", value: app.url },
      {
        name: "Release",
        value: app.release
          ? `v${app.release.version}, ${app.release.description}, live since ${ago(app.release.liveAt)}`
          : "none yet",
      },
      { name: "Main", value: app.main ? shortId(app.main) : "nothing was pushed yet" },
      { name: "Processes", value: app.processes.map(({ name, state }) => `${name} ${state}`).join(", ") || "none" },
    ],
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
  confirm: ({ app }) => ({
    warning: `This removes ${app} for good: its processes, releases, config vars, logs and its repository.`,
    type: app,
  }),
  async run({ tx, actor }, input) {
    const app = await getApp(tx, actor.orgId, input.app);
    await requestDestroy(tx, app.id, actor.name);
    for (const deploy of await listUnfinished(tx, app.id)) {
      await requestCancel(tx, deploy.id, actor.name);
      await ring(tx, cancelTopic(deploy.id));
    }
    await insertRing(tx, app);
    return { name: app.name, appId: app.id, after: await lastEventSeq(tx, appTopic(app.id)) };
  },
  view: ({ name }) => ({ text: `${name} is being removed` }),
  follow: ({ name, appId, after }) => ({ kind: "app", appName: name, appId, until: "destroyed", after }),
});

/** One word for how an app is. */
function stateOf(app: {
  destroying: boolean;
  version: number | null;
  deploying: string | null;
  processes: ProcessStatus[];
}): string {
  if (app.destroying) return "being removed";
  if (app.deploying) return app.deploying.replace("_", " ");
  if (app.version === null) return "new";
  if (app.processes.some((process) => process.state === "crashed")) return "crashed";
  if (app.processes.every((process) => process.state === "stopping")) return "stopped";
  return "live";
}

/** `3 min ago` */
export function ago(moment: Date | null): string {
  return moment === null ? "" : `${duration(Date.now() - moment.getTime())} ago`;
}
