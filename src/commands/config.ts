import { z } from "zod";
import { getApp, lockApp } from "../db/apps.ts";
import { insertAudit } from "../db/audit.ts";
import { deleteConfigVars, listConfigVars } from "../db/config-vars.ts";
import type { DeployRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { type Actor, mayAct } from "../model/actor.ts";
import { ConfigAssignments, ConfigName } from "../model/config-vars.ts";
import { readConfigVars, writeConfigVars } from "../pipeline/config-vars.ts";
import { startConfigDeploy } from "../pipeline/start.ts";
import { isMaskable } from "../secrets/masker.ts";
import { type CommandContext, defineCommand, type Follow } from "./command.ts";
import { ExistingApp } from "./inputs.ts";

export const setConfig = defineCommand({
  name: "config:set",
  summary: "Set config vars; what is live is released again with them",
  examples: ["config:set shop LOG_LEVEL=debug GREETING=hi"],
  needs: "developer",
  changes: true,
  input: z.strictObject({ app: ExistingApp, vars: ConfigAssignments, detach: z.boolean().default(false) }),
  words: { positional: ["app", "vars"], rest: true, flags: { detach: detachFlag() } },
  auditInput: ({ vars }) => ({ names: Object.keys(vars) }),
  async run(context, input) {
    const { deps, tx, actor } = context;
    const found = await getApp(tx, actor.orgId, input.app);
    const app = await lockApp(tx, found.id);
    await writeConfigVars(deps, tx, app, input.vars, actor.name);
    const names = Object.keys(input.vars);
    const unmasked = names.filter((name) => input.vars[name] !== "" && !isMaskable(input.vars[name]!));
    return changed(app.name, names, unmasked, await startConfigDeploy(tx, app, actor, names));
  },
  view: (result) => configView("set", result),
  follow: (result, { detach }) => followConfig(result, detach),
});

export const unsetConfig = defineCommand({
  name: "config:unset",
  summary: "Remove config vars; what is live is released again without them",
  examples: ["config:unset shop LOG_LEVEL"],
  needs: "developer",
  changes: true,
  input: z.strictObject({
    app: ExistingApp,
    names: z.array(ConfigName).min(1, "which config vars? For example: LOG_LEVEL"),
    detach: z.boolean().default(false),
  }),
  words: { positional: ["app", "names"], rest: true, flags: { detach: detachFlag() } },
  auditInput: ({ names }) => ({ names }),
  async run({ tx, actor }, input) {
    const found = await getApp(tx, actor.orgId, input.app);
    const app = await lockApp(tx, found.id);
    const gone = await deleteConfigVars(tx, app.id, input.names);
    const missing = input.names.filter((name) => !gone.includes(name));
    if (missing.length > 0) {
      const are = missing.length === 1 ? "is" : "are";
      throw new UserError(
        "not_found",
        `${missing.join(", ")} ${are} not set on ${app.name}; nothing was changed`,
        `zyndra config ${app.name} lists what is`,
      );
    }
    return changed(app.name, gone, [], await startConfigDeploy(tx, app, actor, gone));
  },
  view: (result) => configView("unset", result),
  follow: (result, { detach }) => followConfig(result, detach),
});

export const listConfig = defineCommand({
  name: "config:list",
  aliases: ["config"],
  summary: "List the config vars; values only with --reveal, for admins",
  examples: ["config shop", "config shop --reveal"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({ app: ExistingApp, reveal: z.boolean().default(false) }),
  words: {
    positional: ["app"],
    flags: { reveal: { kind: "switch", summary: "show the values; noted in the audit log" } },
  },
  async run(context, input) {
    const { deps, actor } = context;
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    const rows = await listConfigVars(deps.db.db, app.id);
    const values = input.reveal ? await reveal(context, actor, app) : undefined;
    return rows.map(({ name, updatedAt, updatedBy }) => ({
      name,
      updatedAt,
      updatedBy,
      ...(values && { value: values[name] }),
    }));
  },
  view: (vars, { app, reveal: revealed }) => ({
    table: {
      columns: ["NAME", "VALUE", "SET BY"],
      rows: vars.map(({ name, value, updatedBy }) => [name, revealed ? (value ?? "") : "(hidden)", updatedBy]),
      none: `${app} has no config vars.`,
    },
    ...(vars.length > 0 && !revealed
      ? { hint: `zyndra config ${app} --reveal shows the values to admins and owners` }
      : {}),
  }),
});

/** Values are for admins and owners, and each look is noted. */
async function reveal({ deps }: CommandContext, actor: Actor, app: { id: string; orgId: string; name: string }) {
  if (!mayAct(actor.role, "admin")) {
    throw new UserError(
      "forbidden",
      `the values of ${app.name} are shown to admins and owners; ${actor.name} is ${actor.role}`,
    );
  }
  return deps.db.transaction(async (tx) => {
    await insertAudit(tx, actor, { command: "config:list --reveal", subject: app.name, outcome: "done" });
    return readConfigVars(deps, tx, app);
  });
}

type ConfigChanged = {
  appName: string;
  names: string[];
  unmasked: string[];
  deploy: { id: string; number: number } | null;
};

function changed(appName: string, names: string[], unmasked: string[], deploy: DeployRow | null): ConfigChanged {
  return { appName, names, unmasked, deploy: deploy && { id: deploy.id, number: deploy.number } };
}

function configView(verb: "set" | "unset", { appName, names, unmasked, deploy }: ConfigChanged) {
  const are = names.length === 1 ? "is" : "are";
  const next = deploy ? `deploy #${deploy.number} releases it` : "the next push takes it, since nothing is live yet";
  return {
    text: `${names.join(", ")} ${are} ${verb} on ${appName}; ${next}`,
    warnings: unmasked.map((name) => `the value of ${name} is too short or too common to be hidden in logs`),
  };
}

function followConfig({ appName, deploy }: ConfigChanged, detach: boolean): Follow | undefined {
  return deploy ? { kind: "deploy", appName, deployId: deploy.id, number: deploy.number, detach } : undefined;
}

function detachFlag() {
  return { kind: "switch", summary: "do not wait for the deploy" } as const;
}
