import { z } from "zod";
import { getApp, getFormation, insertRing, lockApp, setFormation } from "../db/apps.ts";
import { lastEventSeq } from "../db/events.ts";
import { findLiveRelease } from "../db/releases.ts";
import { UserError } from "../errors.ts";
import { appTopic } from "../model/event.ts";
import { FormationChanges } from "../model/formation-changes.ts";
import { nearest } from "../model/names.ts";
import { effectiveFormation } from "../model/process-types.ts";
import { appMasker } from "../pipeline/masking.ts";
import { ago } from "./apps.ts";
import { defineCommand } from "./command.ts";
import { AppInput, ExistingApp } from "./inputs.ts";

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
    const formation = effectiveFormation(release?.processTypes ?? {}, await getFormation(deps.db.db, app.id));
    const commands = Object.fromEntries(
      Object.entries(release?.processTypes ?? {}).map(([type, { command }]) => [type, command]),
    );
    return { processes, formation, commands };
  },
  view: ({ processes, formation, commands }, { app }) => ({
    text: Object.entries(formation)
      .map(([type, count]) => `${type}=${count}: ${commands[type]}`)
      .join("\n"),
    table: {
      columns: ["PROCESS", "STATE", "RELEASE", "SINCE", "RESTARTS", ""],
      rows: processes.map((process) => [
        process.name,
        process.state,
        `v${process.version}`,
        ago(process.since),
        String(process.restarts),
        process.reason ?? "",
      ]),
      none: `Nothing of ${app} runs.`,
    },
  }),
});

export const scale = defineCommand({
  name: "ps:scale",
  aliases: ["scale"],
  summary: "Change how many processes run",
  examples: ["ps:scale shop web=2 worker=1"],
  needs: "developer",
  changes: true,
  input: z.strictObject({ app: ExistingApp, changes: FormationChanges }),
  words: { positional: ["app", "changes"], rest: true },
  auditInput: ({ changes }) => ({ changes }),
  async run({ tx, actor }, input) {
    const app = await lockApp(tx, (await getApp(tx, actor.orgId, input.app)).id);
    const release = await findLiveRelease(tx, app);
    const types = Object.keys(release?.processTypes ?? {});
    const unknown = Object.keys(input.changes).find((type) => release && !types.includes(type));
    if (unknown !== undefined) {
      const meant = nearest(unknown, types);
      const hint = `its process types: ${types.join(", ")}${meant ? `; did you mean ${meant}=${input.changes[unknown]}?` : ""}`;
      throw new UserError("bad_input", `${app.name} has no process type "${unknown}"`, hint);
    }
    const after = await lastEventSeq(tx, appTopic(app.id));
    const revision = await setFormation(tx, app, input.changes);
    await insertRing(tx, app);
    const formation = release
      ? effectiveFormation(release.processTypes, await getFormation(tx, app.id))
      : input.changes;
    return { appName: app.name, appId: app.id, formation, revision, after, isLive: release !== null };
  },
  view: ({ appName, formation, isLive }) => ({
    text: `${appName} is asked to run ${Object.entries(formation)
      .map(([type, count]) => `${type}=${count}`)
      .join(" ")}${isLive ? "" : "; it takes effect with the first push"}`,
  }),
  follow: ({ appName, appId, revision, after, isLive }) =>
    isLive ? { kind: "app", appName, appId, until: { applied: revision }, after } : undefined,
});
