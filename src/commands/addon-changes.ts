import {
  countForOneMore,
  getAddon,
  listAddonNames,
  listAddons,
  listAttachedTo,
  lockAddon,
  lockAppsOf,
} from "../db/addons.ts";
import { getApp, lockApp, lockNamedApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { lastEventSeq } from "../db/events.ts";
import { defaultProject } from "../db/people.ts";
import type { AddonRow, AppRow, DeployRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { type AddonKind, attachedNames, defaultMountPath, defaultPrefix } from "../model/addons.ts";
import { addonTopic } from "../model/event.ts";
import { sizeWords } from "../model/size.ts";
import type { View } from "../model/view.ts";
import { attachAddon, detachAddon, startAddon, startAddonDestroy } from "../pipeline/addons.ts";
import type { AddonFigures } from "../runtime/runtime.ts";
import type { CommandContext, Confirmation } from "./command.ts";
import type { Follow } from "./follow.ts";

/** What came of a change of an add-on, and where its going on can be watched. */
export type AddonChanged = {
  name: string;
  kind: AddonKind;
  state: AddonRow["state"];
  /** The app that was given it, or lost it. */
  app: string | null;
  /** The config vars that this is about. */
  names: string[];
  mountPath: string | null;
  deploy: { id: string; number: number } | null;
  addonId: string;
  after: number;
};

export type AddonDestroyed = AddonChanged & { detachedFrom: { app: string; deploy: number | null }[] };

/** How an attachment is to look, where somebody said so. */
export type Place = { prefix?: string | undefined; mountPath?: string | undefined };

export type NewAddonAsked = Place & { kind: AddonKind; name?: string | undefined; app?: string | undefined };

/** Makes an add-on and, where an app is named, attaches it. */
export async function createAddon(context: CommandContext, asked: NewAddonAsked): Promise<AddonChanged> {
  const { deps, tx, actor } = context;
  const { kind } = asked;
  const found = asked.app === undefined ? undefined : await getApp(tx, actor.orgId, asked.app);
  await deps.runtime.data.mayMake(kind, await countForOneMore(tx, kind));
  const app = found && (await lockApp(tx, found.id));
  const projectId = app?.projectId ?? (await defaultProject(tx, actor.orgId));
  const name = asked.name ?? (await freeName(tx, projectId, app ? `${app.name}-${kind}` : kind));
  const start = { orgId: actor.orgId, projectId, kind, name, createdBy: actor.name };
  const addon = await startAddon(deps, tx, start, createdAs(kind, "OTHER", app?.name));
  return app ? attachTo(context, addon, app, asked) : changed(tx, addon, null, {});
}

/** What is typed to make one of this name. */
function createdAs(kind: AddonKind, name: string, appName: string | undefined): string {
  const toApp = appName === undefined ? "" : ` --app ${appName}`;
  return kind === "volume"
    ? `zyndra volumes:create ${name}${toApp}`
    : `zyndra addons:create ${kind}${toApp} --name ${name}`;
}

export async function attachExisting(
  context: CommandContext,
  asked: Place & { name: string; app: string; kind?: AddonKind | undefined },
): Promise<AddonChanged> {
  const { tx, actor } = context;
  const app = await lockNamedApp(tx, actor.orgId, asked.app);
  const found = await getAddonOf(tx, actor.orgId, asked.name, asked.kind);
  return attachTo(context, await lockAddon(tx, found.id), app, asked);
}

export async function detachExisting(
  { tx, actor }: CommandContext,
  asked: { name: string; app: string; kind?: AddonKind | undefined },
): Promise<AddonChanged> {
  const app = await lockNamedApp(tx, actor.orgId, asked.app);
  const addon = await getAddonOf(tx, actor.orgId, asked.name, asked.kind);
  const attached = (await listAttachedTo(tx, [addon.id])).get(addon.id)?.find(({ appId }) => appId === app.id);
  const deploy = await detachAddon(tx, addon, app, actor);
  return changed(tx, addon, app, { ...attached, deploy });
}

/** Removes an add-on; `force` takes it from all its apps first. */
export async function destroyExisting(
  { tx, actor }: CommandContext,
  asked: { name: string; force: boolean; kind?: AddonKind | undefined },
): Promise<AddonDestroyed> {
  const found = await getAddonOf(tx, actor.orgId, asked.name, asked.kind);
  await refuseWhileAttached(tx, found, asked.force);
  const apps = await lockAppsOf(tx, found.id);
  const addon = await lockAddon(tx, found.id);
  const detachedFrom = [];
  for (const app of apps) {
    // An app that is being destroyed lets go of it by itself.
    if (app.destroyRequestedAt !== null) continue;
    const deploy = await detachAddon(tx, addon, app, actor);
    detachedFrom.push({ app: app.name, deploy: deploy?.number ?? null });
  }
  await refuseWhileAttached(tx, addon, false);
  await startAddonDestroy(tx, addon, actor.name);
  return { ...(await changed(tx, { ...addon, state: "destroying" }, null, {})), detachedFrom };
}

/** What a person is told before an add-on is removed. Not asked about what would be refused. */
export async function confirmDestroy(
  { deps, tx, actor }: CommandContext,
  asked: { name: string; force: boolean; kind?: AddonKind | undefined },
): Promise<Confirmation> {
  const addon = await getAddonOf(tx, actor.orgId, asked.name, asked.kind);
  await refuseWhileAttached(tx, addon, asked.force);
  const apps = (await listAttachedTo(tx, [addon.id])).get(addon.id)?.map(({ appName }) => appName) ?? [];
  const size = await sizeOf(deps, addon);
  const losing = apps.length === 0 ? "" : ` ${apps.join(", ")} ${apps.length === 1 ? "loses" : "lose"} it at once.`;
  return {
    warning: `This removes the ${kindWord(addon.kind)} ${addon.name}${size} for good, with all that is in it.${losing}`,
    type: addon.name,
  };
}

/** What becomes of an app's add-ons when it is destroyed, in sentences. */
export async function whatGoesWith({ deps, tx, actor }: CommandContext, appId: string): Promise<string[]> {
  const attached = await listAddons(tx, actor.orgId, { appId });
  const going = attached.filter(({ attachedTo }) => attachedTo.length === 1);
  const shared = attached.filter(({ attachedTo }) => attachedTo.length > 1);
  const goes = await Promise.all(
    going.map(async ({ addon }) => `its ${kindWord(addon.kind)} ${addon.name}${await sizeOf(deps, addon)}`),
  );
  const [go, them] = goes.length === 1 ? ["goes", "it"] : ["go", "them"];
  return [
    ...(goes.length > 0 ? [`${goes.join(" and ").replace(/^i/, "I")} ${go} too, with all that is in ${them}.`] : []),
    ...shared.map(({ addon, attachedTo }) => {
      const others = attachedTo.filter((each) => each.appId !== appId).map(({ appName }) => appName);
      return `${addon.name} stays, which ${others.join(", ")} ${others.length === 1 ? "uses" : "use"} too.`;
    }),
  ];
}

/** ` (8.4 MB)`, or nothing where that cannot be told in a moment. */
async function sizeOf(deps: CommandContext["deps"], addon: AddonRow): Promise<string> {
  const { sizeBytes } = await deps.runtime.data.inspect(addon).catch((): AddonFigures => ({}));
  return sizeBytes === undefined ? "" : ` (${sizeWords(sizeBytes)})`;
}

/** An add-on of this org; of a kind, where one is meant. @throws UserError not_found */
export async function getAddonOf(db: Db, orgId: string, name: string, kind?: AddonKind): Promise<AddonRow> {
  const addon = await getAddon(db, orgId, name);
  if (kind === undefined || addon.kind === kind) return addon;
  throw new UserError(
    "bad_input",
    `${addon.name} is no ${kindWord(kind)} but a ${kindWord(addon.kind)}`,
    `zyndra addons:info ${addon.name}`,
  );
}

export function kindWord(kind: AddonKind): string {
  return kind === "postgres" ? "PostgreSQL database" : "volume";
}

async function attachTo(
  { tx, actor }: CommandContext,
  addon: AddonRow,
  app: AppRow,
  place: Place,
): Promise<AddonChanged> {
  const prefix = place.prefix ?? defaultPrefix(addon.kind, addon.name);
  const mountPath = addon.kind === "volume" ? (place.mountPath ?? defaultMountPath(addon.name)) : null;
  const deploy = await attachAddon(tx, addon, app, { prefix, mountPath }, actor);
  return changed(tx, addon, app, { prefix, mountPath, deploy });
}

async function changed(
  tx: Db,
  addon: AddonRow,
  app: AppRow | null,
  done: { prefix?: string; mountPath?: string | null; deploy?: DeployRow | null },
): Promise<AddonChanged> {
  return {
    name: addon.name,
    kind: addon.kind,
    state: addon.state,
    app: app?.name ?? null,
    names: done.prefix === undefined ? [] : attachedNames(addon.kind, done.prefix),
    mountPath: done.mountPath ?? null,
    deploy: done.deploy ? { id: done.deploy.id, number: done.deploy.number } : null,
    addonId: addon.id,
    after: await lastEventSeq(tx, addonTopic(addon.id)),
  };
}

/** `shop-postgres`, `shop-postgres-2` */
async function freeName(tx: Db, projectId: string, name: string): Promise<string> {
  const taken = new Set(await listAddonNames(tx, projectId));
  for (let count = 1; ; count++) {
    const candidate = count === 1 ? name : `${name}-${count}`;
    if (!taken.has(candidate)) return candidate;
  }
}

/** @throws UserError conflict */
async function refuseWhileAttached(db: Db, addon: AddonRow, force: boolean): Promise<void> {
  const [first, ...others] = (await listAttachedTo(db, [addon.id])).get(addon.id) ?? [];
  if (!first || force) return;
  const apps = [first, ...others].map(({ appName }) => appName).join(", ");
  throw new UserError(
    "conflict",
    `${addon.name} is attached to ${apps}`,
    `zyndra addons:detach ${addon.name} --app ${first.appName} first, or --force to take it from all of them`,
  );
}

// --- What is answered

export function createdView(result: AddonChanged): View {
  const made = `${result.name} is being made`;
  if (result.app === null) {
    const how = `zyndra ${result.kind === "volume" ? "volumes" : "addons"}:attach ${result.name} --app APP`;
    return {
      text: made,
      warnings: ["it is attached to no app, so that none gets its config vars"],
      hint: `${how} gives it to an app`,
    };
  }
  return { text: `${made}; ${given(result)}` };
}

export function attachedView(result: AddonChanged): View {
  return { text: `${result.name} is attached to ${result.app}; ${given(result)}` };
}

export function detachedView({ name, app, names, deploy }: AddonChanged): View {
  const next = deploy
    ? `deploy #${deploy.number} releases it without ${brief(names)}`
    : `the next push does without ${brief(names)}`;
  return { text: `${name} is detached from ${app}; ${next}`, hint: `what is in ${name} stays` };
}

export function destroyedView({ name, detachedFrom }: AddonDestroyed): View {
  const losing = detachedFrom.map(({ app, deploy }) =>
    deploy === null ? `${app} loses it` : `deploy #${deploy} releases ${app} without it`,
  );
  return { text: [`${name} is being removed`, ...losing].join("; ") };
}

/** `deploy #3 releases shop with DATABASE_URL and 5 more` */
function given({ app, names, deploy }: AddonChanged): string {
  return deploy
    ? `deploy #${deploy.number} releases ${app} with ${brief(names)}`
    : `the next push of ${app} takes ${brief(names)}`;
}

function brief(names: string[]): string {
  return names.length > 2 ? `${names[0]} and ${names.length - 1} more` : names.join(" and ");
}

/** The deploy where there is one, else the add-on until it is there. */
export function followChange(result: AddonChanged, detach: boolean): Follow | undefined {
  const { name: addonName, addonId, after, app, deploy } = result;
  if (app !== null && deploy) {
    return { kind: "deploy", appName: app, deployId: deploy.id, number: deploy.number, detach };
  }
  if (detach || (result.state !== "creating" && result.state !== "destroying")) return undefined;
  return result.state === "creating"
    ? { kind: "addon", addonName, addonId, until: "available", after, done: `${addonName} is there` }
    : { kind: "addon", addonName, addonId, until: "gone", after, done: `${addonName} is gone` };
}
