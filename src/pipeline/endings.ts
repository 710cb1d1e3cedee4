import type { Db } from "../db/client.ts";
import { endDeploy, getDeploy, listForgettable, listUntold, markTold } from "../db/deploys.ts";
import { publish } from "../db/events.ts";
import { findLiveRelease, getRelease } from "../db/releases.ts";
import type { AppRow, DeployRow } from "../db/schema.ts";
import { holdFence, type Lease } from "../db/work.ts";
import type { Deps } from "../deps.ts";
import type { Cause } from "../model/cause.ts";
import { type FinalStatus, headline } from "../model/deploy.ts";
import { deployTopic, type EventData } from "../model/event.ts";
import type { LogLine } from "../model/log-line.ts";

/** How many of an app's newest deploys can be tried again: their commits are kept. */
const keptDeploys = 20;

/** Ends a deploy that did not go live, and tells everyone, in one transaction. Nothing happens where it ended before. */
export async function endUnsuccessful(
  deps: Pick<Deps, "runtime">,
  tx: Db,
  app: AppRow,
  deployId: string,
  status: Exclude<FinalStatus, "live">,
  cause: Cause,
): Promise<void> {
  const ended = await endDeploy(tx, deployId, { status, cause, told: true });
  if (!ended) return;
  const live = await findLiveRelease(tx, app);
  const facts = { appName: app.name, number: ended.number, status, tookMs: ended.tookMs, cause };
  const keeps = live && !cause.notBack ? `v${live.version} keeps serving ${deps.runtime.edge.url(app.name)}; ` : "";
  const lines: LogLine[] = [
    { kind: "intro", text: "" },
    { kind: "error", text: cause.detail ? `${cause.headline}: ${cause.detail}` : cause.headline },
    ...(live && cause.notBack ? [notBackLine(app, live.version, cause.notBack)] : []),
    ...hintsOf(app, ended, cause).map((text) => ({ kind: "hint", text }) as const),
    ...lastLines(ended, cause),
    { kind: "text", text: `${keeps}whole log: zyndra deploys:logs ${app.name} ${ended.number}` },
  ];
  await publish(tx, deployTopic(deployId), app, [
    { type: "log", lines },
    { type: "deploy", status, headline: headline(facts), cause },
  ]);
}

function notBackLine(app: AppRow, version: number, why: string): LogLine {
  return { kind: "warning", text: `v${version} could not be put back: ${why}; zyndra ps ${app.name} shows what runs` };
}

/** What a process said before it died. What a build or a release command said is in the log already, just above. */
function lastLines(ended: DeployRow, { lastLines = [] }: Cause): LogLine[] {
  if (ended.rolloutStartedAt === null || lastLines.length === 0) return [];
  return [
    { kind: "text", text: "its last lines:" },
    ...lastLines.map((text) => ({ kind: "output", text: `  ${text}` }) as const),
  ];
}

/** What to do now; after a change of config vars also that they stay as they were set, and how to take them back. */
function hintsOf(app: AppRow, ended: DeployRow, cause: Cause): string[] {
  const own = cause.hint ? [cause.hint] : [];
  if (app.liveReleaseId === null || ended.status === "superseded") return own;
  if (ended.kind === "config") {
    return [
      ...own,
      `the config vars stay set; zyndra config:unset or zyndra releases:rollback ${app.name} takes them back`,
    ];
  }
  if (ended.kind === "rollback") {
    return [...own, `the config vars are as the rollback has set them: zyndra config ${app.name}`];
  }
  return own;
}

/**
 * Brings to its end what went live: main is mirrored into the repository first, then everyone is told. Called after each
 * deploy and, for what a crash left in between, before each claim's work.
 */
export async function settleEndings(
  deps: Pick<Deps, "db" | "repos" | "runtime" | "log">,
  lease: Lease,
  app: AppRow,
): Promise<void> {
  if (app.mainCommit !== null) await mirrorMain(deps, app.id, app.mainCommit);
  for (const deploy of await listUntold(deps.db.db, app.id)) {
    await deps.db.transaction(async (tx) => tellLive(deps, tx, await holdFence(tx, lease), deploy));
  }
}

/** `refs/heads/main` follows the column, by compare and swap; the lease says that nobody else moves it. */
export async function mirrorMain(deps: Pick<Deps, "repos">, appId: string, commit: string): Promise<void> {
  const ref = "refs/heads/main";
  const current = await deps.repos.readRef(appId, ref);
  if (current === commit) return;
  const outcome = await deps.repos.moveRef(appId, ref, commit, current, { holdsLease: true });
  if (outcome === "changed") throw new Error(`${ref} of app ${appId} was moved by somebody without the lease`);
}

async function tellLive(deps: Pick<Deps, "runtime">, tx: Db, app: AppRow, deploy: DeployRow): Promise<void> {
  if (!(await markTold(tx, deploy.id))) return;
  const { finishedAt, createdAt, releaseId, number } = await getDeploy(tx, deploy.id);
  const { version } = await getRelease(tx, releaseId!);
  const url = deps.runtime.edge.url(app.name);
  const tookMs = finishedAt!.getTime() - createdAt.getTime();
  const said = headline({ appName: app.name, number, status: "live", version, tookMs, url });
  const events: EventData[] = [
    {
      type: "log",
      lines: [
        { kind: "intro", text: "" },
        { kind: "success", text: said },
      ],
    },
    { type: "deploy", status: "live", headline: said, version },
  ];
  await publish(tx, deployTopic(deploy.id), app, events);
}

/** Lets go of commits whose deploys ended long ago; git may then collect them. */
export async function forgetOldCommits(deps: Pick<Deps, "db" | "repos">, appId: string): Promise<void> {
  const kept = await deps.repos.listDeployRefs(appId);
  if (kept.length <= keptDeploys) return;
  const forgettable = new Set(await listForgettable(deps.db.db, appId, keptDeploys));
  for (const { number } of kept) if (forgettable.has(number)) await deps.repos.removeKeepRef(appId, number);
}
