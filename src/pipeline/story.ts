import type { Db } from "../db/client.ts";
import { getDeploy, moveDeploy, noteDeploy } from "../db/deploys.ts";
import { publish } from "../db/events.ts";
import type { AppRow, DeployRow } from "../db/schema.ts";
import { holdFence } from "../db/work.ts";
import type { Deps } from "../deps.ts";
import type { Cause } from "../model/cause.ts";
import { type DeployStatus, headline } from "../model/deploy.ts";
import { cancelTopic, deployTopic } from "../model/event.ts";
import type { LogLine, WriteLine } from "../model/log-line.ts";
import { type EffectiveConfig, readEffectiveConfig } from "./effective-config.ts";
import { endUnsuccessful } from "./endings.ts";
import type { HeldApp } from "./lease.ts";
import { maskCause, maskerOf } from "./masking.ts";

/** Someone asked this deploy to end. */
export class Cancelled extends Error {
  override name = "Cancelled";
  readonly by: string;

  constructor(by: string) {
    super(`cancelled by ${by}`);
    this.by = by;
  }
}

/** What the chapters of one deploy share: its row, its log, and the way to write under the app's fence. */
export type Story = {
  readonly deps: Deps;
  readonly held: HeldApp;
  /** As it stood when the story began; what chapters find out is handed on as results. */
  readonly deploy: DeployRow;
  /** Aborts with Cancelled, StaleLease or HandBack. */
  readonly signal: AbortSignal;
  readonly write: WriteLine;
  /** A cause as it may be stored and shown. */
  masked(cause: Cause): Cause;
  /** From now on these values are hidden as well. */
  hide(config: EffectiveConfig): void;
  /** One transaction under the fence, tried again while the database is away. @throws StaleLease */
  commit<T>(change: (tx: Db, app: AppRow) => Promise<T>): Promise<T>;
  /** Moves the deploy on; nothing happens where it is there, or further. */
  advance(to: "building" | "releasing" | "rolling_out"): Promise<void>;
  note(facts: Parameters<typeof noteDeploy>[2]): Promise<void>;
  /** Ends the deploy as not successful. */
  end(status: "failed" | "cancelled", cause: Cause): Promise<void>;
  close(): void;
};

const order: DeployStatus[] = ["queued", "building", "releasing", "rolling_out"];

/** Begins, or takes up again, the story of a deploy. */
export async function openStory(deps: Deps, held: HeldApp, deploy: DeployRow): Promise<Story> {
  const { lease } = held;
  const logged = {
    id: deploy.id,
    appId: deploy.appId,
    orgId: deploy.orgId,
    projectId: deploy.projectId,
    fence: lease.fence,
  };
  // Where the vars cannot be read, the chapter that needs them says so, and ends the deploy.
  const now = await deps.db
    .persist(({ db }) => readEffectiveConfig(deps, db, held.app, {}), held.signal)
    .catch((): EffectiveConfig => ({ vars: {}, origins: {} }));
  const hidden = [now];
  let masker = maskerOf(...hidden);

  // What has switched cannot be called back.
  const cancel = await watchForCancel(deps, held, deploy, ({ switchedAt }) => switchedAt === null);
  const signal = AbortSignal.any([held.signal, cancel.signal]);

  const masked = (cause: Cause) => maskCause(cause, (text) => masker.mask(text));
  const commit: Story["commit"] = (change) =>
    deps.db.persist((db) => db.transaction(async (tx) => change(tx, await holdFence(tx, lease))), held.signal);

  const write = (line: LogLine) => deps.deployLogs.write(logged, { kind: line.kind, text: masker.mask(line.text) });
  if (deploy.startedAt === null) write({ kind: "intro", text: "" });
  return {
    deps,
    held,
    deploy,
    signal,
    write,
    masked,
    hide(config) {
      // Old values stay hidden: the build may have printed them into files that show up later.
      hidden.push(config);
      masker = maskerOf(...hidden);
    },
    commit,
    async advance(to) {
      signal.throwIfAborted();
      const from = order.slice(0, order.indexOf(to));
      await commit(async (tx, app) => {
        if (!(await moveDeploy(tx, deploy.id, from, to))) return;
        const said = headline({
          appName: app.name,
          number: deploy.number,
          status: to,
          tookMs: Date.now() - deploy.createdAt.getTime(),
        });
        await publish(tx, deployTopic(deploy.id), app, [{ type: "deploy", status: to, headline: said }]);
      });
    },
    note: (facts) => commit((tx) => noteDeploy(tx, deploy.id, facts)),
    async end(status, cause) {
      await deps.deployLogs.stored(deploy.id);
      await commit((tx, app) => endUnsuccessful(deps, tx, app, deploy.id, status, masked(cause)));
      const { headline: why } = masked(cause);
      deps.log.info({ app: held.app.name, deploy: deploy.number, status, why }, "deploy ended");
    },
    close: cancel.close,
  };
}

/** Aborts with Cancelled once somebody has asked for it, as long as the deploy, as it stands then, may still be ended. */
export async function watchForCancel(
  deps: Pick<Deps, "db" | "events">,
  held: HeldApp,
  deploy: DeployRow,
  mayEnd: (now: DeployRow) => boolean,
): Promise<{ signal: AbortSignal; close(): void }> {
  const cancel = new AbortController();
  const look = async () => {
    const now = await deps.db.persist(({ db }) => getDeploy(db, deploy.id), held.signal).catch(() => null);
    if (now?.cancelRequestedAt && mayEnd(now)) cancel.abort(new Cancelled(now.cancelRequestedBy!));
  };
  const close = deps.events.watch(cancelTopic(deploy.id), look);
  // A cancel that came before the watch began rang for nobody.
  await look();
  return { signal: cancel.signal, close };
}
