import type { Log } from "../../log.ts";
import type { PostgresBinaries } from "./binaries.ts";
import type { Place } from "./place.ts";
import type { ServerUser } from "./user.ts";

/** One start of the server: where, with which programs, as whom. Until the server is ready, the signal ends what was begun. */
export type Start = { place: Place; binaries: PostgresBinaries; user: ServerUser; log: Log; signal: AbortSignal };

// Recovery after a crash reads all of the log that was written since the last checkpoint.
export const startLimitMs = 120_000;
