import { UserError } from "../../errors.ts";
import type { Place } from "./place.ts";

/** `what` failed; `output` is what PostgreSQL printed about it. */
export function explainOutput(what: string, output: string, place: Place): UserError {
  if (/No space left on device|Disk quota exceeded/.test(output)) return diskFull(place);
  const library = /error while loading shared libraries: ([^:\s]+)/.exec(output)?.[1];
  if (library) {
    const hint = "install it (on Debian: apt-get install libstdc++6), or set DATABASE_URL to a PostgreSQL of yours";
    return new UserError(
      "unavailable",
      `PostgreSQL needs the system library ${library}, which this machine lacks`,
      hint,
    );
  }
  if (/Cannot allocate memory|could not map anonymous shared memory|out of memory/.test(output)) {
    return new UserError("unavailable", `${what}: there is too little memory for it.`, "it needs about 100 MB");
  }
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const told =
    lines.findLast((line) => /\b(FATAL|PANIC|error|ERROR):/.test(line)) ?? lines.at(-1) ?? "it printed nothing";
  const reason = told.replace(/^.*?\b(FATAL|PANIC|error|ERROR):\s*/, "");
  return new UserError(
    "unavailable",
    `${what}: ${reason}`,
    `its log is ${place.logFile}; DATABASE_URL can name another PostgreSQL`,
  );
}

/** A UserError for what the caller can mend about the data folder; any other error comes back as it is. */
export function explainFileError(error: unknown, place: Place): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") return diskFull(place);
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
    const hint = "start as the user whom it belongs to, or set ZYNDRA_DATA to another folder";
    return new UserError("forbidden", `the data folder ${place.folder} cannot be written`, hint);
  }
  if (code === "ENOTDIR" || code === "EEXIST") {
    return new UserError("bad_input", `${place.folder} is not a folder`, "set ZYNDRA_DATA to another folder");
  }
  return error;
}

function diskFull(place: Place): UserError {
  return new UserError(
    "insufficient_storage",
    `the disk that holds ${place.folder} is full`,
    "the database needs about 100 MB to start: free some space, then start again",
  );
}
