import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdtemp, realpath, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** A temporary folder of this run alone; what is left in it, servers too, goes with the run however that ends. */
    runFolder: string;
    /** Begins the name of every database of this run. */
    databasePrefix: string;
    /** A PostgreSQL to test on (TEST_DATABASE_URL); empty: the run has an embedded one, started by the first test that asks. */
    databaseUrl: string;
  }
}

/** Runs once before all test files; what it answers runs after them. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const runFolder = await mkdtemp(join(await roomyFolder(), "zyndra-test-"));
  const databasePrefix = `zyndra_test_${randomBytes(5).toString("hex")}`;
  const databaseUrl = process.env.TEST_DATABASE_URL ?? "";
  await chmod(runFolder, 0o711); // Tests that run as another user have folders of theirs in it.
  project.provide("runFolder", runFolder);
  project.provide("databasePrefix", databasePrefix);
  project.provide("databaseUrl", databaseUrl);
  return startCleaner(runFolder, databasePrefix, databaseUrl);
}

/** Memory where there is plenty, since a database is a thousand files and a test run makes dozens of them; else the disk. */
async function roomyFolder(): Promise<string> {
  const memory = await statfs("/dev/shm").catch(() => undefined);
  const isRoomy = memory !== undefined && memory.bavail * memory.bsize > 2 * 1024 ** 3;
  if (isRoomy && process.env.TMPDIR === undefined) return "/dev/shm";
  return await realpath(tmpdir());
}

/**
 * A process of its own session that waits for the end of this one, seen by the pipe between them: it closes too when the run is
 * interrupted or killed. A shell does the waiting, because it costs a megabyte.
 */
function startCleaner(...args: string[]): () => Promise<void> {
  const script = join(import.meta.dirname, "clean-up-run.ts");
  const waitThen = ["-c", 'cat >/dev/null; exec "$@"', "sh", process.execPath, script, ...args];
  const cleaner = spawn("/bin/sh", waitThen, { detached: true, stdio: ["pipe", "ignore", "inherit"] });
  cleaner.unref();
  (cleaner.stdin as unknown as { unref(): void }).unref();
  return async () => {
    const ended = once(cleaner, "exit");
    cleaner.ref();
    cleaner.stdin.end();
    await ended;
  };
}
