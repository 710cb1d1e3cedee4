import type { Readable, Writable } from "node:stream";

/**
 * Carries one checked push to git's receive-pack and back. Two implementations: node-git-server, and receive-pack started
 * directly; which one is a matter of configuration, and docs/decisions/0002-pack-transport.md says why there are two.
 */
export type PackTransport = (call: PackCall) => PackRun;

export const transportNames = ["node-git-server", "direct"] as const;
export type TransportName = (typeof transportNames)[number];

export type PackCall = {
  gitDir: string;
  pushId: string;
  /** All that stands before the pack, in one piece. */
  commands: Buffer;
  /** Told synchronously once git runs, before any hook of its can. */
  started(pid: number): void;
};

export type PackRun = {
  /** Takes the pack. Ending it early makes git give up and clear its quarantine by itself. Errors on it are expected. */
  input: Writable;
  /** What git answers, to its end. */
  output: Readable;
  /** Resolves when git has ended, with its exit code (null: killed). Rejects where it could not be started. */
  exited: Promise<number | null>;
  /** The last resort: git then leaves its quarantine to the sweeper. */
  kill(): void;
};
