import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../../errors.ts";
import { isAlive } from "./pid.ts";
import type { Place } from "./place.ts";
import { findServer, isServerOf } from "./server-process.ts";

const fastShutdownLimitMs = 20_000;
const immediateShutdownLimitMs = 5_000;

/** SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one, after which the next start recovers. */
export async function stopServer(place: Place): Promise<boolean> {
  const server = await findServer(place);
  if (server === undefined) return false;
  for (const [name, limitMs] of [
    ["SIGINT", fastShutdownLimitMs],
    ["SIGQUIT", immediateShutdownLimitMs],
  ] as const) {
    sendSignal(server.pid, name, place);
    if (await hasEndedWithin(server.pid, place, limitMs)) return true;
  }
  throw new Error(`The database (process ${server.pid}) did not stop; its log is ${place.logFile}.`);
}

function sendSignal(pid: number, name: NodeJS.Signals, place: Place): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ESRCH") return;
    const hint = "stop it as the user who started it, or as root";
    throw new UserError("forbidden", `the database in ${place.folder} (process ${pid}) belongs to another user`, hint);
  }
}

async function hasEndedWithin(pid: number, place: Place, limitMs: number): Promise<boolean> {
  const deadlineMs = Date.now() + limitMs;
  while (isAlive(pid) && (await isServerOf(pid, place))) {
    if (Date.now() > deadlineMs) return false;
    await sleep(10);
  }
  return true;
}
