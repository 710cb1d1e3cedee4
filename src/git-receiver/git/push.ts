import type { Actor } from "../../model/actor.ts";

/** What a push of one person asks of one app's repository, as the receiver has parsed and checked it. */
export type Push = {
  /** Made by the receiver, unique for each push: a hook that asks twice asks with the same id. */
  id: string;
  actor: Actor;
  appId: string;
  appName: string;
  gitDir: string;
  /** In `checkPush` every branch and tag of the push; in `receive` its branches only, as git itself stores tags. */
  updates: RefUpdate[];
  /** Push options (`-o`), in the order given; data from the pusher, never more than that. */
  options: string[];
  atomic: boolean;
  /** Only in `checkPush`: the variables with which a git child sees the objects that are still in quarantine. */
  quarantineEnv?: Record<string, string>;
  /** Aborts when the pusher's connection is gone. What was begun goes on; nobody reads the lines any more. */
  gone: AbortSignal;
};

/** One line of a push. An id of zeros stands for "was not there" (`oldId`) and "goes away" (`newId`). */
export type RefUpdate = { ref: string; oldId: string; newId: string };

/**
 * What became of one ref. `ok` alone: it stands where the pusher wants it, or will; nobody else is to move it.
 * With `fallThrough` git stores it now. Otherwise the reason is shown as `! [remote rejected] main -> main (reason)`.
 */
export type RefVerdict = { ref: string } & (
  | { ok: true; fallThrough?: false }
  | { ok: true; fallThrough: true }
  | { ok: false; reason: string }
);

/** All that the receiver does not know by itself: who may, and what a push means. */
export type ReceiverPolicy = {
  /** Who is it? Called on every request. Throws UserError `unauthenticated` or `rate_limited`. */
  authenticate(request: GitRequest): Promise<Actor>;

  /**
   * The repository behind a name for this actor. Throws UserError `not_found` for an unknown app and for one that is not
   * theirs, alike; `forbidden` where they may see it and not push. `name` keeps the rule of app names.
   */
  openRepository(actor: Actor, name: string, need: "fetch" | "push"): Promise<OpenedRepository>;

  /** Asked while the objects are in quarantine: a UserError refuses the whole push, and nothing of it is kept. */
  checkPush(push: Push): Promise<void>;

  /**
   * Answers one verdict for each branch of the push. `say` writes a line that the pusher sees at once. `signal` aborts when
   * the platform stops: answer soon. The pusher's going away does not abort it. A UserError refuses every branch.
   */
  receive(push: Push, say: (line: string) => void, signal: AbortSignal): Promise<RefVerdict[]>;
};

export type GitRequest = {
  /** The header as sent. */
  authorization: string | undefined;
  remoteAddress: string;
  /** Whether it came over TLS, here or at a trusted proxy. */
  secure: boolean;
};

export type OpenedRepository = { appId: string; appName: string; gitDir: string };

/** An id of git that names nothing. */
export function isZeroId(id: string): boolean {
  return /^0+$/.test(id);
}
