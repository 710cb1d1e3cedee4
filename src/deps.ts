import type { Builder } from "./builder/builder.ts";
import type { Check } from "./checks.ts";
import type { Database } from "./db/client.ts";
import type { DeployLogs } from "./events/deploy-logs.ts";
import type { Events } from "./events/events.ts";
import type { Log } from "./log.ts";
import type { Queue } from "./queue/queue.ts";
import type { Repos } from "./repos/repos.ts";
import type { Runtime } from "./runtime/runtime.ts";
import type { Keyring } from "./secrets/keyring.ts";

/** What the floors above stand on: the seams, the store and the log. Each function takes the parts it needs. */
export type Deps = {
  db: Database;
  events: Events;
  deployLogs: DeployLogs;
  queue: Queue;
  repos: Repos;
  builder: Builder;
  runtime: Runtime;
  keyring: Keyring;
  log: Log;
  limits: Limits;
  /** The platform's own address, as people use it. */
  publicUrl: string;
  /** By what other names people may reach the platform: none of them is an app's to have. */
  otherHosts: readonly string[];
  /** What `platform:doctor` looks at. */
  checks: readonly Check[];
};

/** How long the steps of a deploy may take, and how a worker holds its lease. */
export type Limits = {
  buildMs: number;
  releaseMs: number;
  rolloutMs: number;
  /** How long a deploy waits for add-ons that are still being made. */
  addonMs: number;
  /** A lease not renewed for this long is free to take. */
  leaseMs: number;
  /** How often the sweeper looks for what no ring told of. */
  sweepMs: number;
  /** How many apps one worker works on at once. */
  appsAtOnce: number;
  /** How many runs of cron entries one worker has going at once, of one app at most half of them. */
  cronAtOnce: number;
};
