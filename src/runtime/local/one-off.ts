import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { UserError } from "../../errors.ts";
import type { WriteLine } from "../../model/log-line.ts";
import type { ReleaseSpec, RunOptions } from "../runtime.ts";
import { processEnvironment } from "./environment.ts";
import { findSlug, type Ground } from "./ground.ts";
import { endMarked, spawnKeeper, writeLaunch } from "./instance.ts";
import { splitLines } from "./lines.ts";
import { openLineLog } from "./log-file.ts";
import { startTimeOf } from "./machine.ts";
import { appFolder, namesIn, readIfThere } from "./state.ts";

/**
 * See Processes.run. The command runs below a keeper that watches its standard input: should the platform be killed, the
 * pipe closes and the command is ended too, so that a release command never runs twice at once.
 */
export async function runOneOff(
  ground: Ground,
  spec: ReleaseSpec,
  command: string,
  write: WriteLine,
  signal: AbortSignal,
  { name = "run.1", intoLog = false }: RunOptions = {},
): Promise<number> {
  signal.throwIfAborted();
  const slug = await findSlug(ground, spec);
  if (!slug) throw new UserError("gone", `The files of v${spec.version} are gone.`, "push its commit again");
  const id = `run-${randomBytes(6).toString("hex")}`;
  const folder = join(runsFolder(ground.dataDir, spec.appId), id);
  await mkdir(join(folder, "home"), { recursive: true, mode: 0o700 });
  await mkdir(join(folder, "tmp"), { mode: 0o700 });
  try {
    await writeFile(join(folder, "owner"), `${process.pid} ${await startTimeOf(process.pid)}`, { mode: 0o600 });
    const env = processEnvironment({
      spec,
      slugDir: slug.dir,
      manifest: slug.manifest,
      processName: name,
      folder,
      nodeDir: ground.nodeDir,
    });
    const limits = ground.limits;
    await writeLaunch(folder, { name, instance: id, command, cwd: slug.dir, env, log: "/dev/null", limits });
    if (!intoLog) return await runInFolder(folder, write, signal);
    const lines = openLineLog(ground.dataDir, spec.appId, name, ground.log);
    const writeBoth: WriteLine = (line) => {
      lines.write(line.text);
      write(line);
    };
    return await runInFolder(folder, writeBoth, signal).finally(() => lines.close());
  } finally {
    await endMarked(id);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Ends what one-offs of a killed platform have left, and removes their folders. Running ones are left alone. */
export async function endLostRuns(dataDir: string, appId: string): Promise<void> {
  for (const id of await namesIn(runsFolder(dataDir, appId))) {
    const folder = join(runsFolder(dataDir, appId), id);
    const [pid, startTime] = ((await readIfThere(join(folder, "owner"))) ?? "").split(" ");
    // Without an owner it is being made this moment, or was never begun: nothing runs in it.
    if (!startTime || (await startTimeOf(Number(pid))) === startTime) continue;
    await endMarked(id);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Ends every one-off of an app, running or not. */
export async function endRuns(dataDir: string, appId: string): Promise<void> {
  for (const id of await namesIn(runsFolder(dataDir, appId))) {
    await endMarked(id);
    await rm(join(runsFolder(dataDir, appId), id), { recursive: true, force: true, maxRetries: 3 });
  }
}

async function runInFolder(folder: string, write: WriteLine, signal: AbortSignal): Promise<number> {
  const child = spawnKeeper("once", folder, ["pipe", "pipe", "pipe"], true);
  // Closing its input is the order to stop; the keeper sees to the rest.
  const stop = () => child.stdin!.destroy();
  child.stdin!.on("error", () => {});
  signal.addEventListener("abort", stop, { once: true });
  try {
    const ended = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    await once(child, "spawn");
    if (signal.aborted) stop();
    const output = Promise.all([relay(child.stdout!, write), relay(child.stderr!, write)]);
    const [code] = await ended;
    await output;
    signal.throwIfAborted();
    return code ?? 137;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function relay(output: Readable, write: WriteLine): Promise<void> {
  for await (const text of splitLines(output)) write({ kind: "output", text });
}

function runsFolder(dataDir: string, appId: string): string {
  return join(appFolder(dataDir, appId), "runs");
}
