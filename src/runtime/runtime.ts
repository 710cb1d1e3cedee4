import type { Readable, Writable } from "node:stream";
import type { Check } from "../checks.ts";
import type { AddonAccess, AddonKind, VolumeMount } from "../model/addons.ts";
import type { Cause } from "../model/cause.ts";
import type { Image } from "../model/image.ts";
import type { WriteLine } from "../model/log-line.ts";
import type { Formation, ProcessTypes, Restarts } from "../model/process-types.ts";

/** Where releases run: Kubernetes, or processes of this machine. In small parts, each used by other callers. */
export type Runtime = {
  readonly kind: "local" | "k8s";
  readonly rollout: Rollout;
  readonly processes: Processes;
  readonly edge: Edge;
  readonly data: Data;
  /** What it stands on, and whether what should run does, for `zyndra doctor`. */
  readonly checks: readonly Check[];
  /** Stops watching and serving; what runs goes on. */
  close(): Promise<void>;
};

/** All that a runtime needs to know to run one release of one app. */
export type ReleaseSpec = {
  appId: string;
  appName: string;
  releaseId: string;
  version: number;
  image: Image;
  /** The release's config vars. PORT and the like are added by the runtime. */
  env: Record<string, string>;
  processTypes: ProcessTypes;
  formation: Formation;
  /** GET this path until it answers 2xx or 3xx; absent: the port must accept a connection. */
  healthPath?: string;
  /** How long it may take to answer; absent: the runtime's own limit. */
  healthTimeoutMs?: number;
  /** Host names besides the app's own that lead to it. */
  hosts?: string[];
  /** A page is answered instead of the app, which goes on running. */
  isInMaintenance?: boolean;
  /** A process that was started at an older revision is replaced by a fresh one, as in a roll-out. */
  restarts?: Restarts;
  /** They change with a release only: the same one again keeps those that it began with. */
  volumes?: VolumeMount[];
  /** How long requests of the old version may take to finish; absent: the runtime's own limit. */
  drainMs?: number;
  /** By process type, between SIGTERM and SIGKILL; absent: the runtime's own limit. */
  stopGraceMs?: Record<string, number>;
};

export type Rollout = {
  /**
   * Makes exactly this release run in exactly this formation. The old version serves until every new process is
   * healthy; then `maySwitch` is asked once (false = give up, put everything back), traffic moves, the old ones drain and
   * stop. Calling it again with the same spec changes nothing; with another formation it adds and removes processes.
   * An unhealthy release is an answer: its processes are stopped, the old ones go on. An aborted signal puts everything
   * back likewise and rejects with the signal's reason; after the switch it is ignored.
   * @param fence a number that only grows; a call with a lower one than was seen for this app throws StaleFence.
   */
  apply(spec: ReleaseSpec, fence: number, call: RolloutCall): Promise<RolloutOutcome>;

  /** Stops and forgets everything of an app, its logs too. Nothing there is no fault. */
  destroy(appId: string, fence: number): Promise<void>;
};

export type RolloutCall = {
  write: WriteLine;
  /** The last word before traffic moves: after it answered true the deploy counts as switched. */
  maySwitch(): Promise<boolean>;
  signal: AbortSignal;
  /** How long the new processes may take to become healthy. */
  timeoutMs: number;
};

export type RolloutOutcome = { ok: true } | { ok: false; cause: Cause } | { ok: false; declined: true };

export class StaleFence extends Error {
  override name = "StaleFence";
}

export type Processes = {
  /** What runs (and what should run and does not), sorted by name. */
  list(appId: string): Promise<ProcessStatus[]>;
  /** The app's own output and the router's lines, oldest first; with `follow` it goes on until the signal aborts. */
  logs(appId: string, options: AppLogOptions, signal: AbortSignal): AsyncIterable<AppLogLine>;
  /**
   * Runs one command of a release to its end, in its folder and environment, and answers its exit code
   * (128 + signal number if a signal ended it). An aborted signal ends its process group and rejects.
   */
  run(spec: ReleaseSpec, command: string, write: WriteLine, signal: AbortSignal, options?: RunOptions): Promise<number>;
  /** The same with somebody at its other end: bytes in, bytes out, each no faster than the other side takes them. */
  attach(
    spec: ReleaseSpec,
    command: string,
    end: OtherEnd,
    signal: AbortSignal,
    options?: Pick<RunOptions, "name">,
  ): Promise<number>;
  /** Adds a line of Zyndra's own to the app's log, under the name of a process. An app that is gone has none. */
  note(appId: string, process: string, text: string): Promise<void>;
};

export type RunOptions = {
  /** What the command is called among the app's processes; `run.1` unless said. */
  name?: string;
  /** Its lines stand in the app's log as well, under that name; the app is live, or its command is not begun. */
  intoLog?: boolean;
};

/** Who is attached to a command. Its streams stay the caller's; `stdin` is destroyed when the command has ended. */
export type OtherEnd = {
  stdin: Readable;
  stdout: Writable;
  /** Not used with a terminal, where all output is one. */
  stderr: Writable;
  /** The command gets a terminal of this kind (TERM) and size; absent: pipes. */
  terminal?: { type: string; size: TerminalSize };
  /** Called once, with what is to hear of all that is no byte. */
  onSignal(hear: (signal: EndSignal) => void): void;
};

/** `interrupt`: Ctrl-C where no terminal makes a signal of it. */
export type EndSignal = { kind: "resize"; size: TerminalSize } | { kind: "interrupt" };

export type TerminalSize = { columns: number; rows: number };

export type ProcessStatus = {
  /** `web.1` */
  name: string;
  type: string;
  releaseId: string;
  version: number;
  state: "starting" | "up" | "crashed" | "stopping";
  since: Date;
  restarts: number;
  /** Why it is not up, in words, e.g. `exit 1, Cannot find module 'express'`. */
  reason?: string;
};

export type AppLogOptions = {
  /** How many of what was written before: the last ones that are wanted. */
  lines: number;
  follow: boolean;
  /** Only of this process or process type. */
  process?: string;
  /** The router's lines alone, or all others alone. */
  source?: LogSource;
  since?: Date;
  /** Lines with another text are left out, and do not count. */
  isWanted?(text: string): boolean;
};
export type LogSource = "app" | "router";
export type AppLogLine = { at: Date; process: string; text: string };

export type Edge = {
  /** The address people open for an app. */
  url(appName: string): string;
  /** Zyndra's own host; apps' own addresses are names below it. */
  baseDomain: string;
};

/** Databases and volumes: what outlives releases and may belong to several apps. Everything of theirs is named by id. */
export type Data = {
  /**
   * `there` says how many of this kind there are, those included of which nothing is made yet.
   * @throws UserError with the reason where no add-on of this kind, or none more, can be made here
   */
  mayMake(kind: AddonKind, there: number): Promise<void>;
  /**
   * How a new add-on will be reached, its password included. Each call makes another password, so it is made once, and kept
   * before `ensure` begins. Nothing of it is made yet; what it is to be made on may be started.
   */
  newAccess(addon: AddonSpec): Promise<AddonAccess>;
  /** How it is reached by now: its server or the data folder may have moved; the password stays. Looks nowhere. */
  reach(addon: AddonSpec, access: AddonAccess): AddonAccess;
  /**
   * Makes the add-on, opened by the password in `access`, or finds it made; may take minutes. Safe to run again, also after a
   * crash in the middle; what is in the add-on stays.
   */
  ensure(addon: AddonSpec, access: AddonAccess, signal: AbortSignal): Promise<void>;
  /** Removes it with all that is in it, whoever uses it. Nothing there is no fault. */
  destroy(addon: AddonSpec, signal: AbortSignal): Promise<void>;
  /** How it is now; what cannot be told in a moment is left out. */
  inspect(addon: AddonSpec): Promise<AddonFigures>;
};

export type AddonSpec = { id: string; projectId: string; kind: AddonKind };

export type AddonFigures = {
  sizeBytes?: number;
  /** Of a database: who is connected, and how many may be. */
  connections?: { open: number; most: number };
};
