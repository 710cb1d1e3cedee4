import { randomBytes } from "node:crypto";
import type { FileWarning } from "../model/app-file/app-json.ts";
import type { AppSettings } from "../model/app-settings.ts";
import type { Cause } from "../model/cause.ts";
import { type ConfigVars, readConfigVars, writeConfigVars } from "./config-vars.ts";
import { readEffectiveConfig } from "./effective-config.ts";
import type { Story } from "./story.ts";

/**
 * The config vars as they are now, after what the app's files ask to be made was made; or the names that are missing, all
 * at once, before anything is built.
 */
export async function prepareConfig(
  story: Story,
  settings: AppSettings,
): Promise<{ ok: true; vars: ConfigVars } | { ok: false; cause: Cause }> {
  const { deps, held } = story;
  await makeGenerated(story, settings);
  const config = await deps.db.persist(({ db }) => readEffectiveConfig(deps, db, held.app, settings), held.signal);
  story.hide(config);
  const cause = causeOfMissing(settings, config.vars, held.app.name);
  return cause ? { ok: false, cause } : { ok: true, vars: config.vars };
}

/** What keeps no deploy from going on: the files' own oddities, and vars that app.json expects. */
export function warningsFor(
  appName: string,
  { settings, warnings }: { settings: AppSettings; warnings: FileWarning[] },
  vars: ConfigVars,
): string[] {
  const expected = Object.entries(settings.env ?? {}).flatMap(([name, rule]) =>
    rule.expected && vars[name] === undefined ? [name] : [],
  );
  return [
    ...warnings
      .filter(({ unlessSet }) => unlessSet === undefined || vars[unlessSet] === undefined)
      .map(({ text }) => text),
    ...(expected.length === 0 ? [] : [`app.json asks for ${expected.join(", ")}: ${setLine(appName, expected)}`]),
  ];
}

/** Whom a var is set by that a file had made. */
export const generatingFiles = ["zyndra.yml", "app.json"] as const;

/** `generate`: made where it is not set, and from then on a config var like any other. */
async function makeGenerated(story: Story, { env = {}, origins = {} }: AppSettings): Promise<void> {
  const { deps } = story;
  const rules = Object.entries(env).filter(([, rule]) => rule.generateBytes !== undefined);
  if (rules.length === 0) return;
  const made = await story.commit(async (tx, app) => {
    const own = await readConfigVars(deps, tx, app);
    const missing = rules.filter(([name]) => own[name] === undefined);
    for (const [name, { generateBytes }] of missing) {
      const [file = "zyndra.yml"] = (origins[`env.${name}`] ?? "").split(":");
      await writeConfigVars(deps, tx, app, { [name]: randomBytes(generateBytes!).toString("hex") }, file);
    }
    return missing.map(([name]) => name);
  });
  for (const name of made)
    story.write({ kind: "text", text: `${name} is made: ${origins[`env.${name}`]} asks for it` });
}

function causeOfMissing(
  { env = {}, build, origins = {} }: AppSettings,
  vars: ConfigVars,
  appName: string,
): Cause | undefined {
  const required = Object.entries(env).flatMap(([name, rule]) => (rule.required ? [name] : []));
  const names = [...new Set([...required, ...(build?.secrets ?? [])])].filter((name) => vars[name] === undefined);
  if (names.length === 0) return undefined;
  const lines = names.map((name) => {
    const about = env[name]?.description;
    return `${name}${about ? `: ${about}` : ""} (${origins[`env.${name}`] ?? origins["build.secrets"]})`;
  });
  return {
    headline: names.length === 1 ? `${names[0]} is not set` : `${names.length} config vars are not set`,
    detail: lines.join(", "),
    hint: `${setLine(appName, names)}, then push again`,
  };
}

function setLine(appName: string, names: string[]): string {
  return `zyndra config:set ${appName} ${names.map((name) => `${name}=VALUE`).join(" ")}`;
}
