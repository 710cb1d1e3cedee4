import type { Formation } from "./process-types.ts";

/**
 * What an app's own files (zyndra.yml, Procfile, app.json) say about how it is built and run, from one commit. Every part may
 * be absent: nothing was said. It is kept with the build and with each release, so that a rollback brings it back too.
 */
export type AppSettings = {
  /** The app that this file is for: a push to another one is refused. */
  name?: string;
  build?: BuildSettings;
  /** By process type: all that there are, as zyndra.yml or the Procfile name them. Absent: detection decides. */
  processes?: Record<string, ProcessSettings>;
  hooks?: { release?: Hook; firstDeploy?: Hook; afterDeploy?: Hook };
  rollout?: RolloutSettings;
  cron?: CronEntry[];
  env?: Record<string, EnvRule>;
  /** Where a value stands, by its path in here: `{"processes.web.command": "zyndra.yml:12"}`; a cron entry by its name. */
  origins?: Record<string, string>;
};

export type BuildSettings = {
  /** The folder that is built, relative to the repository's own; absent: that one. */
  root?: string;
  /** `static`: what package.json builds, if anything, then a folder is served; absent or `auto`: detection decides. */
  builder?: "auto" | "static";
  /** The folder that is served by the builder `static`, relative to `root`; absent: where an index.html is. */
  output?: string;
  /** False: every build starts with empty caches. */
  cache?: boolean;
  timeoutMs?: number;
  /** Public variables of the build; a config var of the same name wins. */
  args?: Record<string, string>;
  /** Names of config vars that the build cannot do without. */
  secrets?: string[];
};

export type ProcessSettings = {
  /** Absent, for `web` alone: detection's. */
  command?: string;
  /** How many run until somebody scales. */
  count?: number;
  health?: HealthCheck;
  /** Between SIGTERM and SIGKILL; wins over the one of the roll-out. */
  stopGraceMs?: number;
};

/** GET this path until it answers 2xx or 3xx. */
export type HealthCheck = { path: string; timeoutMs?: number };

/** A command that is run once, in the new release's image and environment. */
export type Hook = { command: string; timeoutMs?: number };

export type RolloutSettings = {
  /** How long new processes may take to become healthy. */
  timeoutMs?: number;
  /** How long requests of the old version may take to finish. */
  drainMs?: number;
  stopGraceMs?: number;
};

export type CronEntry = {
  name: string;
  /** Five fields, as in crontab(5). */
  schedule: string;
  /** An IANA name; absent: UTC. */
  timezone?: string;
  command: string;
  /** What happens when it is due while the last run still goes on. */
  overlap: "forbid" | "allow";
  timeoutMs?: number;
  /** How often a failed run is tried again. */
  retries?: number;
};

/** What a file says of one config var. */
export type EnvRule = {
  /** Holds where no config var of this name is set. */
  value?: string;
  /** The value of the file wins over the config var. */
  sync?: boolean;
  /** Made once, of so many random bytes, where it is not set. */
  generateBytes?: number;
  /** A deploy without it is refused before anything is built. */
  required?: boolean;
  /** A deploy without it is warned of: app.json's `required`, which most repositories never say no to. */
  expected?: boolean;
  /** Taken from the platform. */
  from?: "app.url" | "app.name";
  description?: string;
};

/** The formation that an app's own files ask for, where nobody has scaled. */
export function saidFormation({ processes = {} }: AppSettings): Formation {
  return Object.fromEntries(
    Object.entries(processes).flatMap(([type, { count }]) => (count === undefined ? [] : [[type, count]])),
  );
}
