import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import { promisify } from "node:util";
import { namesIn } from "./state.ts";

/** What this machine says of its processes: Linux by /proc, elsewhere by ps, which knows less. */

const hasProc = existsSync("/proc/self/environ");

/** The environment variable that every process of an instance carries, its keeper too. */
export const instanceMark = "ZYNDRA_INSTANCE";

/**
 * When a process began, as a text to be compared; undefined if it is gone (a zombie is). With the process id it names
 * a process for good: an id alone is soon another's.
 */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  if (!hasProc) return ps(pid, "lstart=");
  const fields = await statFields(pid);
  return fields && fields[0] !== "Z" && fields[0] !== "X" ? fields[19] : undefined;
}

/** The fields of /proc/PID/stat from the third on: state, parent, group, … (proc(5)). */
async function statFields(pid: number): Promise<string[] | undefined> {
  const stat = await readProc(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses and may hold anything.
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** The words of a process's command line; none if it is gone. */
export async function commandLineOf(pid: number): Promise<string[]> {
  if (!hasProc) return (await ps(pid, "command="))?.split(" ") ?? [];
  return (await readProc(`/proc/${pid}/cmdline`))?.split("\0") ?? [];
}

/**
 * All processes of an instance: its process group, and what carries its mark. A program that writes its title over its
 * environment hides the mark; one that becomes a daemon leaves the group.
 */
export async function processesOf(instanceId: string, groupId: number | undefined): Promise<number[]> {
  const [marked, grouped] = await Promise.all([
    markedProcesses(instanceId),
    groupId === undefined ? [] : processesOfGroup(groupId),
  ]);
  return [...new Set([...marked, ...grouped])];
}

/** The processes that carry an instance's mark, whatever became of their parents and groups. */
export async function markedProcesses(instanceId: string): Promise<number[]> {
  if (!hasProc) return markedByPs(instanceId);
  const mark = `\0${instanceMark}=${instanceId}\0`;
  const pids = await allProcesses();
  const marked = await Promise.all(
    pids.map(async (pid) => {
      if (pid === process.pid) return false;
      const environ = await readProc(`/proc/${pid}/environ`);
      return environ !== undefined && `\0${environ}\0`.includes(mark);
    }),
  );
  return pids.filter((_, index) => marked[index]);
}

async function processesOfGroup(groupId: number): Promise<number[]> {
  if (!hasProc) return [];
  const pids = await allProcesses();
  const groups = await Promise.all(pids.map(async (pid) => (await statFields(pid))?.[2]));
  return pids.filter((_, index) => groups[index] === String(groupId));
}

async function allProcesses(): Promise<number[]> {
  return (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
}

export type Listener = { address: string; port: number };

/**
 * Where these processes accept TCP connections; undefined where the machine does not say (no /proc, or sockets of
 * another user).
 */
export async function listenersOf(pids: number[]): Promise<Listener[] | undefined> {
  if (!hasProc) return undefined;
  const inodes = new Set((await Promise.all(pids.map(socketsOf))).flat());
  const tables = await Promise.all(["/proc/net/tcp", "/proc/net/tcp6"].map((file) => readProc(file)));
  return tables
    .flatMap((table) => parseSocketTable(table ?? ""))
    .filter((socket) => socket.listening && inodes.has(socket.inode))
    .map(({ address, port }) => ({ address, port }));
}

/** The rows of /proc/net/tcp or tcp6 (proc_net_tcp in the kernel's documentation). */
export function parseSocketTable(table: string): (Listener & { inode: string; listening: boolean })[] {
  return table
    .split("\n")
    .slice(1)
    .map((row) => row.trim().split(/\s+/))
    .filter((fields) => fields.length > 9)
    .map((fields) => {
      const [address = "", port = ""] = fields[1]!.split(":");
      return {
        address: address.length === 8 ? ipv4(address) : ipv6(address),
        port: Number.parseInt(port, 16),
        listening: fields[3] === "0A",
        inode: fields[9]!,
      };
    });
}

// The kernel prints each 32-bit word in the machine's byte order: little endian wherever Node runs today.
function ipv4(hex: string): string {
  return [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join(".");
}

function ipv6(hex: string): string {
  if (/^0+$/.test(hex)) return "::";
  if (hex === "00000000000000000000000001000000") return "::1";
  const words = [0, 8, 16, 24].map((at) =>
    ipv4(hex.slice(at, at + 8))
      .split(".")
      .map(Number),
  );
  if (hex.startsWith("0000000000000000FFFF0000")) return words[3]!.join(".");
  const pairs = words.flatMap(([a, b, c, d]) => [(a! << 8) | b!, (c! << 8) | d!]);
  return pairs.map((pair) => pair.toString(16)).join(":");
}

async function socketsOf(pid: number): Promise<string[]> {
  const names = await namesIn(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")));
  return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
}

/** A process may go, or be another user's, while we read: both are "nothing to see". */
async function readProc(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "latin1");
  } catch {
    return undefined;
  }
}

const run = promisify(execFile);

async function ps(pid: number, column: string): Promise<string | undefined> {
  try {
    const { stdout } = await run("/bin/ps", ["-ww", "-o", column, "-p", String(pid)], { timeout: 5_000 });
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}

async function markedByPs(instanceId: string): Promise<number[]> {
  const options = { timeout: 5_000, maxBuffer: 64 * 1024 * 1024 };
  const { stdout } = await run("/bin/ps", ["-axEww", "-o", "pid=,command="], options);
  return stdout
    .split("\n")
    .filter((line) => line.includes(`${instanceMark}=${instanceId}`))
    .map((line) => Number.parseInt(line, 10))
    .filter((pid) => pid !== process.pid);
}
