import * as fs from "node:fs/promises";
import { basename, join } from "node:path";
import { runToEnd } from "./command.ts";
import { readIfThere } from "./optional-files.ts";
import { impossiblePid, isAlive } from "./pid.ts";
import type { Place } from "./place.ts";

export type Server = { pid: number; port: number; status: string };

/**
 * The server that runs on this folder, as its postmaster.pid tells: line 1 the pid, 4 the port, 8 the status
 * (PostgreSQL 18, src/include/utils/pidfile.h). The file outlives a kill -9 or a power cut and pids are given out again,
 * so the process must also be a postgres that works in this folder.
 */
export async function findServer(place: Place): Promise<Server | undefined> {
  const lines = (await readIfThere(join(place.cluster, "postmaster.pid")))?.split("\n") ?? [];
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return undefined;
  if (!(await isServerOf(pid, place))) return undefined;
  return { pid, port: Number(lines[3]), status: lines[7]?.trim() ?? "starting" };
}

/**
 * PostgreSQL refuses to start while the pid in a stale postmaster.pid belongs to any other process, as it may after a reboot.
 * We know that it is not the server, so the pid is replaced by one that cannot exist. The rest of the file stays: by its last
 * lines PostgreSQL sees whether processes of the dead server still use its memory.
 */
export async function setAsideForeignPidFile(place: Place): Promise<void> {
  const file = join(place.cluster, "postmaster.pid");
  const content = await readIfThere(file);
  if (content === undefined || !isAlive(Number.parseInt(content, 10))) return;
  const aside = join(place.cluster, `postmaster.pid.stale-${process.pid}`);
  await fs.rename(file, aside);
  // Another start may have been quicker, and this may be its server's file.
  const isStill = (await fs.readFile(aside, "utf8")) === content;
  if (isStill) await fs.writeFile(aside, content.replace(/^\d+/, String(impossiblePid)));
  await fs.link(aside, file).catch(() => undefined);
  await fs.rm(aside);
}

/** Whether the process is a postgres that works in this folder. */
export async function isServerOf(pid: number, place: Place): Promise<boolean> {
  if (process.platform !== "linux") {
    const { output } = await runToEnd(
      ["/bin/ps", "-ww", "-o", "command=", "-p", String(pid)],
      {},
      AbortSignal.timeout(5_000),
    );
    return output.trimEnd().endsWith(`/postgres -D ${place.cluster}`);
  }
  const [program, state, cwd, folder] = await Promise.all([
    readIfThere(`/proc/${pid}/cmdline`),
    readIfThere(`/proc/${pid}/stat`),
    fs.readlink(`/proc/${pid}/cwd`).catch(() => undefined),
    fs.realpath(place.cluster),
  ]);
  if (program === undefined || isZombie(state)) return false;
  const [name = "", option, value] = program.split("\0");
  if (basename(name) !== "postgres") return false;
  // The working folder follows a renamed data folder; where another user's may not be read, the command line tells.
  return cwd === undefined ? option === "-D" && value === place.cluster : cwd === folder;
}

/** A dead server whose parent does not collect it, as under a container's first process, still has a pid. */
function isZombie(stat: string | undefined): boolean {
  return stat !== undefined && /^\d+ \(.*\) Z/s.test(stat);
}
