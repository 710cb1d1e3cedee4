import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import { UserError } from "../../errors.ts";
import { replacingShell } from "../../model/command-line.ts";
import type { WriteLine } from "../../model/log-line.ts";
import type { EndSignal, OtherEnd, ReleaseSpec, RunOptions, TerminalSize } from "../runtime.ts";
import { processEnvironment } from "./environment.ts";
import { findSlug, type Ground } from "./ground.ts";
import { endKept, endMarked, type KeeperStreams, spawnKeeper, writeLaunch } from "./instance.ts";
import { splitLines } from "./lines.ts";
import { LockBusy } from "./lock.ts";
import { openLineLog } from "./log-file.ts";
import { startTimeOf } from "./machine.ts";
import { keepingVolumes, mountDesired, mountRun } from "./mounted.ts";
import { appFolder, type Desired, findDesired, namesIn, readIfThere, runsFolder, withApp } from "./state.ts";

/** See Processes.run. */
export function runOneOff(
  ground: Ground,
  spec: ReleaseSpec,
  command: string,
  write: WriteLine,
  signal: AbortSignal,
  { name = defaultName, intoLog = false }: RunOptions = {},
): Promise<number> {
  const lines = intoLog ? openLineLog(ground.dataDir, spec.appId, name, ground.log) : undefined;
  const writeAll: WriteLine = (line) => {
    lines?.write(line.text);
    write(line);
  };
  const tell = (text: string) => write({ kind: "text", text });
  const asked = { name, command, ofLive: intoLog, streams: "pipes" } as const;
  const running = runOnce(ground, spec, asked, signal, tell, async (keeper) => {
    keeper.stdin!.write(frame("end"));
    await Promise.all([relay(keeper.stdout!, writeAll), relay(keeper.stderr!, writeAll)]);
  });
  return running.finally(() => lines?.close());
}

/** See Processes.attach. @throws UserError where a terminal is asked for and this machine cannot give one */
export async function attachOneOff(
  ground: Ground,
  spec: ReleaseSpec,
  command: string,
  end: OtherEnd,
  signal: AbortSignal,
  { name = defaultName }: Pick<RunOptions, "name"> = {},
): Promise<number> {
  const { terminal } = end;
  if (terminal && process.platform !== "linux") {
    const hint = "without one: --no-tty";
    throw new UserError("unavailable", "a terminal for a command needs Zyndra to run on Linux", hint);
  }
  const env: Record<string, string> = terminal ? { TERM: terminal.type } : {};
  const streams: KeeperStreams = terminal ? { streams: "terminal", ...terminal.size } : { streams: "pipes" };
  const tell = (text: string) => ground.log.warn({ app: spec.appName }, text);
  return runOnce(ground, spec, { name, command, env, ...streams }, signal, tell, async (keeper) => {
    end.onSignal(passingOn({ input: keeper.stdin!, interrupt: () => keeper.kill("SIGINT") }));
    void feed(keeper.stdin!, end.stdin);
    try {
      await Promise.all([pour(keeper.stdout!, end.stdout), pour(keeper.stderr!, end.stderr)]);
    } finally {
      end.stdin.destroy();
    }
  });
}

/** Ends what one-offs of a killed platform have left, and removes their folders. Running ones are left alone. */
export async function endLostRuns(dataDir: string, appId: string): Promise<void> {
  for (const id of await namesIn(runsFolder(dataDir, appId))) {
    const folder = join(runsFolder(dataDir, appId), id);
    const [pid, startTime] = ((await readIfThere(join(folder, "owner"))) ?? "").split(" ");
    // Without an owner it is being made this moment, or was never begun: nothing runs in it.
    if (!startTime || (await startTimeOf(Number(pid))) === startTime) continue;
    await endKept(folder);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Ends every one-off of an app, running or not; each is nobody's from then on. */
export async function endRuns(dataDir: string, appId: string): Promise<void> {
  const end = async (folder: string) => {
    await rm(join(folder, "owner"), { force: true });
    await endKept(folder);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  };
  const ids = await namesIn(runsFolder(dataDir, appId));
  await Promise.all(ids.map((id) => end(join(runsFolder(dataDir, appId), id))));
}

type OneOff = {
  name: string;
  command: string;
  env?: Record<string, string>;
  /** The app is live, and may be destroyed at any moment. */
  ofLive?: boolean;
};

/**
 * Runs a command below a keeper that watches its standard input: should the platform be killed, that closes and the command
 * is ended too, so that a release command never runs twice at once. `attend` deals with the keeper's streams while it runs.
 */
async function runOnce(
  ground: Ground,
  release: ReleaseSpec,
  { ofLive = false, ...asked }: OneOff & KeeperStreams,
  signal: AbortSignal,
  tell: (text: string) => void,
  attend: (keeper: ChildProcess) => Promise<void>,
): Promise<number> {
  signal.throwIfAborted();
  const { dataDir, nodeDir, limits } = ground;
  // What runs has the volumes it was released with, and so has a command beside it, whatever was attached since.
  const spec = keepingVolumes(await findDesired(dataDir, release.appId), release);
  const slug = await findSlug(ground, spec);
  if (!slug) throw new UserError("gone", `The files of v${spec.version} are gone.`, "push its commit again");
  const id = `run-${randomBytes(6).toString("hex")}`;
  const folder = join(runsFolder(dataDir, spec.appId), id);
  await makeRunFolder(ground, spec, folder, ofLive);
  try {
    await writeFile(join(folder, "owner"), `${process.pid} ${await startTimeOf(process.pid)}`, { mode: 0o600 });
    const linked = await mountRun(ground, spec, slug, folder);
    if (!linked.ok) throw new UserError("conflict", linked.cause.headline, linked.cause.hint);
    linked.covered.forEach(tell);
    const { dir, manifest } = slug;
    const made = processEnvironment({ spec, slugDir: dir, manifest, processName: asked.name, folder, nodeDir });
    const env = { ...made, ...asked.env };
    const command = replacingShell(asked.command);
    await writeLaunch(folder, { ...asked, command, instance: id, cwd: dir, env, log: "/dev/null", limits });
    const exitCode = await keepOnce(folder, signal, attend);
    if ((await readIfThere(join(folder, "owner"))) === undefined) throw isBeingRemoved(spec);
    return exitCode;
  } finally {
    await endMarked(id);
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    await unmountRun(ground, spec);
  }
}

/** What runs on the same files finds them as they were, where the command had other volumes. Who is changing the app does it else. */
async function unmountRun(ground: Ground, { appId, image, volumes = [] }: ReleaseSpec): Promise<void> {
  const hasOthers = (current: Desired | undefined): current is Desired =>
    current?.spec.image === image && !isDeepStrictEqual(current.spec.volumes ?? [], volumes);
  if (!hasOthers(await findDesired(ground.dataDir, appId))) return;
  try {
    await withApp(ground.dataDir, appId, { waitMs: unmountWaitMs }, async () => {
      const current = await findDesired(ground.dataDir, appId);
      if (hasOthers(current)) await mountDesired(ground, current);
    });
  } catch (error) {
    if (error instanceof LockBusy) return;
    ground.log.error({ appId, err: error }, "what a command had mounted could not be taken away");
  }
}

const unmountWaitMs = 1_000;

/** A command of what is live begins in the app's own folder: that of an app that was destroyed meanwhile must not come back. */
async function makeRunFolder({ dataDir }: Ground, spec: ReleaseSpec, folder: string, ofLive: boolean): Promise<void> {
  // A release command may come before all else; its deploy holds the app, so that nobody destroys it.
  if (!ofLive) await mkdir(appFolder(dataDir, spec.appId), { recursive: true, mode: 0o700 });
  try {
    await mkdir(runsFolder(dataDir, spec.appId), { mode: 0o700 }).catch((error) => {
      if (error.code !== "EEXIST") throw error;
    });
    for (const one of [folder, join(folder, "home"), join(folder, "tmp")]) await mkdir(one, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw isBeingRemoved(spec);
  }
}

function isBeingRemoved({ appName }: ReleaseSpec): UserError {
  return new UserError("gone", `Nothing of ${appName} is here any more: it is being removed.`);
}

async function keepOnce(
  folder: string,
  signal: AbortSignal,
  attend: (keeper: ChildProcess) => Promise<void>,
): Promise<number> {
  const keeper = spawnKeeper("once", folder, ["pipe", "pipe", "pipe"], true);
  keeper.stdin!.on("error", () => {});
  // Closing its input is the order to stop; the signal is for one that does not read it. The keeper sees to the rest.
  const stop = () => {
    keeper.stdin!.destroy();
    keeper.kill("SIGTERM");
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    const ended = once(keeper, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    await once(keeper, "spawn");
    if (signal.aborted) stop();
    // Who does not take the output any more ends the command, too.
    const attended = attend(keeper).catch((error: unknown) => {
      stop();
      throw error;
    });
    attended.catch(() => {});
    const [code] = await ended;
    if (!signal.aborted) await attended;
    signal.throwIfAborted();
    return code ?? 137;
  } finally {
    signal.removeEventListener("abort", stop);
    for (const stream of [keeper.stdin!, keeper.stdout!, keeper.stderr!]) stream.destroy();
  }
}

async function relay(output: Readable, write: WriteLine): Promise<void> {
  for await (const text of splitLines(output)) write({ kind: "output", text });
}

async function pour(output: Readable, into: Writable): Promise<void> {
  for await (const chunk of output as AsyncIterable<Buffer>) await written(into, chunk);
}

/** Hands input to the keeper, no faster than the command reads it. */
async function feed(keeperInput: Writable, stdin: Readable): Promise<void> {
  try {
    for await (const chunk of stdin as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; at += frameBytes) {
        await written(keeperInput, frame("data", chunk.subarray(at, at + frameBytes)));
      }
    }
    await written(keeperInput, frame("end"));
  } catch {
    // The command has ended, or who was attached is gone: both are told elsewhere.
  }
}

/** Nobody presses keys faster. */
const interruptsApartMs = 20;

/**
 * Hands signals to the keeper, however many come: of the sizes that come while it does not read, only the newest counts.
 */
export function passingOn({ input, interrupt }: { input: Writable; interrupt(): void }): (heard: EndSignal) => void {
  let newest: TerminalSize | undefined;
  let isWriting = false;
  let interruptedAtMs = Number.NEGATIVE_INFINITY;
  const writeNewest = () => {
    if (isWriting || newest === undefined || !input.writable) return;
    isWriting = true;
    input.write(frame("size", sizeBytes(newest)), () => {
      isWriting = false;
      writeNewest();
    });
    newest = undefined;
  };
  return (heard) => {
    if (heard.kind === "resize") {
      newest = heard.size;
      writeNewest();
    } else if (performance.now() - interruptedAtMs > interruptsApartMs) {
      interruptedAtMs = performance.now();
      interrupt();
    }
  };
}

function sizeBytes({ columns, rows }: TerminalSize): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16BE(columns, 0);
  bytes.writeUInt16BE(rows, 2);
  return bytes;
}

function written(into: Writable, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => into.write(bytes, (error) => (error ? reject(error) : resolve())));
}

const frameBytes = 32 * 1024;

/** What keeper.pl reads on its standard input: a letter, the length in four bytes, the bytes. */
function frame(kind: "data" | "end" | "size", payload: Uint8Array = new Uint8Array()): Buffer {
  const head = Buffer.alloc(5);
  head.write({ data: "d", end: "e", size: "w" }[kind], "latin1");
  head.writeUInt32BE(payload.length, 1);
  return Buffer.concat([head, payload]);
}

const defaultName = "run.1";
