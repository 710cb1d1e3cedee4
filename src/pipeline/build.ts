import { createHash, randomUUID } from "node:crypto";
import { endBuild, findBuildByInputs, getBuild, getRelease, insertBuild, setBuildInputs } from "../db/releases.ts";
import type { BuildRow } from "../db/schema.ts";
import type { AppSettings } from "../model/app-settings.ts";
import type { Cause } from "../model/cause.ts";
import { duration } from "../model/deploy.ts";
import { readCommitSettings } from "./app-files.ts";
import type { ConfigVars } from "./config-vars.ts";
import { prepareConfig, warningsFor } from "./env-rules.ts";
import type { Story } from "./story.ts";

/** An image to release with what the app's files say of it, or why there is none. */
export type BuiltImage = { ok: true; build: BuildRow; settings: AppSettings } | { ok: false; cause: Cause };

/**
 * Source to image: the first chapter. What was built before from the same files, with the same config vars, is used
 * again. A rollback and a config change build nothing: they take an older release's image, and what its files said.
 */
export async function ensureBuild(story: Story): Promise<BuiltImage> {
  const { deps, deploy, held } = story;
  const older = deploy.kind === "config" ? held.app.liveReleaseId : deploy.targetReleaseId;
  if (older !== null) return takeOlder(story, older);
  await story.advance("building");
  const begun =
    deploy.buildId === null ? undefined : await deps.db.persist(({ db }) => getBuild(db, deploy.buildId!), held.signal);
  if (begun?.status === "failed") return { ok: false, cause: begun.cause! };
  const said = await readCommitSettings(story);
  if (!said.ok) return said;
  const { settings } = said;
  if (begun?.status === "succeeded") return { ok: true, build: begun, settings };

  story.write({ kind: "step", text: "Building" });
  const prepared = await prepareConfig(story, settings);
  if (!prepared.ok) return prepared;
  const { vars } = prepared;
  const inputs = await inputsOf(story, settings, vars);
  if (begun) {
    story.write({ kind: "warning", text: "the build was interrupted and starts again" });
    if (begun.inputs !== inputs) await story.commit((tx) => setBuildInputs(tx, begun.id, inputs));
    return build(story, begun, settings, vars);
  }
  for (const text of warningsFor(held.app.name, said, vars)) story.write({ kind: "warning", text });
  const same = deploy.skipCache
    ? null
    : await deps.db.persist(({ db }) => findBuildByInputs(db, deploy.appId, inputs), held.signal);
  if (same && (await deps.builder.hasImage(same.build.image!))) {
    await story.note({ buildId: same.build.id });
    story.write({
      kind: "text",
      text: `the same files were built by deploy #${same.deployNumber}: that image is used again`,
    });
    return { ok: true, build: same.build, settings };
  }
  const id = randomUUID();
  const row = await story.commit((tx, app) => insertBuild(tx, app, { id, commit: deploy.commit!, inputs }));
  await story.note({ buildId: id });
  return build(story, row, settings, vars);
}

async function takeOlder(story: Story, releaseId: string): Promise<BuiltImage> {
  const { deps, deploy, held } = story;
  const { build, settings } = await deps.db.persist(async ({ db }) => {
    const release = await getRelease(db, releaseId);
    return { build: await getBuild(db, release.buildId), settings: release.settings };
  }, held.signal);
  if (deploy.kind === "config") {
    const prepared = await prepareConfig(story, settings);
    if (!prepared.ok) return prepared;
  }
  return { ok: true, build, settings };
}

async function build(story: Story, row: BuildRow, settings: AppSettings, config: ConfigVars): Promise<BuiltImage> {
  const { deps, deploy, held, signal, write } = story;
  const startedAt = performance.now();
  const outcome = await deps.builder.build(
    {
      buildId: row.id,
      appId: deploy.appId,
      appName: held.app.name,
      commit: row.commit,
      unpackSource: (intoDir, unpackSignal) => deps.repos.archiveInto(deploy.appId, row.commit, intoDir, unpackSignal),
      env: config,
      settings,
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
      settings,
      summary,
      sizeBytes,
    }),
  );
  deps.log.info(
    { app: held.app.name, deploy: deploy.number, took: duration(performance.now() - startedAt) },
    "image built",
  );
  return { ok: true, build: ended, settings };
}

/**
 * All that decides what comes out: the files, what this version understands of them, the config vars (they are there at
 * build time) and the builder with its tools.
 */
async function inputsOf(story: Story, { build, processes }: AppSettings, config: ConfigVars): Promise<string> {
  const { builder, repos } = story.deps;
  const { tree } = await repos.commitInfo(story.deploy.appId, story.deploy.commit!);
  const sorted = Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([builder.kind, builder.tools, tree, sorted, build, processes]))
    .digest("hex");
}
