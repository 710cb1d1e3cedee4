import { listAttached } from "../db/addons.ts";
import { getApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { listDeploys } from "../db/deploys.ts";
import { listHosts } from "../db/domains.ts";
import { findLiveRelease } from "../db/releases.ts";
import type { AppRow } from "../db/schema.ts";
import { type DeployStatus, isFinal, shortId, statusWords } from "../model/deploy.ts";
import { readableHost } from "../model/hosts.ts";
import { sinceWords } from "../pipeline/lock.ts";
import type { ProcessStatus } from "../runtime/runtime.ts";
import { ago, liveFor } from "./ago.ts";
import { defineCommand } from "./command.ts";
import { AppInput } from "./inputs.ts";

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
    const { db } = deps.db;
    const app = await getApp(db, actor.orgId, input.app);
    const [release, domains, attached, lastDeploy, processes] = await Promise.all([
      findLiveRelease(db, app),
      listHosts(db, app.id),
      listAttached(db, app.id),
      findLastDeploy(db, app),
      deps.runtime.processes.list(app.id),
    ]);
    return {
      name: app.name,
      state: stateOf({ app, version: release?.version ?? null, deploying: lastDeploy?.running ?? null, processes }),
      url: deps.runtime.edge.url(app.name),
      domains,
      addons: attached.map(({ addon, prefix, mountPath }) => ({
        name: addon.name,
        state: addon.state,
        prefix,
        mountPath,
      })),
      git: `${deps.publicUrl.replace(/\/$/, "")}/${app.name}.git`,
      release: release && {
        version: release.version,
        commit: release.commit,
        description: release.description,
        liveAt: release.liveAt,
      },
      lastDeploy: lastDeploy?.facts ?? null,
      main: app.mainCommit,
      processes: processes.map(({ name, state }) => ({ name, state })),
      maintenance: app.maintenanceSince && { since: app.maintenanceSince, by: app.maintenanceBy },
      lock: app.lockedAt && { since: app.lockedAt, by: app.lockedBy, reason: app.lockReason },
      createdAt: app.createdAt,
    };
  },
  view: (app) => ({
    fields: [
      { name: "App", value: app.name },
      { name: "State", value: app.state },
      ...(app.maintenance
        ? [{ name: "Maintenance", value: `since ${sinceWords(app.maintenance.since)}, by ${app.maintenance.by}` }]
        : []),
      ...(app.lock
        ? [{ name: "Locked", value: `by ${app.lock.by} since ${sinceWords(app.lock.since)}: "${app.lock.reason}"` }]
        : []),
      { name: "URL", value: app.url },
      ...(app.domains.length > 0 ? [{ name: "Domains", value: app.domains.map(readableHost).join(", ") }] : []),
      {
        name: "Release",
        value: app.release
          ? `v${app.release.version}, ${app.release.description}, ${liveFor(app.release.liveAt)}`
          : "none yet",
      },
      { name: "Last deploy", value: app.lastDeploy ? deployWords(app.lastDeploy) : "none yet" },
      { name: "Main", value: app.main ? shortId(app.main) : "nothing was pushed yet" },
      ...(app.addons.length > 0 ? [{ name: "Add-ons", value: app.addons.map(addonWords).join(", ") }] : []),
      { name: "Processes", value: app.processes.map(({ name, state }) => `${name} ${state}`).join(", ") || "none" },
      { name: "Git", value: app.git },
      { name: "Created", value: ago(app.createdAt) },
    ],
  }),
});

type DeployFacts = { number: number; status: DeployStatus; title: string; by: string; createdAt: Date };

/** The newest deploy, and the step of the one that runs, which may be an older one. */
async function findLastDeploy(db: Db, app: AppRow): Promise<{ facts: DeployFacts; running: string | null } | null> {
  const newest = (await listDeploys(db, app.id, 20)).map(({ deploy }) => deploy);
  if (!newest[0]) return null;
  const { number, status, title, actorName, createdAt } = newest[0];
  const running = newest.find((deploy) => deploy.status !== "queued" && !isFinal(deploy.status));
  return { facts: { number, status, title, by: actorName, createdAt }, running: running?.status ?? null };
}

function deployWords({ number, status, title, by, createdAt }: DeployFacts): string {
  return `#${number} ${statusWords(status)}, ${title}, by ${by}, ${ago(createdAt)}`;
}

/** `db as DATABASE`, `uploads at /app/uploads (creating)` */
function addonWords(addon: { name: string; state: string; prefix: string; mountPath: string | null }): string {
  const place = addon.mountPath === null ? `as ${addon.prefix}` : `at ${addon.mountPath}`;
  return `${addon.name} ${place}${addon.state === "available" ? "" : ` (${addon.state})`}`;
}

/** A few words for how an app is. */
export function stateOf(about: {
  app: Pick<AppRow, "destroyRequestedAt" | "maintenanceSince">;
  version: number | null;
  deploying: string | null;
  processes: ProcessStatus[];
}): string {
  const { app, processes } = about;
  if (app.destroyRequestedAt !== null) return "being removed";
  if (about.deploying) return statusWords(about.deploying);
  if (about.version === null) return "new";
  if (processes.some((process) => process.state === "crashed")) return "crashed";
  if (app.maintenanceSince !== null) return "maintenance";
  if (processes.every((process) => process.state === "stopping")) return "stopped";
  return "live";
}
