import { z } from "zod";
import { getApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { getDeploy } from "../db/deploys.ts";
import { findLiveRelease, getReleaseByVersion, listReleases } from "../db/releases.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { type DeployStatus, duration, statusWords } from "../model/deploy.ts";
import { settingsThatMatter } from "../model/release-diff.ts";
import { readSnapshot } from "../pipeline/config-snapshot.ts";
import { ago, liveFor } from "./ago.ts";
import { defineCommand } from "./command.ts";
import { ExistingApp, ReleaseVersion } from "./inputs.ts";

/** How a release stands: `live`, `past` (it was live), or how its deploy stands or has ended. */
export type ReleaseState = "past" | DeployStatus;

export function releaseState(app: AppRow, release: ReleaseRow, deployStatus: DeployStatus): ReleaseState {
  if (release.id === app.liveReleaseId) return "live";
  return release.liveAt !== null || deployStatus === "live" ? "past" : deployStatus;
}

export const showRelease = defineCommand({
  name: "releases:info",
  summary: "Show what a release is and how it came about; without a version the live one",
  examples: ["releases:info shop", "releases:info shop v11"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({ app: ExistingApp, version: ReleaseVersion.optional() }),
  words: { positional: ["app", "version"] },
  async run({ deps, actor }, input) {
    const { db } = deps.db;
    const app = await getApp(db, actor.orgId, input.app);
    const release = await pickRelease(db, app, input.version);
    const deploy = await getDeploy(db, release.deployId);
    const { vars, origins } = await readSnapshot(deps, db, release);
    // The commit may be gone by now; the release is not.
    const subject = await deps.repos.commitInfo(app.id, release.commit).then(
      (commit) => commit.subject,
      () => null,
    );
    return {
      app: app.name,
      version: release.version,
      state: releaseState(app, release, deploy.status),
      description: release.description,
      commit: release.commit,
      subject,
      by: release.createdBy,
      createdAt: release.createdAt,
      liveAt: release.liveAt,
      image: release.image,
      processTypes: commandsOf(release),
      releaseCommand: release.releaseCommand,
      config: Object.keys(vars)
        .sort()
        .map((name) => ({ name, origin: origins[name] ?? null })),
      settings: settingsThatMatter(release.settings),
      deploy: {
        number: deploy.number,
        status: deploy.status,
        tookMs: deploy.finishedAt && deploy.finishedAt.getTime() - deploy.createdAt.getTime(),
        cause: deploy.cause,
      },
    };
  },
  view: (release) => ({
    fields: [
      { name: "Release", value: `v${release.version} of ${release.app}, ${stateInWords(release)}` },
      { name: "What", value: release.description },
      { name: "Commit", value: `${release.commit}${release.subject === null ? "" : ` ${release.subject}`}` },
      { name: "By", value: `${release.by}, ${ago(release.createdAt)}` },
      { name: "Deploy", value: deployInWords(release.deploy) },
      ...causeFields(release.deploy.cause),
      { name: "Image", value: shortImage(release.image) },
      ...Object.entries(release.processTypes).map(([type, command]) => ({ name: `Process ${type}`, value: command })),
      ...(release.releaseCommand === null ? [] : [{ name: "Release command", value: release.releaseCommand }]),
      { name: "Config vars", value: release.config.map(nameWithOrigin).join(", ") || "none" },
      ...Object.entries(release.settings).map(([name, value], index) => ({
        name: index === 0 ? "Settings" : "",
        value: `${name}: ${value}`,
      })),
    ],
    hint: nextStep(release),
  }),
});

/** What builds made is told apart by less than a whole digest. */
function shortImage(image: string): string {
  return image.split("/").at(-1)!.slice(0, 12);
}

/** A named release; else what is live; else the newest. @throws UserError not_found */
async function pickRelease(db: Db, app: AppRow, version: number | undefined): Promise<ReleaseRow> {
  if (version !== undefined) return getReleaseByVersion(db, app, version);
  const live = await findLiveRelease(db, app);
  if (live) return live;
  const [newest] = await listReleases(db, app.id, 1);
  if (newest) return newest.release;
  throw new UserError("not_found", `${app.name} has no releases yet`, "git push zyndra main makes the first");
}

function commandsOf({ processTypes }: ReleaseRow): Record<string, string> {
  return Object.fromEntries(Object.entries(processTypes).map(([type, { command }]) => [type, command]));
}

type Shown = { app: string; version: number; state: ReleaseState; liveAt: Date | null };

function stateInWords({ state, liveAt }: Shown): string {
  if (state === "live") return liveFor(liveAt);
  if (state === "past") return `not live any more; it went live ${ago(liveAt)}`;
  return `never live: ${statusWords(state)}`;
}

function deployInWords({ number, status, tookMs }: { number: number; status: string; tookMs: number | null }): string {
  return `#${number} ${statusWords(status)}${tookMs === null ? "" : ` after ${duration(tookMs)}`}`;
}

function causeFields(cause: { headline: string; detail?: string } | null): { name: string; value: string }[] {
  if (!cause) return [];
  return [
    { name: "Why", value: cause.headline },
    ...(cause.detail === undefined ? [] : [{ name: "", value: cause.detail }]),
  ];
}

export function nameWithOrigin({ name, origin }: { name: string; origin: string | null }): string {
  return origin === null ? name : `${name} (${origin})`;
}

function nextStep({ app, version, state }: Shown): string {
  if (state === "live") return `zyndra releases:diff ${app} tells what is new in it`;
  if (state === "past") return `zyndra releases:rollback ${app} v${version} brings it back`;
  return `zyndra releases:diff ${app} v${version} tells what is otherwise than in what is live`;
}
