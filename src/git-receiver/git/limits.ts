/** What one pusher, one app and everyone together may take. Times in milliseconds, sizes in bytes. */
export type GitLimits = {
  /** Everything before the pack: refs, shallow lines, options. */
  maxCommandBytes: number;
  maxRefs: number;
  maxPackBytes: number;
  /** The body of a fetch, unpacked. */
  maxFetchBytes: number;
  /** An upload that brings nothing for so long is broken off. */
  bodyIdleMs: number;
  /** A reader that takes nothing for so long counts as gone. */
  stallMs: number;
  maxPushesPerApp: number;
  maxPushes: number;
  maxFetches: number;
  /** Below this much free disk nothing is taken. */
  minFreeBytes: number;
  /** How long `checkPush` may take. */
  checkMs: number;
  /** How long a git whose pusher broke off may take to clear up by itself. */
  clearUpMs: number;
  /** How long closing waits for answers to reach their pushers. */
  closeMs: number;
};

export const defaultGitLimits: GitLimits = {
  maxCommandBytes: 1024 ** 2,
  maxRefs: 1_000,
  maxPackBytes: 512 * 1024 ** 2,
  maxFetchBytes: 32 * 1024 ** 2,
  bodyIdleMs: 30_000,
  stallMs: 5 * 60_000,
  maxPushesPerApp: 20,
  maxPushes: 100,
  maxFetches: 50,
  minFreeBytes: 256 * 1024 ** 2,
  checkMs: 2 * 60_000,
  clearUpMs: 5_000,
  closeMs: 10_000,
};

/**
 * Options of the `node:http` server that the door stands in. A push is one request that may upload for an hour and be
 * answered for another; Node's own limit of five minutes would cut it, so the door has limits of its own.
 */
export const gitServerSettings = {
  requestTimeout: 0,
  headersTimeout: 15_000,
  keepAliveTimeout: 15_000,
  // A pusher whose machine went away says nothing: the system asks from time to time.
  keepAlive: true,
  keepAliveInitialDelay: 30_000,
  noDelay: true,
} as const;
