import { z } from "zod";
import { getApp, getFormation, setFormation } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { findLiveRelease } from "../db/releases.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { saidFormation } from "../model/app-settings.ts";
import { changedFormation, type FormationChanges, FormationChangeWords } from "../model/formation-changes.ts";
import { clip } from "../model/names.ts";
import { effectiveFormation, type Formation } from "../model/process-types.ts";
import { appMasker } from "../pipeline/masking.ts";
import { ago } from "./ago.ts";
import { appChanged, followChange, takeApp } from "./app-change.ts";
import { defineCommand } from "./command.ts";
import { AppInput, ExistingApp } from "./inputs.ts";
import { unknownType } from "./live-formation.ts";
import { listShownRuns } from "./run.ts";

export const listProcesses = defineCommand({
  name: "ps:list",
  aliases: ["ps"],
  summary: "Show what runs",
  examples: ["ps shop"],
  needs: "viewer",
  changes: false,
  input: AppInput,
  words: { positional: ["app"] },
  async run({ deps, actor }, input) {
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    const release = await findLiveRelease(deps.db.db, app);
    const masker = await appMasker(deps, app);
    const processes = (await deps.runtime.processes.list(app.id)).map(({ reason, ...process }) => ({
      ...process,
      // A reason is made of what the process has printed last.
      ...(reason === undefined ? {} : { reason: masker.mask(reason) }),
    }));
    const formation = release ? await formationNow(deps.db.db, app, release) : {};
    const commands = Object.fromEntries(
      Object.entries(release?.processTypes ?? {}).map(([type, { command }]) => [type, command]),
    );
    return { processes, formation, commands, runs: await listShownRuns(deps, app) };
  },
  view: ({ processes, formation, commands, runs }, { app }) => ({
    text: Object.entries(formation)
      .map(([type, count]) => `${type}=${count}: ${commands[type]}`)
      .join("\n"),
    table: {
      columns: ["PROCESS", "STATE", "RELEASE", "SINCE", "RESTARTS", ""],
      rows: [
        ...processes.map((process) => [
          process.name,
          process.state,
          `v${process.version}`,
          ago(process.since),
          String(process.restarts),
          process.reason ?? "",
        ]),
        ...runs.map(({ name, version, since, command, by }) => [
          ...[name, "up", `v${version}`, ago(since), "", `${clip(command)} (${by})`],
        ]),
      ],
      none: `Nothing of ${app} runs.`,
    },
  }),
});

export const scale = defineCommand({
  name: "ps:scale",
  aliases: ["scale"],
  summary: "Change how many processes run; without a change, show it",
  examples: ["ps:scale shop web=2 worker=1", "ps:scale shop web+1", "ps:scale shop"],
  needs: "developer",
  changes: ({ changes }) => Object.keys(changes).length > 0,
  input: z.strictObject({ app: ExistingApp, changes: FormationChangeWords.prefault([]) }),
  words: { positional: ["app", "changes"], rest: true },
  auditInput: ({ changes }) => ({ changes }),
  async run(context, input) {
    const { tx, actor } = context;
    const isChange = Object.keys(input.changes).length > 0;
    const app = isChange ? await takeApp(context, input.app) : await getApp(tx, actor.orgId, input.app);
    const release = await findLiveRelease(tx, app);
    const before = await formationNow(tx, app, release);
    if (!isChange) return { ...(await appChanged(context, app, null)), formation: before };
    if (release) refuseUnknownType(app, input.changes, Object.keys(release.processTypes));
    const counts = changedFormation(release ? before : { web: 1, ...before }, input.changes);
    if (typeof counts === "string")
      throw new UserError("bad_input", counts, `zyndra ps:scale ${app.name} shows what there is`);
    const change = await appChanged(context, app, await setFormation(tx, app, counts));
    return { ...change, formation: { ...before, ...counts } };
  },
  view: ({ appName, formation, isLive, revision }) => {
    const counts = Object.entries(formation).map(([type, count]) => `${type}=${count}`);
    if (revision === null) return { text: counts.join(" ") || `Nothing of ${appName} was deployed yet.` };
    const later = isLive ? "" : "; it takes effect with the first push";
    return { text: `${appName} is asked to run ${counts.join(" ")}${later}` };
  },
  follow: (result) => followChange(result),
});

/** How many of each type are to run; before the first release, what was asked for. */
async function formationNow(db: Db, app: AppRow, release: ReleaseRow | null): Promise<Formation> {
  const asked = await getFormation(db, app.id);
  return release ? effectiveFormation(release.processTypes, asked, saidFormation(release.settings)) : asked;
}

/** @throws UserError bad_input with the types that there are */
function refuseUnknownType(app: AppRow, changes: FormationChanges, types: string[]): void {
  const unknown = Object.keys(changes).find((type) => !types.includes(type));
  if (unknown !== undefined) throw unknownType(app, unknown, types);
}
