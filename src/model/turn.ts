import { type DeployKind, isSourceWork } from "./deploy.ts";

/** A queued deploy as it is looked at when the app is free. */
export type Queued = {
  number: number;
  kind: DeployKind;
  /** Main is the push's old value, or is contained in its new one; always true for what is no push. */
  keepsTip: boolean;
};

/** Whose turn it is, and who loses by it: by their numbers. */
export type Turn = {
  take: number | undefined;
  /** Pushes that were made over another main than the one that is live: they fail. */
  missed: number[];
  /** Older source work that the taken one replaces. */
  superseded: number[];
};

/**
 * Reads the queue of one app. Source work is read from newest to oldest: what misses the tip rule fails, the first that
 * keeps it is taken, older ones are superseded. The config deploy takes its turn by age, and never replaces anything.
 */
export function chooseTurn(queue: Queued[]): Turn {
  const newestFirst = [...queue].sort((a, b) => b.number - a.number);
  const source = newestFirst.filter((deploy) => isSourceWork(deploy.kind));
  const config = newestFirst.find((deploy) => !isSourceWork(deploy.kind));
  const winner = source.find((deploy) => deploy.keepsTip);

  if (config && (!winner || config.number < winner.number)) {
    // Source work stays as it is: what is newest may be another by the time it is looked at again.
    if (winner) return { take: config.number, missed: [], superseded: [] };
    return { take: config.number, missed: source.map((deploy) => deploy.number), superseded: [] };
  }
  const missed = source.filter((deploy) => !deploy.keepsTip && (!winner || deploy.number > winner.number));
  const superseded = winner ? source.filter((deploy) => deploy.number < winner.number) : [];
  return {
    take: winner?.number,
    missed: missed.map((deploy) => deploy.number),
    superseded: superseded.map((deploy) => deploy.number),
  };
}
