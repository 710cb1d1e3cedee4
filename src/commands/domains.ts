import { z } from "zod";
import { changeApp, getApp } from "../db/apps.ts";
import { deleteDomains, insertDomains, listDomains } from "../db/domains.ts";
import { UserError } from "../errors.ts";
import { type HostName, parseHostName, readableHost, refuseUngivenHost } from "../model/hosts.ts";
import { ago } from "./ago.ts";
import { appChanged, followChange, takeApp } from "./app-change.ts";
import { defineCommand } from "./command.ts";
import { AppInput, ExistingApp } from "./inputs.ts";

const whichHost = "which host? For example: www.hats.example";

const AppAndHosts = z.strictObject({
  app: ExistingApp,
  hosts: z
    .array(z.string().max(2_000, "a host name has 253 characters at most"), { error: whichHost })
    .min(1, whichHost)
    .max(50, "50 hosts at once are the limit")
    .transform((words) => words.map(parseHostName)),
});

export const addDomains = defineCommand({
  name: "domains:add",
  summary: "Let host names lead to an app, besides its own address",
  examples: ["domains:add shop www.hats.example hats.example"],
  needs: "developer",
  changes: true,
  input: AppAndHosts,
  words: { positional: ["app", "hosts"], rest: true },
  auditInput: ({ hosts }) => ({ hosts: hostsOf(hosts) }),
  async run(context, input) {
    const { deps, tx, actor } = context;
    const app = await takeApp(context, input.app);
    const hosts = hostsOf(input.hosts);
    for (const host of hosts) refuseUngivenHost(host, deps.runtime.edge.baseDomain, deps.otherHosts);
    const added = await insertDomains(tx, app, hosts, actor.name);
    const revision = added.length > 0 ? await changeApp(tx, app.id, {}) : null;
    const own = new URL(deps.runtime.edge.url(app.name));
    return {
      ...(await appChanged(context, app, revision)),
      hosts,
      added,
      pasted: pastedOf(input.hosts),
      own: own.href,
    };
  },
  view: ({ appName, hosts, added, pasted, own, isLive }) => ({
    text:
      added.length === 0
        ? `${listed(hosts)} ${leads(hosts)} to ${appName} already`
        : `${listed(added)} ${isLive ? `${added.length === 1 ? "is" : "are"} being added to ${appName}` : `will lead to ${appName} with its first push`}`,
    warnings: pasted,
    hint: howToReach(hosts, new URL(own)),
  }),
  follow: (result) => followChange(result, `${listed(result.added)} ${leads(result.added)} to ${result.appName}`),
});

export const removeDomains = defineCommand({
  name: "domains:remove",
  summary: "Take host names from an app",
  examples: ["domains:remove shop www.hats.example"],
  needs: "developer",
  changes: true,
  input: AppAndHosts,
  words: { positional: ["app", "hosts"], rest: true },
  auditInput: ({ hosts }) => ({ hosts: hostsOf(hosts) }),
  async run(context, input) {
    const { tx } = context;
    const app = await takeApp(context, input.app);
    const hosts = hostsOf(input.hosts);
    const removed = await deleteDomains(tx, app.id, hosts);
    const missing = hosts.filter((host) => !removed.includes(host));
    if (missing.length > 0) {
      throw new UserError(
        "not_found",
        `${listed(missing)} ${missing.length === 1 ? "does" : "do"} not lead to ${app.name}; nothing was changed`,
        `zyndra domains ${app.name} lists what does`,
      );
    }
    return { ...(await appChanged(context, app, await changeApp(tx, app.id, {}))), removed };
  },
  view: ({ appName, removed, isLive }) => ({
    text: `${listed(removed)} ${removed.length === 1 ? "is" : "are"} ${isLive ? "being taken" : "taken"} from ${appName}`,
  }),
  follow: (result) =>
    followChange(result, `${listed(result.removed)} no longer ${leads(result.removed)} to ${result.appName}`),
});

export const listAllDomains = defineCommand({
  name: "domains:list",
  aliases: ["domains"],
  summary: "List the host names that lead to an app",
  examples: ["domains shop"],
  needs: "viewer",
  changes: false,
  input: AppInput,
  words: { positional: ["app"] },
  async run({ deps, actor }, input) {
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    const rows = await listDomains(deps.db.db, app.id);
    return {
      own: new URL(deps.runtime.edge.url(app.name)).hostname,
      domains: rows.map(({ host, createdBy, createdAt }) => ({ host, addedBy: createdBy, addedAt: createdAt })),
    };
  },
  view: ({ own, domains }, { app }) => ({
    table: {
      columns: ["HOST", "ADDED BY", "WHEN"],
      rows: [
        [own, "(its own)", ""],
        ...domains.map(({ host, addedBy, addedAt }) => [readableHost(host), addedBy, ago(addedAt)]),
      ],
      none: "",
    },
    ...(domains.length === 0 ? { hint: `zyndra domains:add ${app} www.hats.example adds one` } : {}),
  }),
});

/** Each once, in the order in which they were named. */
function hostsOf(named: HostName[]): string[] {
  return [...new Set(named.map(({ host }) => host))];
}

function pastedOf(named: HostName[]): string[] {
  return named.flatMap(({ host, from }) => (from === undefined ? [] : [`of ${from} only the host counts: ${host}`]));
}

/** What has to be done outside Zyndra, so that a browser finds the way here. */
function howToReach(hosts: string[], own: URL): string {
  const addresses = hosts.map((host) => `${own.protocol}//${host}${own.port ? `:${own.port}` : ""}`);
  if (own.hostname.endsWith(".localhost")) {
    return `to open ${addresses.join(", ")} on this machine, /etc/hosts needs the line: 127.0.0.1 ${hosts.join(" ")}`;
  }
  return `the DNS of ${listed(hosts)} has to lead here: a CNAME to ${own.hostname}, or the same A record; then it is at ${addresses.join(", ")}`;
}

function listed(hosts: string[]): string {
  return hosts.map(readableHost).join(", ");
}

function leads(hosts: string[]): string {
  return hosts.length === 1 ? "leads" : "lead";
}
