import { randomUUID } from "node:crypto";
import { z } from "zod";
import { findAppById, getApp, lockNamedApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { getDeployByNumber, listDeploys, listUnfinished, listUntold, requestCancel } from "../db/deploys.ts";
import { publish, ring } from "../db/events.ts";
import type { AppRow, DeployRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import type { Actor } from "../model/actor.ts";
import { duration, isFinal, shortId, statusWords } from "../model/deploy.ts";
import { cancelTopic, deployTopic } from "../model/event.ts";
import { clip } from "../model/names.ts";
import type { View } from "../model/view.ts";
import { endUnsuccessful } from "../pipeline/endings.ts";
import { changesIn, startConfigDeploy, startDeploy } from "../pipeline/start.ts";
import { ago } from "./ago.ts";
import { defineCommand } from "./command.ts";
import { Count, DeployNumber, ExistingApp } from "./inputs.ts";
import { moreHint, mostRows } from "./listing.ts";

/** `-o force="why"` of a push, `--force "why"` elsewhere. */
const ForceReason = z
  .string()
  .transform((reason) => clip(reason.trim(), 200))
  .refine((reason) => reason !== "", { error: '--force needs a reason: --force "why"' });
const forceFlag = { kind: "text", summary: "why it is to get past a lock, for those who may" } as const;

/** A push of main through a git door: the door has the commit, and the id of the push. */
export const pushDeploy = defineCommand({
  name: "git:push",
  internal: true,
  summary: "Deploy a pushed commit",
  examples: ["git push zyndra main"],
  needs: "developer",
  changes: true,
  input: z.strictObject({
    app: ExistingApp,
    /** Its name may have become another app's while the push came in. */
    appId: z.string(),
    requestId: z.string(),
    commit: z.string(),
    pushedOver: z.string().nullable(),
    message: z.string().optional(),
    skipCache: z.boolean(),
    force: ForceReason.optional(),
  }),
  words: { positional: [] },
  auditInput: ({ commit, force }) => ({ commit, ...(force && { force }) }),
  async run({ deps, tx, actor }, input) {
    const app = await findAppById(tx, input.appId);
    if (app?.orgId !== actor.orgId) throw new UserError("not_found", `${input.app} was removed while this was pushed`);
    const { subject } = await deps.repos.commitInfo(app.id, input.commit);
    const { requestId, commit, pushedOver, skipCache, force } = input;
    const title = clip(input.message ?? subject, 80);
    return started(
      app,
      await startDeploy(deps, tx, app.id, actor, {
        requestId,
        kind: "push",
        title,
        commit,
        pushedOver,
        skipCache,
        force,
      }),
    );
  },
  view: ({ appName, number }) => ({ text: `${appName}, deploy #${number}` }),
});

export const deploy = defineCommand({
  name: "deploy",
  summary: "Deploy a commit that was pushed: a branch, a tag or a commit; without one, main",
  examples: ["deploy shop", "deploy shop feature/hats", "deploy shop 3f2c1ab"],
  needs: "developer",
  changes: true,
  input: z.strictObject({
    app: ExistingApp,
    ref: z.string().min(1).max(250).optional(),
    skipCache: z.boolean().default(false),
    force: ForceReason.optional(),
    detach: z.boolean().default(false),
  }),
  words: {
    positional: ["app", "ref"],
    flags: {
      skipCache: { kind: "switch", summary: "build with empty caches" },
      force: forceFlag,
      detach: { kind: "switch", summary: "do not wait for the end" },
    },
  },
  auditInput: ({ ref, force }) => ({ ref: ref ?? "main", ...(force && { force }) }),
  async run({ deps, tx, actor }, input) {
    const app = await getApp(tx, actor.orgId, input.app);
    const commit = input.ref === undefined ? app.mainCommit : await deps.repos.resolveCommit(app.id, input.ref);
    if (commit === null) {
      const what =
        input.ref === undefined
          ? "nothing was pushed to main yet"
          : `no branch, tag or commit "${clip(input.ref)}" was pushed`;
      throw new UserError(
        "not_found",
        `${app.name}: ${what}`,
        input.ref === undefined ? "git push zyndra main" : "git ls-remote zyndra lists what was pushed",
      );
    }
    const { subject } = await deps.repos.commitInfo(app.id, commit);
    const request = {
      requestId: randomUUID(),
      kind: "deploy",
      title: clip(subject, 80),
      commit,
      skipCache: input.skipCache,
      force: input.force,
    } as const;
    return started(app, await startDeploy(deps, tx, app.id, actor, request));
  },
  view: ({ appName, number, followed }, { detach }) =>
    followed
      ? { text: `${appName}, deploy #${number}: begun before, followed from here` }
      : begunView(appName, number, detach),
  follow: ({ appName, deployId, number }, { detach }) => ({ kind: "deploy", appName, deployId, number, detach }),
});

export const listAllDeploys = defineCommand({
  name: "deploys:list",
  aliases: ["deploys"],
  summary: "List an app's deploys, newest first",
  examples: ["deploys shop"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({ app: ExistingApp, num: Count(15, mostRows) }),
  words: { positional: ["app"], flags: { num: { kind: "number", short: "n", summary: "how many" } } },
  async run({ deps, actor }, { app: name, num }) {
    const app = await getApp(deps.db.db, actor.orgId, name);
    const rows = await listDeploys(deps.db.db, app.id, num);
    return rows.map(({ deploy: row, version }) => ({
      number: row.number,
      id: row.id,
      status: row.status,
      version,
      commit: row.commit,
      title: row.title,
      by: row.actorName,
      createdAt: row.createdAt,
      tookMs: row.finishedAt ? row.finishedAt.getTime() - row.createdAt.getTime() : null,
      cause: row.cause,
    }));
  },
  view: (deploys, { app }) => ({
    table: {
      columns: ["DEPLOY", "STATE", "RELEASE", "WHAT", "BY", "WHEN", "TOOK", "WHY"],
      rows: deploys.map((row) => [
        `#${row.number}`,
        statusWords(row.status),
        row.version === null ? "" : `v${row.version}`,
        row.commit ? `${shortId(row.commit)} ${row.title}` : row.title,
        row.by,
        ago(row.createdAt),
        row.tookMs === null ? "" : duration(row.tookMs),
        row.cause?.headline ?? "",
      ]),
      none: `${app} has no deploys yet: git push zyndra main makes the first.`,
      lastBelow: true,
    },
    // Numbers have no gaps, so the newest tells how many there are.
    ...moreHint(deploys.length, deploys[0]?.number, { command: "deploys", app }),
  }),
});

export const OneDeploy = z.strictObject({ app: ExistingApp, number: DeployNumber.optional() });

export const showDeployLogs = defineCommand({
  name: "deploys:logs",
  summary: "Show a deploy's log, and follow it while it runs; without a number the newest",
  examples: ["deploys:logs shop", "deploys:logs shop 42"],
  needs: "viewer",
  changes: false,
  input: OneDeploy,
  words: { positional: ["app", "number"] },
  async run({ deps, actor }, input) {
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    const row = await pickDeploy(deps.db.db, app, input.number);
    return { appName: app.name, deployId: row.id, number: row.number, isOver: isFinal(row.status) };
  },
  view: () => ({}),
  follow: ({ appName, deployId, number, isOver }) => ({
    kind: "deploy",
    appName,
    deployId,
    number,
    detach: false,
    ...(isOver ? { isOver } : {}),
  }),
});

export const cancel = defineCommand({
  name: "deploys:cancel",
  aliases: ["cancel"],
  summary: "End a deploy that is not live yet; without a number the one that runs or waits",
  examples: ["cancel shop", "deploys:cancel shop 42"],
  needs: "developer",
  changes: true,
  input: OneDeploy,
  words: { positional: ["app", "number"] },
  auditInput: ({ number }) => ({ number: number ?? "the newest" }),
  async run({ deps, tx, actor }, input) {
    // With the app's row taken, the worker cannot switch between this look and what is written.
    const app = await lockNamedApp(tx, actor.orgId, input.app);
    const row = await pickUnfinished(tx, app, input.number);
    if (row.status === "live" && row.toldAt === null) return cancelHook(tx, actor, app, row);
    if (isFinal(row.status)) {
      const hint =
        row.status === "live" ? `zyndra releases:rollback ${app.name} goes back to the release before` : undefined;
      throw new UserError("conflict", `deploy #${row.number} of ${app.name} is ${row.status} already`, hint);
    }
    if (row.switchedAt !== null) {
      const hint = `zyndra releases:rollback ${app.name} goes back to the release before`;
      throw new UserError("conflict", `deploy #${row.number} of ${app.name} is already live; roll back instead`, hint);
    }
    await requestCancel(tx, row.id, actor.name);
    await publish(tx, deployTopic(row.id), app, [{ type: "cancel", by: actor.name }]);
    await ring(tx, cancelTopic(row.id));
    // Nobody works on a queued deploy, so its end is written here.
    if (row.status === "queued") {
      await endUnsuccessful(deps, tx, app, row.id, "cancelled", { headline: `cancelled by ${actor.name}` });
    }
    return { appName: app.name, deployId: row.id, number: row.number, was: row.status };
  },
  view: ({ appName, number, was }) => ({
    text:
      was === "queued"
        ? `deploy #${number} of ${appName} is cancelled`
        : was === "live"
          ? `deploy #${number} of ${appName} is live and stays so; its hook after the deploy is being ended`
          : `deploy #${number} of ${appName} is being stopped`,
  }),
  follow: ({ appName, deployId, number, was }) =>
    was === "queued" ? undefined : { kind: "deploy", appName, deployId, number, detach: true },
});

/** What is live stays; only the hook that runs after it is ended. */
async function cancelHook(tx: Db, actor: Actor, app: AppRow, row: DeployRow) {
  await requestCancel(tx, row.id, actor.name);
  await ring(tx, cancelTopic(row.id));
  return { appName: app.name, deployId: row.id, number: row.number, was: row.status };
}

export const retry = defineCommand({
  name: "deploys:retry",
  aliases: ["retry"],
  summary: "Try a deploy again as it was asked for; without a number the newest",
  examples: ["deploys:retry shop", "deploys:retry shop 42"],
  needs: "developer",
  changes: true,
  input: z.strictObject({
    app: ExistingApp,
    number: DeployNumber.optional(),
    force: ForceReason.optional(),
    detach: z.boolean().default(false),
  }),
  words: {
    positional: ["app", "number"],
    flags: { force: forceFlag, detach: { kind: "switch", summary: "do not wait for the end" } },
  },
  auditInput: ({ number, force }) => ({ number: number ?? "the newest", ...(force && { force }) }),
  async run({ deps, tx, actor }, input) {
    const app = await lockNamedApp(tx, actor.orgId, input.app);
    const row = await pickDeploy(tx, app, input.number);
    if (!isFinal(row.status)) {
      throw new UserError(
        "conflict",
        `deploy #${row.number} of ${app.name} is not over yet`,
        `zyndra deploys:logs ${app.name} ${row.number} follows it`,
      );
    }
    if (row.status === "live") {
      throw new UserError(
        "conflict",
        `deploy #${row.number} of ${app.name} went live`,
        `zyndra deploy ${app.name} deploys main again`,
      );
    }
    if (row.kind === "config") {
      const again = await startConfigDeploy(tx, app, actor, changesIn(row.title));
      if (!again) throw new UserError("conflict", `${app.name} has nothing live: the next push takes the config`);
      return started(app, { deploy: again, followed: false });
    }
    if ((await deps.repos.resolveCommit(app.id, row.commit!)) === null) {
      throw new UserError("gone", `the commit of deploy #${row.number} is no longer kept`, "git push zyndra main");
    }
    const { kind, title, commit, pushedOver, targetReleaseId, skipCache, number } = row;
    return started(
      app,
      await startDeploy(deps, tx, app.id, actor, {
        requestId: randomUUID(),
        kind,
        title,
        commit: commit!,
        pushedOver,
        ...(targetReleaseId ? { targetReleaseId } : {}),
        skipCache,
        retryOf: number,
        force: input.force,
      }),
    );
  },
  view: ({ appName, number }, { detach }) => begunView(appName, number, detach),
  follow: ({ appName, deployId, number }, { detach }) => ({ kind: "deploy", appName, deployId, number, detach }),
});

/** Where its log is followed, that begins with the same words. */
function begunView(appName: string, number: number, detach: boolean): View {
  return detach ? { text: `${appName}, deploy #${number}` } : {};
}

function started(app: AppRow, { deploy: row, followed }: { deploy: DeployRow; followed: boolean }) {
  return { appName: app.name, deployId: row.id, number: row.number, followed };
}

/** The named one, or the newest. @throws UserError not_found */
export async function pickDeploy(db: Db, app: AppRow, number: number | undefined): Promise<DeployRow> {
  if (number !== undefined) return getDeployByNumber(db, app, number);
  const [newest] = await listDeploys(db, app.id, 1);
  if (newest) return newest.deploy;
  throw new UserError("not_found", `${app.name} has no deploys yet`, "git push zyndra main makes the first");
}

/** What runs is meant before what waits. */
async function pickUnfinished(db: Db, app: AppRow, number: number | undefined): Promise<DeployRow> {
  if (number !== undefined) return getDeployByNumber(db, app, number);
  const unfinished = await listUnfinished(db, app.id);
  const [inHook] = await listUntold(db, app.id);
  const meant = unfinished.find((row) => row.status !== "queued") ?? inHook ?? unfinished[0];
  if (meant) return meant;
  throw new UserError(
    "conflict",
    `nothing of ${app.name} is being deployed`,
    `zyndra deploys ${app.name} lists what was`,
  );
}
