import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { perlEnvironment } from "./perl.ts";

/**
 * Does the work while holding a lock between processes. Node has no flock(2): a Perl of a few lines holds it for as long
 * as its standard input is open, so the kernel frees it however we end.
 * @throws LockBusy if it is not free within `waitMs`; the signal's reason if that aborts first.
 */
export async function withLock<T>(
  file: string,
  options: { signal?: AbortSignal; waitMs?: number },
  work: () => Promise<T>,
): Promise<T> {
  const release = await takeLock(file, options);
  try {
    return await work();
  } finally {
    await release();
  }
}

/** Someone else holds the lock. */
export class LockBusy extends Error {
  override name = "LockBusy";
}

const holder = `use Fcntl ":flock";
open my $file, ">>", $ARGV[0] or die "$!\\n";
flock $file, LOCK_EX or die "$!\\n";
syswrite STDOUT, "held";
sysread STDIN, my $nothing, 1;`;

async function takeLock(
  file: string,
  { signal, waitMs }: { signal?: AbortSignal; waitMs?: number },
): Promise<() => Promise<void>> {
  signal?.throwIfAborted();
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const child = spawn("perl", ["-e", holder, file], { stdio: ["pipe", "pipe", "pipe"], env: perlEnvironment });
  child.stdin.on("error", () => {});
  const ended = once(child, "close");
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    complaint += text;
  });

  const { promise: held, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal!.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const timer = waitMs === undefined ? undefined : setTimeout(() => reject(new LockBusy(`${file} is held`)), waitMs);
  child.stdout.once("data", () => resolve());
  ended.then(() => reject(new Error(`cannot lock ${file}: ${complaint.trim()}`)), reject);
  try {
    await held;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
  return async () => {
    child.stdin.end();
    await ended;
  };
}
