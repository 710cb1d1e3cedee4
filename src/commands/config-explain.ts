import { getApp } from "../db/apps.ts";
import { listScalings } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import { listConfigVars } from "../db/config-vars.ts";
import { findLiveRelease } from "../db/releases.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import { type ExplainFacts, explain } from "../model/explain.ts";
import { addonOf } from "../model/var-origin.ts";
import { readSnapshot } from "../pipeline/config-snapshot.ts";
import { readWanted } from "../pipeline/wanted.ts";
import { defineCommand } from "./command.ts";
import { AppInput } from "./inputs.ts";

export const explainConfig = defineCommand({
  name: "config:explain",
  aliases: ["explain"],
  summary: "Show every value that is in effect in what is live, and where it comes from",
  examples: ["config:explain shop"],
  needs: "viewer",
  changes: false,
  input: AppInput,
  words: { positional: ["app"] },
  async run({ deps, actor }, input) {
    const { db } = deps.db;
    const app = await getApp(db, actor.orgId, input.app);
    const release = await findLiveRelease(db, app);
    if (!release) {
      throw new UserError(
        "conflict",
        `nothing of ${app.name} is live yet`,
        "git push zyndra main brings it to life; zyndra validate reads the files of a folder",
      );
    }
    const facts = await gatherFacts(deps, app, release);
    return { app: app.name, version: release.version, values: explain(facts) };
  },
  view: ({ app, version, values }) => ({
    text: `${app} v${version}`,
    table: {
      columns: ["KEY", "VALUE", "FROM"],
      rows: values.map(({ key, value, from }) => [key, value, from]),
      none: "",
    },
  }),
});

async function gatherFacts(deps: Deps, app: AppRow, release: ReleaseRow): Promise<ExplainFacts> {
  const { db } = deps.db;
  const { formation, asked } = await readWanted(db, app, release);
  return {
    settings: release.settings,
    processTypes: release.processTypes,
    formation,
    releaseCommand: release.releaseCommand,
    scaledBy: await whoScaled(db, app, Object.keys(asked)),
    config: await configOf(deps, app, release),
    limits: deps.limits,
  };
}

/** The newest of the commands that changed how many of a type run; it may be gone from the audit's last rows. */
async function whoScaled(db: Db, app: AppRow, types: string[]): Promise<Record<string, string>> {
  const scalings = await listScalings(db, app);
  return Object.fromEntries(
    types.map((type) => {
      const last = scalings.find(({ types: named }) => named === "all" || named.includes(type));
      return [type, last ? `${last.command} by ${last.actorName}` : "ps:scale"];
    }),
  );
}

/** Values that somebody has set are shown by nobody but config --reveal. */
async function configOf(deps: Deps, app: AppRow, release: ReleaseRow): Promise<ExplainFacts["config"]> {
  const { vars, origins } = await readSnapshot(deps, deps.db.db, release);
  const set = new Map((await listConfigVars(deps.db.db, app.id)).map((row) => [row.name, row.updatedBy]));
  const { env = {}, origins: places = {} } = release.settings;
  return Object.entries(vars)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, value]) => {
      const origin = origins[name];
      if (origin !== undefined) return { name, from: origin, ...(addonOf(origin) === undefined ? { value } : {}) };
      const by = set.get(name);
      const isMade =
        env[name]?.generateBytes !== undefined && by !== undefined && places[`env.${name}`]?.startsWith(by);
      if (isMade) return { name, from: `${places[`env.${name}`]}, made once` };
      return { name, from: by === undefined ? "config:set, since unset" : `config:set by ${by}` };
    });
}
