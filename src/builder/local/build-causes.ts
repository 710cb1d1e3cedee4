import type { Cause } from "../../model/cause.ts";
import { duration } from "../../model/deploy.ts";
import { BuildFailure } from "./build-failure.ts";

/** The cause behind an error of a build that its author or the machine's keeper can mend; undefined: it is our own fault. */
export function causeOfError(error: unknown): Cause | undefined {
  if (error instanceof BuildFailure) return error.reason;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "E2BIG") return causeOfLargeEnv;
  return code === "ENOSPC" || code === "EDQUOT" ? causeOfFullDisk(message) : undefined;
}

/** Linux takes 128 kB for one variable and a few megabytes for all (execve(2)). */
const causeOfLargeEnv: Cause = {
  headline: "the config vars are too large",
  detail: "the system starts no process with an environment of this size",
  hint: "put large values into a file or a store, and their address into the config var",
};

export function causeOfFullDisk(detail: string): Cause {
  return {
    headline: "the disk of this machine is full",
    detail,
    hint: "free space on it (old releases and caches lie in the data folder), then push again",
  };
}

export function causeOfTimeout(buildTimeoutMs: number, running: string | undefined, lastLines: string[]): Cause {
  return {
    headline: `the build took longer than ${duration(buildTimeoutMs)}`,
    ...(running ? { detail: `${running} was still running` } : {}),
    hint: "does a command wait for input, or never end (a watcher, a server)? A build must come to its end by itself",
    ...(lastLines.length > 0 ? { lastLines } : {}),
  };
}
