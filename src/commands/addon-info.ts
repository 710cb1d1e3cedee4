import { z } from "zod";
import { type AttachedTo, listAddons, listAttachedTo } from "../db/addons.ts";
import { getApp } from "../db/apps.ts";
import type { AddonRow } from "../db/schema.ts";
import type { AddonKind } from "../model/addons.ts";
import { attachedNames } from "../model/addons.ts";
import { sizeWords } from "../model/size.ts";
import type { View } from "../model/view.ts";
import { orgKeyOf } from "../pipeline/config-vars.ts";
import { openAccess } from "../pipeline/effective-config.ts";
import type { AddonFigures } from "../runtime/runtime.ts";
import { getAddonOf, kindWord } from "./addon-changes.ts";
import { ago } from "./ago.ts";
import { type Command, type CommandContext, defineCommand } from "./command.ts";
import { ExistingAddon, ExistingApp } from "./inputs.ts";

const ListInput = z.strictObject({ app: ExistingApp.optional(), all: z.boolean().default(false) });
const allFlag = { kind: "switch", summary: "of all apps, in a folder that has one" } as const;

export const listAllAddons = defineCommand({
  name: "addons:list",
  aliases: ["addons"],
  summary: "List databases and volumes, and what they are attached to",
  examples: ["addons", "addons --app shop"],
  needs: "viewer",
  changes: false,
  input: ListInput,
  words: { positional: ["app"], flags: { all: allFlag } },
  run: (context, input) => list(context, input, undefined),
  view: (addons, { app, all }) => ({
    table: {
      columns: ["NAME", "KIND", "STATE", "ATTACHED TO", ""],
      rows: addons.map(({ name, kind, state, attachedTo, problem }) => [
        name,
        kind,
        state,
        attachedTo.map(placeWords).join(", "),
        problem ?? "",
      ]),
      none: app === undefined || all ? "There are no add-ons yet." : `${app} has no add-ons.`,
    },
    ...(addons.length === 0 ? { hint: `zyndra addons:create postgres --app ${app ?? "APP"} makes a database` } : {}),
  }),
});

export const listAllVolumes = defineCommand({
  name: "volumes:list",
  aliases: ["volumes"],
  summary: "List volumes, and where they are mounted",
  examples: ["volumes", "volumes --app shop"],
  needs: "viewer",
  changes: false,
  input: ListInput,
  words: { positional: ["app"], flags: { all: allFlag } },
  run: (context, input) => list(context, input, "volume"),
  view: (volumes, { app, all }) => ({
    table: {
      columns: ["NAME", "STATE", "ATTACHED TO", ""],
      rows: volumes.map(({ name, state, attachedTo, problem }) => [
        name,
        state,
        attachedTo.map(placeWords).join(", "),
        problem ?? "",
      ]),
      none: app === undefined || all ? "There are no volumes yet." : `${app} has no volumes.`,
    },
    ...(volumes.length === 0 ? { hint: `zyndra volumes:create uploads --app ${app ?? "APP"} makes one` } : {}),
  }),
});

function showCommand({
  kind,
  ...about
}: Pick<Command, "name" | "summary" | "examples"> & { kind?: AddonKind }): Command {
  return defineCommand({
    ...about,
    needs: "viewer",
    changes: false,
    input: z.strictObject({ name: ExistingAddon }),
    words: { positional: ["name"] },
    run: (context, { name }) => show(context, name, kind),
    view: shownView,
  });
}

export const showAddon = showCommand({
  name: "addons:info",
  summary: "Show one add-on: its state, its size, what it is attached to",
  examples: ["addons:info orders"],
});

export const showVolume = showCommand({
  kind: "volume",
  name: "volumes:info",
  summary: "Show one volume: its size, its folder, where it is mounted",
  examples: ["volumes:info uploads"],
});

async function list({ deps, actor }: CommandContext, input: z.output<typeof ListInput>, kind: AddonKind | undefined) {
  const { db } = deps.db;
  const app = input.app === undefined || input.all ? undefined : await getApp(db, actor.orgId, input.app);
  const rows = await listAddons(db, actor.orgId, { appId: app?.id, kind });
  return rows.map(({ addon, attachedTo }) => ({
    name: addon.name,
    kind: addon.kind,
    state: addon.state,
    attachedTo: attachedTo.map((each) => placeOf(addon, each)),
    problem: addon.cause?.headline ?? null,
    createdBy: addon.createdBy,
    createdAt: addon.createdAt,
  }));
}

async function show(context: CommandContext, name: string, kind: AddonKind | undefined) {
  const { deps, actor } = context;
  const { db } = deps.db;
  const addon = await getAddonOf(db, actor.orgId, name, kind);
  const attachedTo = (await listAttachedTo(db, [addon.id])).get(addon.id) ?? [];
  const figures: AddonFigures = await deps.runtime.data.inspect(addon).catch((error) => {
    deps.log.warn({ err: error, addon: addon.name, id: addon.id }, "an add-on could not be looked at");
    return {};
  });
  return {
    name: addon.name,
    id: addon.id,
    kind: addon.kind,
    state: addon.state,
    cause: addon.cause,
    attachedTo: attachedTo.map((each) => placeOf(addon, each)),
    sizeBytes: figures.sizeBytes ?? null,
    connections: figures.connections ?? null,
    place: await reachedAt(context, addon),
    createdBy: addon.createdBy,
    createdAt: addon.createdAt,
  };
}

type Shown = Awaited<ReturnType<typeof show>>;

function shownView(addon: Shown): View {
  const { cause, connections, place } = addon;
  const [attached] = addon.attachedTo;
  return {
    fields: [
      { name: "Name", value: addon.name },
      { name: "Kind", value: kindWord(addon.kind) },
      { name: "State", value: addon.state },
      ...(cause ? [{ name: "Why", value: [cause.headline, cause.detail].filter(Boolean).join(": ") }] : []),
      ...(cause?.hint === undefined ? [] : [{ name: "To do", value: cause.hint }]),
      { name: "Attached to", value: addon.attachedTo.map(placeWords).join(", ") || "nothing" },
      ...(attached ? [{ name: "Config vars", value: attached.names.join(", ") }] : []),
      { name: "Size", value: addon.sizeBytes === null ? "not known" : sizeWords(addon.sizeBytes) },
      ...(connections ? [{ name: "Connections", value: `${connections.open} of ${connections.most}` }] : []),
      ...(place === null ? [] : [{ name: addon.kind === "volume" ? "Folder" : "Address", value: place }]),
      { name: "Made", value: `${ago(addon.createdAt)} by ${addon.createdBy}` },
    ],
    ...(attached && addon.kind === "postgres" ? { hint: openHint(attached) } : {}),
  };
}

function openHint({ app, names }: Place): string {
  const url = names[0]!;
  return `zyndra run ${app} 'psql $${url}' opens it, where psql is installed; zyndra config:get ${app} ${url} --reveal prints its address`;
}

type Place = { app: string; prefix: string; mountPath: string | null; names: string[] };

function placeOf(addon: AddonRow, { appName, prefix, mountPath }: AttachedTo): Place {
  return { app: appName, prefix, mountPath, names: attachedNames(addon.kind, prefix) };
}

/** `shop as DATABASE`, `shop at /app/uploads` */
function placeWords({ app, prefix, mountPath }: Place): string {
  return mountPath === null ? `${app} as ${prefix}` : `${app} at ${mountPath}`;
}

/** Where it is found, without what opens it. */
async function reachedAt({ deps }: CommandContext, addon: AddonRow): Promise<string | null> {
  if (addon.sealedAccess === null || addon.state !== "available") return null;
  const key = await orgKeyOf(deps, deps.db.db, addon.orgId);
  const access = openAccess(key, addon.orgId, addon.id, addon.sealedAccess);
  return "folder" in access ? access.folder : `${access.host}:${access.port}, database and login ${access.database}`;
}
