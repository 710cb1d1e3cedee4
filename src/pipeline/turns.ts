import { deleteApp, findAppById } from "../db/apps.ts";
import { findPushOf, getDeploy, listUnfinished, noteDeploy } from "../db/deploys.ts";
import { publish } from "../db/events.ts";
import type { AppRow, DeployRow } from "../db/schema.ts";
import { holdFence } from "../db/work.ts";
import type { Deps } from "../deps.ts";
import type { Cause } from "../model/cause.ts";
import { runningStatuses, statusWords } from "../model/deploy.ts";
import { appTopic } from "../model/event.ts";
import { chooseTurn } from "../model/turn.ts";
import { letGoOfAddons } from "./addons.ts";
import { runDeploy } from "./deploy.ts";
import { endUnsuccessful, forgetOldCommits, settleEndings } from "./endings.ts";
import type { HeldApp } from "./lease.ts";
import { applyWanted, putBack } from "./rollout.ts";

/** A deploy whose worker died this often in one step is the reason for it. */
const maxLostLeases = 3;

/**
 * All the work of one app, one thing after the other: first what a crash left in between, then what waits, by the rules
 * of who wins.
 */
export async function workOn(deps: Deps, held: HeldApp): Promise<void> {
  let resuming = held.wasLost;
  for (;;) {
    held.signal.throwIfAborted();
    const app = await findAppById(deps.db.db, held.app.id);
    if (!app) return;
    if (app.destroyRequestedAt !== null) return destroyApp(deps, held, app);
    // After a crash, git may be a step behind the database.
    await settleEndings(deps, held.lease, app);

    const running = await findBegun(deps, app);
    const deploy = running ? await resumable(deps, held, running, resuming) : await takeTurn(deps, held, app);
    resuming = false;
    if (deploy) {
      await runDeploy(deps, { ...held, app }, deploy);
      await forgetOldCommits(deps, app.id);
    } else if (running === undefined && app.wantedRevision > app.appliedRevision) {
      await applyWanted(deps, { ...held, app });
    } else if (running === undefined && !(await hasQueued(deps, app))) {
      return;
    }
  }
}

async function findBegun(deps: Deps, app: AppRow): Promise<DeployRow | undefined> {
  const unfinished = await listUnfinished(deps.db.db, app.id);
  return unfinished.find((deploy) => (runningStatuses as readonly string[]).includes(deploy.status));
}

async function hasQueued(deps: Deps, app: AppRow): Promise<boolean> {
  return (await listUnfinished(deps.db.db, app.id)).length > 0;
}

/** A deploy that another worker began: goes on, unless it was to be cancelled, or has cost too many workers their life. */
async function resumable(
  deps: Deps,
  held: HeldApp,
  deploy: DeployRow,
  wasLost: boolean,
): Promise<DeployRow | undefined> {
  const lostLeases = deploy.lostLeases + (wasLost ? 1 : 0);
  const cause: Cause | undefined =
    deploy.cancelRequestedAt !== null && deploy.switchedAt === null
      ? { headline: `cancelled by ${deploy.cancelRequestedBy}` }
      : lostLeases >= maxLostLeases
        ? {
            headline: "Zyndra was stopped three times in this step",
            detail: `while ${statusWords(deploy.status)}`,
            hint: "see whether the machine runs out of memory; then push again",
          }
        : undefined;
  if (cause) {
    const back = deploy.status === "rolling_out" ? await putBack(deps, held) : {};
    const status = deploy.cancelRequestedAt !== null ? "cancelled" : "failed";
    await underFence(deps, held, (tx, app) => endUnsuccessful(deps, tx, app, deploy.id, status, { ...cause, ...back }));
    return undefined;
  }
  if (wasLost) await underFence(deps, held, (tx) => noteDeploy(tx, deploy.id, { lostLeases }));
  deps.log.info(
    { app: held.app.name, deploy: deploy.number, status: deploy.status, lostLeases },
    "deploy taken up again",
  );
  return getDeploy(deps.db.db, deploy.id);
}

/** Chooses among what is queued; whoever loses by it is told. */
async function takeTurn(deps: Deps, held: HeldApp, app: AppRow): Promise<DeployRow | undefined> {
  const queued = await listUnfinished(deps.db.db, app.id);
  if (queued.length === 0) return undefined;
  const looked = await Promise.all(
    queued.map(async (deploy) => ({
      number: deploy.number,
      kind: deploy.kind,
      keepsTip: await keepsTip(deps, app, deploy),
    })),
  );
  const turn = chooseTurn(looked);
  const byNumber = new Map(queued.map((deploy) => [deploy.number, deploy]));
  const taken = turn.take === undefined ? undefined : byNumber.get(turn.take);

  for (const number of turn.missed) {
    const cause = await movedCause(deps, app);
    await underFence(deps, held, (tx, now) =>
      endUnsuccessful(deps, tx, now, byNumber.get(number)!.id, "failed", cause),
    );
  }
  for (const number of turn.superseded) {
    const loser = byNumber.get(number)!;
    const cause = await supersededCause(deps, app, loser, taken!);
    await underFence(deps, held, async (tx, now) => {
      // A winner that was cancelled in this moment replaces nobody.
      if ((await getDeploy(tx, taken!.id)).status !== "queued") return;
      await endUnsuccessful(deps, tx, now, loser.id, "superseded", cause);
    });
  }
  if (taken?.kind === "config" && app.liveReleaseId === null) {
    const cause = { headline: "nothing is live yet: the next push takes the config" };
    await underFence(deps, held, (tx, now) => endUnsuccessful(deps, tx, now, taken.id, "cancelled", cause));
    return undefined;
  }
  return taken;
}

/** The tip rule: main is the push's old value, or is contained in its new one. What is no push has no tip to keep. */
async function keepsTip(deps: Deps, app: AppRow, deploy: DeployRow): Promise<boolean> {
  if (deploy.kind !== "push" || app.mainCommit === null) return true;
  if (deploy.pushedOver === app.mainCommit) return true;
  return deps.repos.isAncestor(app.id, app.mainCommit, deploy.commit!);
}

/** `main moved: deploy #41 (ana) went live; git pull, push again` */
async function movedCause(deps: Deps, app: AppRow): Promise<Cause> {
  const winner = await findPushOf(deps.db.db, app.id, app.mainCommit!);
  const who = winner ? `deploy #${winner.number} (${winner.actorName}) went live` : "another commit went live";
  return { headline: `main moved: ${who}; git pull, push again` };
}

async function supersededCause(deps: Deps, app: AppRow, loser: DeployRow, winner: DeployRow): Promise<Cause> {
  const by = `superseded by deploy #${winner.number} (${winner.actorName})`;
  const isIn =
    loser.commit !== null &&
    winner.commit !== null &&
    (await deps.repos.isAncestor(app.id, loser.commit, winner.commit));
  return { headline: isIn ? `${by}, which contains it` : `${by}; git pull, push again` };
}

/** Ends what is unfinished, stops what runs, removes what was made, and last the rows. Safe to run again at any point. */
async function destroyApp(deps: Deps, held: HeldApp, app: AppRow): Promise<void> {
  const by = app.destroyRequestedBy!;
  for (const deploy of await listUnfinished(deps.db.db, app.id)) {
    await underFence(deps, held, (tx, now) =>
      endUnsuccessful(deps, tx, now, deploy.id, "cancelled", { headline: `${by} destroyed ${app.name}` }),
    );
  }
  await deps.runtime.rollout.destroy(app.id, held.lease.fence);
  await deps.builder.removeApp(app.id);
  await deps.repos.removeRepo(app.id);
  await underFence(deps, held, async (tx) => {
    await letGoOfAddons(tx, app, by);
    await publish(tx, appTopic(app.id), app, [{ type: "destroyed", by }]);
    await deleteApp(tx, app.id, held.lease.fence);
  });
  deps.log.info({ app: app.name, by }, "app destroyed");
}

async function underFence(
  deps: Deps,
  held: HeldApp,
  change: (tx: Parameters<typeof holdFence>[0], app: AppRow) => Promise<unknown>,
): Promise<void> {
  await deps.db.persist(
    (db) => db.transaction(async (tx) => void (await change(tx, await holdFence(tx, held.lease)))),
    held.signal,
  );
}
