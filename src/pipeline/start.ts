import { randomUUID } from "node:crypto";
import { insertRing, lockApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import {
  findDeployByRequest,
  findWaitingConfigDeploy,
  insertDeploy,
  listUnfinished,
  renameDeploy,
  takeDeployNumber,
} from "../db/deploys.ts";
import { publish } from "../db/events.ts";
import type { AppRow, DeployRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { Actor } from "../model/actor.ts";
import { type DeployKind, isSourceWork, shortId } from "../model/deploy.ts";
import { deployTopic } from "../model/event.ts";
import type { LogLine } from "../model/log-line.ts";
import { passLock } from "./lock.ts";

/** What is to be brought to life. */
export type DeployRequest = {
  /** The push's own id, or another name of this request: asking twice is one deploy. */
  requestId: string;
  kind: Exclude<DeployKind, "config">;
  title: string;
  commit: string;
  /** A push's old value of main; null where there was none. */
  pushedOver?: string | null;
  targetReleaseId?: string;
  skipCache?: boolean;
  retryOf?: number;
  /** Why it is to start although the app is locked. */
  force?: string;
};

export type Started = {
  deploy: DeployRow;
  /** Somebody asked for it before: the asker only follows. */
  followed: boolean;
};

/**
 * The one way in: writes the deploy and the ring for it, inside the transaction of the command that asks. The commit is
 * kept from garbage collection before the row is there; a keep-ref whose transaction fails is overwritten by the next.
 * @throws UserError gone, locked, forbidden
 */
export async function startDeploy(
  deps: Pick<Deps, "repos">,
  tx: Db,
  appId: string,
  actor: Actor,
  request: DeployRequest,
): Promise<Started> {
  const app = await lockApp(tx, appId);
  refuseWhereGoing(app);
  // Asked again after a lost answer: this is the asker's own deploy.
  const own = await findDeployByRequest(tx, app.id, request.requestId);
  if (own) return { deploy: own, followed: false };
  const same = await findSame(tx, app, request);
  if (same) return { deploy: same, followed: true };
  const forceReason = passLock(app, actor, request);
  const { requestId, kind, title, commit, pushedOver, targetReleaseId, skipCache, retryOf } = request;
  const number = await takeDeployNumber(tx, app.id);
  await deps.repos.writeKeepRef(app.id, number, commit);
  const deploy = await insertDeploy(tx, app, {
    id: randomUUID(),
    number,
    kind,
    requestId,
    userId: actor.userId,
    actorName: actor.name,
    door: actor.door,
    title,
    commit,
    pushedOver: pushedOver ?? null,
    targetReleaseId: targetReleaseId ?? null,
    skipCache: skipCache ?? false,
    retryOf: retryOf ?? null,
    forceReason,
  });
  await publish(tx, deployTopic(deploy.id), app, [{ type: "log", lines: introduction(app, deploy) }]);
  await insertRing(tx, app);
  return { deploy, followed: false };
}

/** The same commit again while its deploy is unfinished, and nothing newer waits: that deploy is followed. */
async function findSame(tx: Db, app: AppRow, request: DeployRequest): Promise<DeployRow | undefined> {
  if (request.kind === "rollback") return undefined;
  const source = (await listUnfinished(tx, app.id)).filter((deploy) => isSourceWork(deploy.kind));
  const newest = source[0];
  const isSame = newest?.commit === request.commit && newest.kind === request.kind && !newest.cancelRequestedAt;
  return isSame ? newest : undefined;
}

/**
 * A change of config vars is to be released: joins the one config deploy that waits, or makes it. Null before the first
 * release: the next push takes the vars. `changes` are names, or such as `FOO removed`. Called inside the transaction that changed them.
 */
export async function startConfigDeploy(
  tx: Db,
  app: AppRow,
  actor: Pick<Actor, "name" | "door"> & { userId: string | null },
  changes: string[],
): Promise<DeployRow | null> {
  refuseWhereGoing(app);
  if (app.liveReleaseId === null && (await listUnfinished(tx, app.id)).length === 0) return null;
  const waiting = await findWaitingConfigDeploy(tx, app.id);
  if (waiting) {
    await renameDeploy(tx, waiting.id, joinedTitle(waiting.title, changes));
    return waiting;
  }
  const deploy = await insertDeploy(tx, app, {
    id: randomUUID(),
    number: await takeDeployNumber(tx, app.id),
    kind: "config",
    requestId: randomUUID(),
    userId: actor.userId,
    actorName: actor.name,
    door: actor.door,
    title: joinedTitle("", changes),
  });
  await publish(tx, deployTopic(deploy.id), app, [{ type: "log", lines: introduction(app, deploy) }]);
  await insertRing(tx, app);
  return deploy;
}

/** The names of the config vars that a config deploy is about, from its title. */
export function namesIn(title: string): string[] {
  return changesIn(title).map(nameOfChange);
}

/** The same as they are said: `FOO`, `FOO removed`. */
export function changesIn(title: string): string[] {
  return title
    .replace(/^config: /, "")
    .split(", ")
    .filter(Boolean);
}

const nameOfChange = (change: string) => change.replace(/ removed$/, "");

/** What was said last of a name holds. */
function joinedTitle(title: string, changes: string[]): string {
  const byName = new Map([...changesIn(title), ...changes].map((change) => [nameOfChange(change), change]));
  return `config: ${[...byName.values()].join(", ")}`;
}

function introduction(app: AppRow, deploy: DeployRow): LogLine[] {
  const what =
    deploy.kind === "push" || deploy.kind === "deploy" ? `${shortId(deploy.commit!)} "${deploy.title}"` : deploy.title;
  const forced = deploy.forceReason === null ? "" : `, past the lock of ${app.lockedBy}: "${deploy.forceReason}"`;
  return [{ kind: "intro", text: `${app.name}, deploy #${deploy.number}: ${what} by ${deploy.actorName}${forced}` }];
}

/** @throws UserError gone for an app that is being destroyed: nothing new begins there */
export function refuseWhereGoing(app: AppRow): void {
  if (app.destroyRequestedAt === null) return;
  throw new UserError("gone", `${app.name} is being destroyed, as ${app.destroyRequestedBy} asked`);
}
