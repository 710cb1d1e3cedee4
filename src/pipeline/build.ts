import { createHash, randomUUID } from "node:crypto";
import { endBuild, findBuildByInputs, getBuild, getRelease, insertBuild } from "../db/releases.ts";
import type { BuildRow } from "../db/schema.ts";
import type { Cause } from "../model/cause.ts";
import { duration } from "../model/deploy.ts";
import type { ConfigVars } from "./config-vars.ts";
import { readEffectiveConfig } from "./effective-config.ts";
import type { Story } from "./story.ts";

/** An image to release, or why there is none. */
export type BuiltImage = { ok: true; build: BuildRow } | { ok: false; cause: Cause };

/**
 * Source to image: the first chapter. What was built before from the same files, with the same config vars, is used
 * again. A rollback and a config change build nothing: they take an older release's image.
 */
export async function ensureBuild(story: Story): Promise<BuiltImage> {
  const { deps, deploy, held } = story;
  const older = deploy.kind === "config" ? held.app.liveReleaseId : deploy.targetReleaseId;
  if (older !== null) {
    return {
      ok: true,
      build: await deps.db.persist(async ({ db }) => getBuild(db, (await getRelease(db, older)).buildId), held.signal),
    };
  }
  await story.advance("building");
  if (deploy.buildId !== null) {
    const begun = await deps.db.persist(({ db }) => getBuild(db, deploy.buildId!), held.signal);
    if (begun.status === "succeeded") return { ok: true, build: begun };
    if (begun.status === "failed") return { ok: false, cause: begun.cause! };
    story.write({ kind: "warning", text: "the build was interrupted and starts again" });
    return build(story, begun, await currentConfig(story));
  }

  const config = await currentConfig(story);
  const inputs = await inputsOf(story, config);
  const same = deploy.skipCache
    ? null
    : await deps.db.persist(({ db }) => findBuildByInputs(db, deploy.appId, inputs), held.signal);
  if (same && (await deps.builder.hasImage(same.build.image!))) {
    await story.note({ buildId: same.build.id });
    story.write({ kind: "step", text: "Building" });
    story.write({
      kind: "text",
      text: `the same files were built by deploy #${same.deployNumber}: that image is used again`,
    });
    return { ok: true, build: same.build };
  }
  const id = randomUUID();
  const row = await story.commit((tx, app) => insertBuild(tx, app, { id, commit: deploy.commit!, inputs }));
  await story.note({ buildId: id });
  return build(story, row, config);
}

async function build(story: Story, row: BuildRow, config: ConfigVars): Promise<BuiltImage> {
  const { deps, deploy, held, signal, write } = story;
  write({ kind: "step", text: "Building" });
  const startedAt = performance.now();
  const outcome = await deps.builder.build(
    {
      buildId: row.id,
      appId: deploy.appId,
      appName: held.app.name,
      commit: row.commit,
      unpackSource: (intoDir, unpackSignal) => deps.repos.archiveInto(deploy.appId, row.commit, intoDir, unpackSignal),
      env: config,
      skipCache: deploy.skipCache,
    },
    write,
    signal,
  );
  if (!outcome.ok) {
    const cause = story.masked(outcome.cause);
    await story.commit((tx) => endBuild(tx, row.id, { status: "failed", cause }));
    return { ok: false, cause };
  }
  const { image, processTypes, releaseCommand = null, summary, sizeBytes } = outcome;
  const ended = await story.commit((tx) =>
    endBuild(tx, row.id, {
      status: "succeeded",
      image,
      processTypes,
      releaseCommand,
      settings: {},
      summary,
      sizeBytes,
    }),
  );
  deps.log.info(
    { app: held.app.name, deploy: deploy.number, took: duration(performance.now() - startedAt) },
    "image built",
  );
  return { ok: true, build: ended };
}

async function currentConfig(story: Story): Promise<ConfigVars> {
  const { deps, held } = story;
  const config = await deps.db.persist(({ db }) => readEffectiveConfig(deps, db, held.app, {}), held.signal);
  story.hide(config);
  return config.vars;
}

/** All that decides what comes out: the files, the config vars (they are there at build time) and the builder with its tools. */
async function inputsOf(story: Story, config: ConfigVars): Promise<string> {
  const { builder, repos } = story.deps;
  const { tree } = await repos.commitInfo(story.deploy.appId, story.deploy.commit!);
  const sorted = Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([builder.kind, builder.tools, tree, sorted]))
    .digest("hex");
}
