import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

/**
 * Every process of a build carries this variable, and so do its children, whatever session or group they moved to.
 * The value is `APP_ID/BUILD_ID`.
 */
export const buildMark = "ZYNDRA_BUILD";

const killAfterMs = 1_500;
const giveUpAfterMs = 5_000;
const lookAgainMs = 25;

/** Which processes are meant: by a mark (a whole one, or its beginning up to and with the slash) and by process group. */
export type Prey = { mark: string; groups?: Iterable<number> };

/**
 * Ends every process of a build: SIGTERM, then SIGKILL 1.5 s later, until none is left. Linux finds them by their
 * environment; elsewhere only the given process groups are reached.
 */
export async function endProcesses(prey: Prey): Promise<number> {
  const groups = new Set(prey.groups ?? []);
  const signalled = new Set<number>();
  const startedAt = performance.now();
  let isKilling = false;
  for (;;) {
    const alive = await findProcesses(prey.mark, groups);
    const elapsedMs = performance.now() - startedAt;
    if (alive.length === 0 || elapsedMs > giveUpAfterMs) return signalled.size;
    if (!isKilling && elapsedMs >= killAfterMs) {
      isKilling = true;
      signalled.clear();
    }
    for (const pid of alive) {
      if (isKilling || !signalled.has(pid)) send(pid, isKilling ? "SIGKILL" : "SIGTERM");
      signalled.add(pid);
    }
    await delay(lookAgainMs);
  }
}

async function findProcesses(mark: string, groups: ReadonlySet<number>): Promise<number[]> {
  if (process.platform !== "linux") return [...groups].map((group) => -group).filter((pid) => send(pid, 0));
  const names = await readdir("/proc");
  const pids = names
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid);
  const matches = await Promise.all(pids.map((pid) => isPrey(pid, mark, groups)));
  return pids.filter((_, index) => matches[index]);
}

/** A zombie only waits for its parent to look: it counts as ended. A process that vanishes meanwhile too. */
async function isPrey(pid: number, mark: string, groups: ReadonlySet<number>): Promise<boolean> {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, "latin1");
    const isMarked = `\0${environment}`.includes(`\0${buildMark}=${mark}${mark.endsWith("/") ? "" : "\0"}`);
    if (!isMarked && groups.size === 0) return false;
    const { state, group } = await statOf(pid);
    return state !== "Z" && state !== "X" && (isMarked || groups.has(group));
  } catch {
    return false;
  }
}

/** Fields of /proc/PID/stat (proc_pid_stat(5)) after the command's name, which may hold spaces and parentheses. */
async function statOf(pid: number): Promise<{ state: string; group: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  const [state, , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: state!, group: Number(group) };
}

/** Whether the signal reached someone. */
function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
