import { insertRing, lockNamedApp } from "../db/apps.ts";
import { lastEventSeq } from "../db/events.ts";
import type { AppRow } from "../db/schema.ts";
import { appTopic } from "../model/event.ts";
import { refuseWhereGoing } from "../pipeline/start.ts";
import type { CommandContext } from "./command.ts";
import type { Follow } from "./follow.ts";

/** A change of an app without a release, as its command answers it. */
export type AppChange = {
  appName: string;
  appId: string;
  /** What runs has caught up when this one is applied; null = there was nothing to change. */
  revision: number | null;
  /** Events after this one tell of it. */
  after: number;
  /** False: nothing runs yet, and the first push takes it. */
  isLive: boolean;
};

/** Takes an app's row, so that what is decided about it holds until the change is written. @throws UserError */
export async function takeApp({ tx, actor }: Pick<CommandContext, "tx" | "actor">, name: string): Promise<AppRow> {
  const app = await lockNamedApp(tx, actor.orgId, name);
  refuseWhereGoing(app);
  return app;
}

/** Rings for a change that was written at this revision, and notes where its end will be told. */
export async function appChanged(
  { tx }: Pick<CommandContext, "tx">,
  app: AppRow,
  revision: number | null,
): Promise<AppChange> {
  const after = await lastEventSeq(tx, appTopic(app.id));
  if (revision !== null) await insertRing(tx, app);
  return { appName: app.name, appId: app.id, revision, after, isLive: app.liveReleaseId !== null };
}

/** Waits until the change is applied, where there is anything to apply it to. */
export function followChange(change: AppChange, done?: string, failed?: string): Follow | undefined {
  const { appName, appId, revision, after, isLive } = change;
  if (revision === null || !isLive) return undefined;
  return {
    kind: "app",
    appName,
    appId,
    until: { applied: revision },
    after,
    ...(done && { done }),
    ...(failed && { failed }),
  };
}
