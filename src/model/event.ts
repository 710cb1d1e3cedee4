import type { AddonState } from "./addons.ts";
import type { Cause } from "./cause.ts";
import type { DeployStatus } from "./deploy.ts";
import type { LogLine } from "./log-line.ts";
import type { Formation } from "./process-types.ts";

/** What can happen, as it is stored and sent to whoever follows. */
export type EventData =
  /** A chunk of a deploy's log. */
  | { type: "log"; lines: LogLine[] }
  /** A deploy moved on. On a final status this is the last event of its topic. */
  | { type: "deploy"; status: DeployStatus; headline: string; cause?: Cause; version?: number }
  /** Someone asked a deploy to end. */
  | { type: "cancel"; by: string }
  /** What runs has caught up with what was changed about the app without a release, up to this revision. */
  | { type: "applied"; formation: Formation; revision: number; cause?: Cause }
  | { type: "destroyed"; by: string; cause?: Cause }
  /**
   * An add-on moved on, or what stands in its way is another. Gone is the last that is heard of it. Whoever waits is not to wait
   * any longer where it `takesLong`: it goes on without them.
   */
  | { type: "addon"; state: AddonState | "gone"; cause?: Cause; takesLong?: true }
  /** A run of a cron entry that did not go as it should. `dueAt` as ISO 8601. */
  | { type: "cron"; name: string; dueAt: string; status: "failed" | "skipped" | "lost"; reason: string };

export type StoredEvent = { topic: string; seq: number; at: Date; data: EventData };

/** The stream of one deploy: its log and its changes of state. */
export const deployTopic = (deployId: string) => `deploy:${deployId}`;
/** The stream of an app: what is changed about it outside deploys. */
export const appTopic = (appId: string) => `app:${appId}`;
/** The stream of one add-on: its changes of state. */
export const addonTopic = (addonId: string) => `addon:${addonId}`;
/** Rung when an add-on is to be made or removed; nothing is stored in it. */
export const addonsTopic = "addons";
/** Rung when a deploy is to end; nothing is stored in it. */
export const cancelTopic = (deployId: string) => `cancel:${deployId}`;
/** Rung when cron entries may have changed, or a run was asked for. */
export const cronTopic = "cron";
/** Rung when a run may have been asked to end. */
export const runTopic = (runId: string) => `run:${runId}`;
/** Rung when there may be a run to which nobody attaches. */
export const detachedRunsTopic = "detached-runs";
/** Rung when there is something in the outbox. */
export const outboxTopic = "outbox";
