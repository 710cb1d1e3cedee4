import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.ts";
import { explainOutput } from "./faults.ts";
import { type Launched, launch } from "./launch.ts";
import type { Place } from "./place.ts";
import { giveUpPort, isPortTaken } from "./port.ts";
import { findServer, type Server, setAsideForeignPidFile } from "./server-process.ts";
import { type Start, startLimitMs } from "./start.ts";

export type ReadyServer = Server & { isAdopted: boolean };

const predecessorLimitMs = 20_000;

/** Answers once a server runs on this folder and is ready: the one that runs already, or one that this start has launched. */
export async function ensureServer(start: Start): Promise<ReadyServer> {
  const { place, log, signal } = start;
  const deadlineMs = Date.now() + startLimitMs;
  let launched: Launched | undefined;
  let toldToWait = false;
  const startedMs = Date.now();
  try {
    for (;;) {
      const server = await findServer(place);
      if (server?.status === "ready") return { ...server, isAdopted: launched?.child.pid !== server.pid };
      if (server === undefined && launched === undefined) {
        await setAsideForeignPidFile(place);
        launched = await launch(start);
      }
      if (launched?.hasEnded() && server === undefined) {
        const reason = await launched.output();
        if (isPortTaken(reason)) await giveUpPort(launched.chosenPort, place);
        else if (!isPassing(reason) || Date.now() > startedMs + predecessorLimitMs)
          throw explainOutput("PostgreSQL did not start", reason, place);
        launched = undefined;
      }
      if (Date.now() > deadlineMs) throw tooLate(place);
      if (!toldToWait && Date.now() > startedMs + 3_000) {
        toldToWait = true;
        log.info({ logFile: place.logFile }, "database is still starting");
      }
      await sleep(Date.now() < startedMs + 500 ? 5 : 50, undefined, { signal });
    }
  } catch (error) {
    // A server that nobody waits for any more would stay behind; one that we did not start is not ours to end.
    if (launched && !launched.hasEnded()) launched.child.kill("SIGINT");
    throw error;
  }
}

function tooLate(place: Place): UserError {
  return new UserError(
    "unavailable",
    `PostgreSQL is not ready after ${startLimitMs / 1000} s`,
    `its log is ${place.logFile}; it may still be recovering: start again`,
  );
}

/** Orphans of a killed server hold its memory for a moment, and two starts at once meet at the lock file: both pass. */
function isPassing(reason: string): boolean {
  return /pre-existing shared memory block|lock file "postmaster.pid" already exists/.test(reason);
}
