import { randomUUID } from "node:crypto";
import { z } from "zod";
import { getApp, lockNamedApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { deleteConfigVars, listConfigVars, type SealedVar } from "../db/config-vars.ts";
import { listUnfinished } from "../db/deploys.ts";
import { findLiveRelease, getRollbackTarget, listReleases } from "../db/releases.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { statusWords } from "../model/deploy.ts";
import { processChanges } from "../model/release-diff.ts";
import { withoutAttachedNames } from "../pipeline/addons.ts";
import { readSnapshot } from "../pipeline/config-snapshot.ts";
import { changedNames, readConfigVars, writeConfigVars } from "../pipeline/config-vars.ts";
import { ownVars } from "../pipeline/effective-config.ts";
import { generatingFiles } from "../pipeline/env-rules.ts";
import { startDeploy } from "../pipeline/start.ts";
import { ago } from "./ago.ts";
import { defineCommand } from "./command.ts";
import { Count, detachFlag, ExistingApp, ReleaseVersion } from "./inputs.ts";
import { moreHint, mostRows } from "./listing.ts";
import { releaseState } from "./release-info.ts";

export const listAllReleases = defineCommand({
  name: "releases:list",
  aliases: ["releases"],
  summary: "List an app's releases, newest first",
  examples: ["releases shop"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({ app: ExistingApp, num: Count(15, mostRows) }),
  words: { positional: ["app"], flags: { num: { kind: "number", short: "n", summary: "how many" } } },
  async run({ deps, actor }, { app: name, num }) {
    const app = await getApp(deps.db.db, actor.orgId, name);
    const rows = await listReleases(deps.db.db, app.id, num);
    return rows.map(({ release, deployStatus, cause }) => ({
      version: release.version,
      state: releaseState(app, release, deployStatus),
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
        release.state === "past" ? "" : statusWords(release.state),
        release.description,
        release.by,
        ago(release.createdAt),
        release.problem ?? "",
      ]),
      none: `${app} has no releases yet: git push zyndra main makes the first.`,
    },
    // Versions have no gaps, so the newest tells how many there are.
    ...moreHint(releases.length, releases[0]?.version, { command: "releases", app }),
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
    flags: { detach: detachFlag },
  },
  auditInput: ({ version }) => ({ version: version ?? "the one before" }),
  async run({ deps, tx, actor }, input) {
    const app = await lockNamedApp(tx, actor.orgId, input.app);
    const target = await getRollbackTarget(tx, app, input.version);
    const live = await findLiveRelease(tx, app);
    // The vars go back at once: what is set from now on is newer than the rollback, and wins.
    const wanted = await withoutAttachedNames(tx, app, ownVars(await readSnapshot(deps, tx, target)));
    const own = await listConfigVars(tx, app.id);
    const kept = new Set(
      own.filter((row) => !Object.hasOwn(wanted, row.name) && isFiles(row, target)).map(({ name }) => name),
    );
    const restored = changedNames(await readConfigVars(deps, tx, app), wanted).filter((name) => !kept.has(name));
    if (target.id === live?.id && restored.length === 0) throw await alreadyLive(tx, app, target);
    const unwanted = restored.filter((name) => !Object.hasOwn(wanted, name));
    await deleteConfigVars(tx, app.id, unwanted);
    const assignments = Object.fromEntries(
      restored.filter((name) => Object.hasOwn(wanted, name)).map((name) => [name, wanted[name]!]),
    );
    await writeConfigVars(deps, tx, app, assignments, actor.name);
    const { deploy } = await startDeploy(deps, tx, app.id, actor, {
      requestId: randomUUID(),
      kind: "rollback",
      title: `rollback to v${target.version}`,
      commit: target.commit,
      targetReleaseId: target.id,
    });
    return {
      appName: app.name,
      version: target.version,
      description: target.description,
      from: live && { version: live.version, description: live.description },
      restored,
      unset: unwanted,
      processes: live ? processChanges(live, target) : [],
      deploy: { id: deploy.id, number: deploy.number },
    };
  },
  view: ({ appName, version, description, from, restored, unset, processes, deploy }) => ({
    text: [
      `${appName} goes back${from ? ` from v${from.version} (${from.description})` : ""} to v${version} (${description}): deploy #${deploy.number}`,
      ...planLine(
        `set again as in v${version}`,
        restored.filter((name) => !unset.includes(name)),
      ),
      ...planLine(`unset, since v${version} did not have it`, unset),
      ...processes.map(({ name, change, to }) => `  process ${name} ${change === "removed" ? "goes" : `runs ${to}`}`),
    ].join("\n"),
  }),
  follow: ({ appName, deploy }, { detach }) => ({
    kind: "deploy",
    appName,
    deployId: deploy.id,
    number: deploy.number,
    detach,
  }),
});

/**
 * A var that is the app's files' business, and that going back leaves alone: one that they had made once (another one would
 * not open what was sealed with it), and one that the target's files overrule, whatever it was.
 */
function isFiles({ name, updatedBy }: SealedVar, { settings }: ReleaseRow): boolean {
  return (generatingFiles as readonly string[]).includes(updatedBy) || settings.env?.[name]?.sync === true;
}

/** Why there is no going back to where the app is. */
async function alreadyLive(tx: Db, app: AppRow, { version }: ReleaseRow): Promise<UserError> {
  const [unfinished] = await listUnfinished(tx, app.id);
  return new UserError(
    "conflict",
    `v${version} of ${app.name} is live, with the config vars that are set: there is nothing to go back to`,
    unfinished
      ? `zyndra deploys:cancel ${app.name} ${unfinished.number} ends what is on its way`
      : `zyndra releases ${app.name} lists what was live before`,
  );
}

/** A line of what a rollback will change, where there is something. */
function planLine(what: string, names: string[]): string[] {
  return names.length === 0 ? [] : [`  ${what}: ${names.join(", ")}`];
}
