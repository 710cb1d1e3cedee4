import { randomUUID } from "node:crypto";
import { z } from "zod";
import { getApp, lockApp } from "../db/apps.ts";
import { deleteConfigVars, listConfigVars } from "../db/config-vars.ts";
import { getRollbackTarget, listReleases } from "../db/releases.ts";
import { readSnapshot } from "../pipeline/config-snapshot.ts";
import { changedNames, readConfigVars, writeConfigVars } from "../pipeline/config-vars.ts";
import { ownVars } from "../pipeline/effective-config.ts";
import { startDeploy } from "../pipeline/start.ts";
import { ago } from "./apps.ts";
import { defineCommand } from "./command.ts";
import { Count, ExistingApp, ReleaseVersion } from "./inputs.ts";

export const listAllReleases = defineCommand({
  name: "releases:list",
  aliases: ["releases"],
  summary: "List an app's releases, newest first",
  examples: ["releases shop"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({ app: ExistingApp, num: Count(15, 500) }),
  words: { positional: ["app"], flags: { num: { kind: "number", short: "n", summary: "how many" } } },
  async run({ deps, actor }, { app: name, num }) {
    const app = await getApp(deps.db.db, actor.orgId, name);
    const rows = await listReleases(deps.db.db, app.id, num);
    return rows.map(({ release, deployStatus, cause }) => ({
      version: release.version,
      state:
        release.id === app.liveReleaseId ? "live" : release.liveAt ? "" : deployStatus === "live" ? "" : deployStatus,
      description: release.description,
      by: release.createdBy,
      createdAt: release.createdAt,
      commit: release.commit,
      problem: release.liveAt ? null : (cause?.headline ?? null),
    }));
  },
  view: (releases, { app }) => ({
    table: {
      columns: ["VERSION", "STATE", "WHAT", "BY", "WHEN", ""],
      rows: releases.map((release) => [
        `v${release.version}`,
        release.state.replace("_", " "),
        release.description,
        release.by,
        ago(release.createdAt),
        release.problem ?? "",
      ]),
      none: `${app} has no releases yet: git push zyndra main makes the first.`,
    },
  }),
});

export const rollback = defineCommand({
  name: "releases:rollback",
  aliases: ["rollback"],
  summary: "Bring an older release's image and config back, as a new release",
  examples: ["releases:rollback shop", "releases:rollback shop v3"],
  needs: "developer",
  changes: true,
  input: z.strictObject({ app: ExistingApp, version: ReleaseVersion.optional(), detach: z.boolean().default(false) }),
  words: {
    positional: ["app", "version"],
    flags: { detach: { kind: "switch", summary: "do not wait for the deploy" } },
  },
  auditInput: ({ version }) => ({ version: version ?? "the one before" }),
  async run({ deps, tx, actor }, input) {
    const app = await lockApp(tx, (await getApp(tx, actor.orgId, input.app)).id);
    const target = await getRollbackTarget(tx, app, input.version);
    // The vars go back at once: what is set from now on is newer than the rollback, and wins.
    const wanted = ownVars(await readSnapshot(deps, tx, target));
    const restored = changedNames(await readConfigVars(deps, tx, app), wanted);
    const unwanted = (await listConfigVars(tx, app.id)).map(({ name }) => name).filter((name) => !(name in wanted));
    await deleteConfigVars(tx, app.id, unwanted);
    const assignments = Object.fromEntries(
      restored.filter((name) => name in wanted).map((name) => [name, wanted[name]!]),
    );
    await writeConfigVars(deps, tx, app, assignments, actor.name);
    const { deploy } = await startDeploy(deps, tx, app.id, actor, {
      requestId: randomUUID(),
      kind: "rollback",
      title: `rollback to v${target.version}`,
      commit: target.commit,
      targetReleaseId: target.id,
    });
    return { appName: app.name, version: target.version, restored, deploy: { id: deploy.id, number: deploy.number } };
  },
  view: ({ appName, version, restored, deploy }) => ({
    text: `${appName} goes back to v${version}: deploy #${deploy.number}`,
    warnings: restored.length > 0 ? [`config vars are as they were in v${version}: ${restored.join(", ")}`] : [],
  }),
  follow: ({ appName, deploy }, { detach }) => ({
    kind: "deploy",
    appName,
    deployId: deploy.id,
    number: deploy.number,
    detach,
  }),
});
