import { z } from "zod";
import { lockNamedApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { deleteConfigVars } from "../db/config-vars.ts";
import { listUnfinished } from "../db/deploys.ts";
import { findLiveRelease } from "../db/releases.ts";
import type { AppRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import { ConfigAssignments, ConfigName } from "../model/config-vars.ts";
import { readUnreleasedAddonVars } from "../pipeline/addon-vars.ts";
import { refuseAttachedNames } from "../pipeline/addons.ts";
import { readSnapshot } from "../pipeline/config-snapshot.ts";
import { type ConfigVars, changedNames, readConfigVars, writeConfigVars } from "../pipeline/config-vars.ts";
import { ownVars } from "../pipeline/effective-config.ts";
import { startConfigDeploy } from "../pipeline/start.ts";
import { isMaskable } from "../secrets/masker.ts";
import { type CommandContext, defineCommand } from "./command.ts";
import type { Follow } from "./follow.ts";
import { detachFlag, ExistingApp } from "./inputs.ts";

export const setConfig = defineCommand({
  name: "config:set",
  summary: "Set config vars; what is live is released again with them",
  examples: ["config:set shop LOG_LEVEL=debug GREETING=hi"],
  needs: "developer",
  changes: true,
  input: z.strictObject({
    app: ExistingApp,
    vars: ConfigAssignments,
    /** Removed in the same release, where they are set: for a file that replaces what there is. */
    unset: z.array(ConfigName).default([]),
    detach: z.boolean().default(false),
  }),
  words: { positional: ["app", "vars"], rest: true, flags: { detach: detachFlag } },
  auditInput: ({ vars, unset }) => ({ names: Object.keys(vars), ...(unset.length > 0 ? { unset } : {}) }),
  async run(context, input) {
    const { deps, tx, actor } = context;
    const app = await lockNamedApp(tx, actor.orgId, input.app);
    await refuseAttachedNames(tx, app, Object.keys(input.vars));
    const before = await readConfigVars(deps, tx, app);
    const [same, set] = partition(Object.keys(input.vars), (name) => before[name] === input.vars[name]);
    const changed = Object.fromEntries(set.map((name) => [name, input.vars[name]!]));
    await writeConfigVars(deps, tx, app, changed, actor.name);
    const unset = await deleteConfigVars(
      tx,
      app.id,
      input.unset.filter((name) => !(name in input.vars)),
    );
    return release(context, app, { set, unset, same, unmasked: unmaskedNames(changed) });
  },
  view: (result) => configView(result),
  follow: (result, { detach }) => followConfig(result, detach),
});

const whichVars = "which config vars? For example: LOG_LEVEL";

export const unsetConfig = defineCommand({
  name: "config:unset",
  summary: "Remove config vars; what is live is released again without them",
  examples: ["config:unset shop LOG_LEVEL"],
  needs: "developer",
  changes: true,
  input: z.strictObject({
    app: ExistingApp,
    names: z.array(ConfigName, { error: whichVars }).min(1, whichVars),
    detach: z.boolean().default(false),
  }),
  words: { positional: ["app", "names"], rest: true, flags: { detach: detachFlag } },
  auditInput: ({ names }) => ({ names }),
  async run(context, input) {
    const { tx, actor } = context;
    const app = await lockNamedApp(tx, actor.orgId, input.app);
    await refuseAttachedNames(tx, app, input.names);
    const unset = await deleteConfigVars(tx, app.id, input.names);
    const missing = input.names.filter((name) => !unset.includes(name));
    if (missing.length > 0) {
      throw new UserError(
        "not_found",
        `${missing.join(", ")} ${are(missing)} not set on ${app.name}; nothing was changed`,
        `zyndra config ${app.name} lists what is`,
      );
    }
    return release(context, app, { set: [], unset, same: [], unmasked: [] });
  },
  view: (result) => configView(result),
  follow: (result, { detach }) => followConfig(result, detach),
});

type Changed = {
  set: string[];
  unset: string[];
  /** Asked for as they were already. */
  same: string[];
  /** Set now, and too short or too common to be hidden in logs. */
  unmasked: string[];
};
type ConfigChanged = Changed & { appName: string; isLive: boolean; deploy: { id: string; number: number } | null };

/** One release for all that was changed, and none where everything is as it was. */
async function release({ deps, tx, actor }: CommandContext, app: AppRow, changed: Changed): Promise<ConfigChanged> {
  const names = [...changed.set, ...changed.unset.map((name) => `${name} removed`)];
  const waiting = names.length > 0 ? names : await unreleasedNames(deps, tx, app);
  const deploy = waiting.length > 0 ? await startConfigDeploy(tx, app, actor, waiting) : null;
  return {
    ...changed,
    appName: app.name,
    isLive: app.liveReleaseId !== null,
    deploy: deploy && { id: deploy.id, number: deploy.number },
  };
}

/** Vars that are set or come from add-ons and are not so in what is live, with nothing on its way that brings them: a deploy of theirs has failed. */
async function unreleasedNames(deps: Deps, tx: Db, app: AppRow): Promise<string[]> {
  const live = await findLiveRelease(tx, app);
  if (!live || (await listUnfinished(tx, app.id)).length > 0) return [];
  const { vars, origins } = await readSnapshot(deps, tx, live);
  // What the app's files say in place of a var that is set is released as they say it.
  const isOwn = (name: string) => origins[name] === undefined;
  const own = changedNames(ownVars({ vars, origins }), await readConfigVars(deps, tx, app)).filter(isOwn);
  return [...own, ...(await readUnreleasedAddonVars(deps, tx, app, live)).map(({ name }) => name)];
}

function unmaskedNames(vars: ConfigVars): string[] {
  return Object.keys(vars).filter((name) => vars[name] !== "" && !isMaskable(vars[name]!));
}

function configView({ appName, set, unset, same, unmasked, isLive, deploy }: ConfigChanged) {
  const done = [
    ...(set.length > 0 ? [`${set.join(", ")} ${are(set)} set`] : []),
    ...(unset.length > 0 ? [`${unset.join(", ")} ${are(unset)} unset`] : []),
    ...(same.length > 0 ? [`${same.join(", ")} ${are(same)} as before`] : []),
  ].join(", ");
  return {
    text: `${done} on ${appName}; ${whatFollows(set.length + unset.length, isLive, deploy)}`,
    warnings: unmasked.map((name) => `the value of ${name} is too short or too common to be hidden in logs`),
  };
}

function whatFollows(changes: number, isLive: boolean, deploy: { number: number } | null): string {
  if (deploy) return `deploy #${deploy.number} releases ${changes > 0 ? "it" : "what was not released yet"}`;
  if (changes > 0) return "the next push takes it, since nothing is live yet";
  return isLive ? "nothing to release" : "nothing to do";
}

function followConfig({ appName, deploy }: ConfigChanged, detach: boolean): Follow | undefined {
  return deploy ? { kind: "deploy", appName, deployId: deploy.id, number: deploy.number, detach } : undefined;
}

const are = (names: string[]) => (names.length === 1 ? "is" : "are");

function partition<T>(items: T[], isFirst: (item: T) => boolean): [T[], T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}
