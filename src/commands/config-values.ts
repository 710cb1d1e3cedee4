import { z } from "zod";
import { getApp } from "../db/apps.ts";
import { listConfigVars } from "../db/config-vars.ts";
import { findLiveRelease } from "../db/releases.ts";
import type { AppRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import { formatDotenv, formatShell } from "../model/dotenv.ts";
import { clip, nearest } from "../model/names.ts";
import { type EffectiveConfig, ownVars, readEffectiveConfig } from "../pipeline/effective-config.ts";
import { ago } from "./ago.ts";
import { defineCommand } from "./command.ts";
import { ExistingApp } from "./inputs.ts";
import { noteReveal, revealFlag, valuesAreHidden } from "./reveal.ts";

const shellFlag = {
  kind: "switch",
  short: "s",
  summary: "as NAME=value lines, for a .env file or a shell",
} as const;

export const listConfig = defineCommand({
  name: "config:list",
  aliases: ["config"],
  summary: "List the config vars; values only with --reveal, to admins and owners",
  examples: ["config shop", "config shop --reveal", "config shop --shell --reveal"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({
    app: ExistingApp,
    reveal: z.boolean().default(false),
    shell: z.boolean().default(false),
  }),
  words: {
    positional: ["app"],
    flags: {
      reveal: revealFlag,
      shell: shellFlag,
    },
  },
  async run(context, input) {
    const { deps, actor } = context;
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    if (input.shell && !input.reveal) throw valuesAreHidden(`config ${app.name} --shell`);
    if (input.reveal) await noteReveal(context, app, "config:list");
    const { vars, origins } = await configNow(deps, app);
    const set = new Map((await listConfigVars(deps.db.db, app.id)).map((row) => [row.name, row]));
    return Object.keys(vars)
      .sort()
      .map((name) => ({
        name,
        ...(input.reveal ? { value: vars[name]! } : {}),
        // Where it comes from, if nobody has set it.
        origin: origins[name] ?? null,
        updatedBy: origins[name] === undefined ? (set.get(name)?.updatedBy ?? null) : null,
        updatedAt: origins[name] === undefined ? (set.get(name)?.updatedAt ?? null) : null,
      }));
  },
  view: (vars, { app, reveal, shell }) => {
    if (shell) return { raw: formatDotenv(Object.fromEntries(vars.map(({ name, value }) => [name, value!]))) };
    return {
      table: {
        columns: ["NAME", "VALUE", "SET BY", "WHEN"],
        rows: vars.map(({ name, value, origin, updatedBy, updatedAt }) => [
          name,
          reveal ? (value ?? "") : "(hidden)",
          origin ?? updatedBy ?? "",
          ago(updatedAt),
        ]),
        none: `${app} has no config vars.`,
      },
      ...(vars.length > 0 && !reveal ? { hint: `zyndra config ${app} --reveal shows the values` } : {}),
    };
  },
});

const whichVar = "which config var? For example: DATABASE_URL";

export const getConfig = defineCommand({
  name: "config:get",
  summary: "Print the value of a config var, for scripts; with --reveal, to admins and owners",
  examples: ["config:get shop DATABASE_URL --reveal", "config:get shop LOG_LEVEL GREETING --reveal"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({
    app: ExistingApp,
    names: z.array(z.string().max(200), { error: whichVar }).min(1, whichVar),
    reveal: z.boolean().default(false),
    shell: z.boolean().default(false),
  }),
  words: { positional: ["app", "names"], rest: true, flags: { reveal: revealFlag, shell: shellFlag } },
  async run(context, input) {
    const { deps, actor } = context;
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    const { vars } = await configNow(deps, app);
    for (const name of input.names) if (!Object.hasOwn(vars, name)) throw notSet(app, name, Object.keys(vars));
    if (!input.reveal) throw valuesAreHidden(`config:get ${app.name} ${input.names.join(" ")}`);
    await noteReveal(context, app, "config:get", input.names);
    return Object.fromEntries(input.names.map((name) => [name, vars[name]!]));
  },
  view: (vars, { shell }) => {
    const values = Object.values(vars);
    return { raw: values.length === 1 && !shell ? `${values[0]}\n` : formatDotenv(vars) };
  },
});

export const exportConfig = defineCommand({
  name: "config:export",
  summary: "Print the config vars that were set, so that config:import reads them back",
  examples: ["config:export shop --reveal", "config:export shop --reveal --format json"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({
    app: ExistingApp,
    reveal: z.boolean().default(false),
    format: z.enum(["env", "shell", "json"], { error: "--format is env, shell or json" }).default("env"),
  }),
  words: {
    positional: ["app"],
    flags: {
      reveal: revealFlag,
      format: { kind: "text", short: "f", summary: "env (a .env file, as it is), shell (export lines) or json" },
    },
  },
  async run(context, input) {
    const { deps, actor } = context;
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    if (!input.reveal) throw valuesAreHidden(`config:export ${app.name}`);
    await noteReveal(context, app, "config:export");
    const config = await configNow(deps, app);
    const own = Object.entries(ownVars(config)).sort(([a], [b]) => (a < b ? -1 : 1));
    return { vars: Object.fromEntries(own), leftOut: config.origins };
  },
  view: ({ vars, leftOut }, { format }) => {
    if (format === "json") return { raw: `${JSON.stringify(vars, null, 2)}\n` };
    const comments = Object.entries(leftOut)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, origin]) => `# ${name} comes from ${origin}\n`);
    return { raw: (format === "shell" ? formatShell(vars) : formatDotenv(vars)) + comments.join("") };
  },
});

/** What the next release would have, and where each var comes from; what files say is what they say in the live release. */
async function configNow(deps: Deps, app: AppRow): Promise<EffectiveConfig> {
  const live = await findLiveRelease(deps.db.db, app);
  return readEffectiveConfig(deps, deps.db.db, app, live?.settings ?? {});
}

function notSet(app: AppRow, name: string, names: string[]): UserError {
  const near = nearest(name, names);
  const meant = near === undefined ? "" : `. Did you mean ${near}?`;
  return new UserError(
    "not_found",
    `${clip(name)} is not set on ${app.name}${meant}`,
    `zyndra config ${app.name} lists what is`,
  );
}
