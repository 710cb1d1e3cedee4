import * as fs from "node:fs/promises";
import type { Log } from "../../log.ts";
import type { Place } from "./place.ts";

const logLimitBytes = 10 * 1024 * 1024;
const logCheckEveryMs = 10 * 60_000;

/** The server appends to one file for as long as it lives, so the old part is moved aside under it; lines of that moment may be lost. */
export function keepLogSmall(place: Place, log: Log): NodeJS.Timeout {
  const check = () =>
    cutLog(place).catch((error: unknown) => log.warn({ error: String(error) }, "the database's log could not be cut"));
  void check();
  return setInterval(check, logCheckEveryMs).unref();
}

/** What the server's log holds from a position (bytes) on. */
export async function readLogFrom(place: Place, position: number): Promise<string> {
  return (await fs.readFile(place.logFile)).subarray(position).toString("utf8");
}

async function cutLog(place: Place): Promise<void> {
  const { size } = await fs.stat(place.logFile);
  if (size <= logLimitBytes) return;
  await fs.copyFile(place.logFile, `${place.logFile}.1`);
  await fs.truncate(place.logFile, 0);
}
