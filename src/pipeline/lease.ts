import { randomUUID } from "node:crypto";
import type { AppRow } from "../db/schema.ts";
import { claimLease, type Lease, releaseLease, renewLease, StaleLease } from "../db/work.ts";
import type { Deps } from "../deps.ts";

/** The platform stops: what is begun is left as it is, and goes on with whoever claims the app next. */
export class HandBack extends Error {
  override name = "HandBack";
}

/** An app that this worker may change, as long as `signal` has not aborted. */
export type HeldApp = {
  lease: Lease;
  app: AppRow;
  /** The last holder died: what it had begun is resumed. */
  wasLost: boolean;
  /** Aborts with StaleLease when the app is lost to another, or with HandBack. */
  signal: AbortSignal;
  /** Gives the app back, for whoever comes next. */
  release(): Promise<void>;
};

/** Takes an app and keeps renewing its lease. Null where another holds it. */
export async function holdApp(
  deps: Pick<Deps, "db" | "limits" | "log">,
  appId: string,
  stop: AbortSignal,
): Promise<HeldApp | null> {
  const { leaseMs } = deps.limits;
  const claimed = await deps.db.transaction((tx) => claimLease(tx, appId, randomUUID(), leaseMs));
  if (!claimed) return null;
  const { lease, app, wasLost } = claimed;
  const lost = new AbortController();

  const renew = async () => {
    try {
      const held = await renewLease(deps.db.db, lease, leaseMs);
      if (!held) lost.abort(new StaleLease(`app ${appId} was taken by another worker`));
    } catch (error) {
      // Nobody can take the app while the database is away; whoever is first afterwards has it.
      deps.log.warn({ err: error, app: app.name }, "a lease could not be renewed, trying again");
    }
  };
  let renewing = Promise.resolve();
  const timer = setInterval(() => (renewing = renewing.then(renew)), leaseMs / 4);

  return {
    lease,
    app,
    wasLost,
    signal: AbortSignal.any([lost.signal, stop]),
    async release() {
      clearInterval(timer);
      await renewing;
      await releaseLease(deps.db.db, lease).catch((error) =>
        deps.log.warn({ err: error, app: app.name }, "a lease could not be given back; it ends by itself"),
      );
    },
  };
}
