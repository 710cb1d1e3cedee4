import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Db } from "../db/client.ts";
import { noteDeploy } from "../db/deploys.ts";
import { findLiveRelease, findReleaseOf, insertRelease } from "../db/releases.ts";
import type { AppRow, BuildRow, ReleaseRow } from "../db/schema.ts";
import type { AppSettings } from "../model/app-settings.ts";
import { shortId } from "../model/deploy.ts";
import { addonOf } from "../model/var-origin.ts";
import { readSnapshot, sealSnapshot } from "./config-snapshot.ts";
import { type ConfigVars, changedNames, orgKeyOf } from "./config-vars.ts";
import { type EffectiveConfig, readEffectiveConfig } from "./effective-config.ts";
import type { Story } from "./story.ts";

/** A release of this deploy, with its config vars in the clear. `unchanged` = it is live already, nothing is to be done. */
export type MadeRelease = { row: ReleaseRow; config: EffectiveConfig; unchanged: boolean };

/** Image + config vars as they are now → vN: the second chapter. */
export async function ensureRelease(
  story: Story,
  built: { build: BuildRow; settings: AppSettings },
): Promise<MadeRelease> {
  const { deps, deploy } = story;
  await story.advance("releasing");
  const madeBefore = await findMade(story);
  if (madeBefore) return madeBefore;
  const made = await story.commit((tx, app) => makeRelease(story, tx, app, built));
  story.hide(made.config);
  if (made.unchanged) {
    story.write({ kind: "text", text: `v${made.row.version} has this config already` });
  } else {
    story.write({ kind: "step", text: `Releasing v${made.row.version}` });
    story.write({ kind: "text", text: made.summary });
    deps.log.info({ app: story.held.app.name, version: made.row.version, deploy: deploy.number }, "release made");
  }
  return made;
}

/** The release of a deploy that is taken up again in its roll-out. */
export async function takeUpRelease(story: Story): Promise<MadeRelease> {
  const made = await findMade(story);
  if (!made) throw new Error(`deploy ${story.deploy.id} rolls out a release that it has not made`);
  return made;
}

async function findMade(story: Story): Promise<MadeRelease | undefined> {
  const { deps, deploy, held } = story;
  const row = await deps.db.persist(({ db }) => findReleaseOf(db, deploy.id), held.signal);
  if (!row) return undefined;
  const config = await deps.db.persist(({ db }) => readSnapshot(deps, db, row), held.signal);
  story.hide(config);
  return { row, config, unchanged: false };
}

async function makeRelease(
  story: Story,
  tx: Db,
  app: AppRow,
  { build, settings }: { build: BuildRow; settings: AppSettings },
): Promise<MadeRelease & { summary: string }> {
  const { deps, deploy } = story;
  const config = await readEffectiveConfig(deps, tx, app, settings);
  // The answer to a first try may have been lost: then the release is there.
  const made = await findReleaseOf(tx, deploy.id);
  if (made) return { row: made, config: await readSnapshot(deps, tx, made), unchanged: false, summary: "" };
  const live = await findLiveRelease(tx, app);
  const liveConfig = live ? await readSnapshot(deps, tx, live) : undefined;
  const changed = liveConfig ? changedNames(liveConfig.vars, config.vars) : [];
  const isSameConfig = changed.length === 0 && isDeepStrictEqual(liveConfig?.origins, config.origins);
  if (deploy.kind === "config" && live && isSameConfig) {
    await noteDeploy(tx, deploy.id, { releaseId: live.id });
    return { row: live, config, unchanged: true, summary: "" };
  }
  const id = randomUUID();
  const row = await insertRelease(tx, app, {
    id,
    deployId: deploy.id,
    buildId: build.id,
    // The same files may have been built for another commit.
    commit: deploy.commit ?? live?.commit ?? build.commit,
    image: build.image!,
    processTypes: build.processTypes!,
    releaseCommand: settings.hooks?.release?.command ?? build.releaseCommand,
    sealedConfig: sealSnapshot(await orgKeyOf(deps, tx, app.orgId), app.orgId, id, config.vars),
    configOrigins: config.origins,
    settings,
    description: describe(story),
    createdBy: deploy.actorName,
  });
  await noteDeploy(tx, deploy.id, { releaseId: id });
  return {
    row,
    config,
    unchanged: false,
    summary: configSummary(config, live, changedWords(liveConfig?.vars ?? {}, config.vars, changed)),
  };
}

function describe(story: Story): string {
  const { kind, title, commit } = story.deploy;
  return kind === "push" || kind === "deploy" ? `${shortId(commit!)} ${title}` : title;
}

/** `5 config vars, 2 of them from zyndra.yml, LOG_LEVEL changed since v11` */
function configSummary({ vars, origins }: EffectiveConfig, live: ReleaseRow | null, changed: string[]): string {
  const count = Object.keys(vars).length;
  const counted = count === 0 ? "no config vars" : count === 1 ? "1 config var" : `${count} config vars`;
  const files = Object.values(origins).filter((origin) => addonOf(origin) === undefined);
  const names = [...new Set(files.map((origin) => origin.split(":")[0]))].join(" and ");
  const part = files.length === count ? "" : `${files.length} of them `;
  const said = files.length === 0 ? counted : `${counted}, ${part}from ${names}`;
  if (!live || changed.length === 0) return said;
  return `${said}, ${changed.join(", ")} since v${live.version}`;
}

/** `LOG_LEVEL, PORTS changed`, `FOO removed` */
function changedWords(before: ConfigVars, after: ConfigVars, names: string[]): string[] {
  const became = (name: string) =>
    before[name] === undefined ? "added" : after[name] === undefined ? "removed" : "changed";
  return ["added", "changed", "removed"].flatMap((word) => {
    const those = names.filter((name) => became(name) === word);
    if (those.length === 0) return [];
    const shown = those.length > 4 ? `${those.slice(0, 3).join(", ")} and ${those.length - 3} more` : those.join(", ");
    return [`${shown} ${word}`];
  });
}
