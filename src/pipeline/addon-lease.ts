import { type AddonLease, claimAddon, releaseAddon, renewAddonLease } from "../db/addon-work.ts";
import type { Db } from "../db/client.ts";
import type { AddonRow } from "../db/schema.ts";
import { StaleLease } from "../db/work.ts";
import type { Deps } from "../deps.ts";

/** An add-on that this worker may make or remove, as long as `signal` has not aborted. */
export type HeldAddon = {
  addon: AddonRow;
  /** Aborts with StaleLease when it was lost to another, or something else is to be done with it; or as the platform stops. */
  signal: AbortSignal;
  /** One transaction with the lease as it stands then, tried again while the database is away. */
  commit<T>(change: (tx: Db, lease: AddonLease) => Promise<T>): Promise<T>;
  /** Gives it back; it rests for so long before it is taken up again. */
  release(pauseMs?: number): Promise<void>;
};

/** Takes the next add-on with something to do, and keeps renewing its lease. Null where there is none. */
export async function holdAddon(
  deps: Pick<Deps, "db" | "limits" | "log">,
  stop: AbortSignal,
): Promise<HeldAddon | null> {
  const { db, limits, log } = deps;
  const claimed = await db.transaction((tx) => claimAddon(tx, limits.leaseMs));
  if (!claimed) return null;
  const { addon } = claimed;
  const lost = new AbortController();
  const signal = AbortSignal.any([lost.signal, stop]);
  let { lease } = claimed;

  // A renewal changes what the others know the row by, so all that is written comes one after the other.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(write: () => Promise<T>): Promise<T> => {
    const written = last.then(write);
    last = written.catch(() => {});
    return written;
  };
  const renew = async () => {
    try {
      const renewed = await renewAddonLease(db.db, lease, addon.state, limits.leaseMs);
      if (renewed) lease = renewed;
      else lost.abort(new StaleLease(`add-on ${addon.id} is no longer to be worked on here`));
    } catch (error) {
      // Nobody can take it while the database is away; whoever is first afterwards has it.
      log.warn({ err: error, addon: addon.id }, "a lease could not be renewed, trying again");
    }
  };
  const timer = setInterval(() => void inTurn(renew), limits.leaseMs / 4);

  return {
    addon,
    signal,
    commit: (change) => inTurn(() => db.persist((base) => base.transaction((tx) => change(tx, lease)), signal)),
    async release(pauseMs) {
      clearInterval(timer);
      await inTurn(() => releaseAddon(db.db, lease, pauseMs)).catch((error) =>
        log.warn({ err: error, addon: addon.id }, "a lease could not be given back; it ends by itself"),
      );
    },
  };
}
