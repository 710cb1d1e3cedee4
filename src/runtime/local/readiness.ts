import { request } from "node:http";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Cause } from "../../model/cause.ts";
import type { WriteLine } from "../../model/log-line.ts";
import type { ReleaseSpec } from "../runtime.ts";
import {
  type CrashFacts,
  diagnoseCrash,
  diagnoseSilence,
  exitWords,
  type HealthAnswer,
  type SilenceFacts,
  silenceSoFar,
} from "./diagnosis.ts";
import { findKeeper, freshStatus, type KeeperStatus, readStatus } from "./instance.ts";
import { listenersOf, processesOf } from "./machine.ts";
import { type DesiredProcess, processFolder } from "./state.ts";

/** What the waiting needs to know of the release whose processes have just been started. */
export type Start = {
  dataDir: string;
  spec: ReleaseSpec;
  slugDir: string;
  host: string;
  processes: DesiredProcess[];
  write: WriteLine;
  signal: AbortSignal;
  timeoutMs: number;
  /** A process that is no web is healthy after being up for this long. */
  settleMs: number;
  /** A web process that listens on other ports alone for this long fails. */
  wrongPortMs: number;
  /** Called at each look: throws if the caller must not go on. */
  mayGoOn(): Promise<void>;
};

/** So many ends within one start are a crash loop. */
const startsBeforeGivingUp = 3;
/** A web process is looked at this often while it is young, and less often later. */
const firstLookMs = 50;
const laterLookMs = 250;
const youngForMs = 3_000;
const sayEveryMs = 10_000;
const portsEveryMs = 1_000;
const healthAnswerLimitMs = 5_000;

/**
 * Waits until every process is healthy at the same time. Answers why not, if one crashes again and again or the time is
 * over. Rejects with the signal's reason.
 */
export async function waitUntilHealthy(start: Start): Promise<{ ok: true } | { ok: false; cause: Cause }> {
  const startedAt = Date.now();
  const counts = countHealthy(start);
  const over = new AbortController();
  const signal = AbortSignal.any([start.signal, over.signal]);
  const healthyStarts = new Map<string, number>();
  let waiting = start.processes;
  try {
    while (waiting.length > 0) {
      const verdicts = await Promise.all(
        waiting.map(async (process) => {
          const verdict = await waitForOne(start, process, startedAt, signal);
          if (verdict.kind === "healthy") {
            healthyStarts.set(process.id, verdict.starts);
            counts.tell(process, verdict.how);
          }
          // The first fault ends the waiting for the others.
          if (verdict.kind === "failed") over.abort();
          return verdict;
        }),
      );
      start.signal.throwIfAborted();
      const failure = verdicts.find((verdict) => verdict.kind === "failed");
      if (failure) return { ok: false, cause: failure.cause };
      // What was healthy first may have crashed while the last one was waited for.
      const now = await Promise.all(start.processes.map((process) => readStatus(folderOf(start, process))));
      waiting = start.processes.filter(
        ({ id }, index) => now[index]?.state !== "up" || now[index].starts !== healthyStarts.get(id),
      );
    }
    return { ok: true };
  } finally {
    over.abort();
  }
}

type Verdict =
  | { kind: "healthy"; how: string; starts: number }
  | { kind: "failed"; cause: Cause }
  /** Another one has failed, or nobody wants to know any more. */
  | { kind: "given up" };

async function waitForOne(
  start: Start,
  process: DesiredProcess,
  startedAt: number,
  signal: AbortSignal,
): Promise<Verdict> {
  const deadline = startedAt + start.timeoutMs;
  let saidAt = startedAt;
  let last: Probe = { ready: false };
  const ports = watchPorts(start, process);
  for (;;) {
    if (signal.aborted) return { kind: "given up" };
    await start.mayGoOn();
    const status = await readStatus(folderOf(start, process));
    const crash = await crashOf(start, process, status, startedAt);
    if (crash) return { kind: "failed", cause: crash };
    if (status?.state === "up") {
      const limitMs = Math.min(
        start.spec.healthTimeoutMs ?? healthAnswerLimitMs,
        Math.max(firstLookMs, deadline - Date.now()),
      );
      last = await probe(start, process, status, limitMs);
      if (last.ready) return { kind: "healthy", how: last.how, starts: status.starts };
      if (await ports.areWrong(status)) return { kind: "failed", cause: await silence(start, process, last, status) };
    }
    if (Date.now() >= deadline) return { kind: "failed", cause: await outOfTime(start, process, last) };
    if (Date.now() - saidAt >= sayEveryMs) {
      saidAt = Date.now();
      start.write({ kind: "text", text: `waiting for ${process.name}: ${await soFar(start, process, status, last)}` });
    }
    const pauseMs = Date.now() - startedAt < youngForMs ? firstLookMs : laterLookMs;
    await delay(pauseMs, undefined, { signal }).catch(() => {});
  }
}

/** The cause, once a process has ended often enough to be sure, or its keeper is gone. */
async function crashOf(
  start: Start,
  process: DesiredProcess,
  status: KeeperStatus | undefined,
  startedAt: number,
): Promise<Cause | undefined> {
  if (!status) {
    const keeperIsLate = Date.now() - startedAt > 5_000 && !(await findKeeper(folderOf(start, process)));
    return keeperIsLate
      ? { headline: `${process.type} could not be started`, detail: "its keeper ended before it began" }
      : undefined;
  }
  if (!status.lastExit) return undefined;
  // Tried again, a command that is not there will not be there either.
  const isHopeless = "code" in status.lastExit && (status.lastExit.code === 127 || status.lastExit.code === 126);
  if (status.exits < (isHopeless ? 1 : startsBeforeGivingUp)) return undefined;
  return tellCrash(start, process, status.lastExit, status.exits);
}

function tellCrash(
  start: Start,
  process: DesiredProcess,
  exit: NonNullable<KeeperStatus["lastExit"]>,
  starts: number,
): Cause {
  const times = starts === 1 ? "started once" : `started ${starts} times`;
  start.write({ kind: "text", text: `${process.type}: ${exitWords(exit)}, ${times}` });
  const facts: CrashFacts = {
    appName: start.spec.appName,
    type: process.type,
    exit,
    lines: exit.lines,
    slugDir: start.slugDir,
    port: process.port,
  };
  return diagnoseCrash(facts);
}

async function outOfTime(start: Start, process: DesiredProcess, last: Probe): Promise<Cause> {
  const status = await freshStatus(folderOf(start, process));
  if (status?.lastExit) return tellCrash(start, process, status.lastExit, status.exits);
  if (process.port === undefined) {
    return { headline: `${process.type} does not stay up`, ...(status ? { lastLines: status.tail.slice(-20) } : {}) };
  }
  return silence(start, process, last, status);
}

async function silence(
  start: Start,
  process: DesiredProcess,
  last: Probe,
  status: KeeperStatus | undefined,
): Promise<Cause> {
  return diagnoseSilence(await silenceFacts(start, process, process.port!, last, status?.tail ?? []));
}

/** Looks whether a web process listens, and on its own port never, without a break: it would not do so any more. */
function watchPorts(
  { wrongPortMs }: Start,
  { id, port }: DesiredProcess,
): { areWrong(status: KeeperStatus): Promise<boolean> } {
  let lookedAt = Date.now();
  let wrong: { since: number; starts: number } | undefined;
  return {
    async areWrong({ pid, starts }) {
      if (port === undefined || Date.now() - lookedAt < portsEveryMs) return false;
      lookedAt = Date.now();
      const listeners = (await listenersOf(await processesOf(id, pid))) ?? [];
      const isWrong = listeners.length > 0 && listeners.every((listener) => listener.port !== port);
      if (!isWrong) wrong = undefined;
      else if (wrong?.starts !== starts) wrong = { since: lookedAt, starts };
      return wrong !== undefined && lookedAt - wrong.since >= wrongPortMs;
    },
  };
}

async function soFar(
  start: Start,
  process: DesiredProcess,
  status: KeeperStatus | undefined,
  last: Probe,
): Promise<string> {
  if (status?.lastExit && status.state === "crashed") return `${exitWords(status.lastExit)}, it starts again`;
  if (process.port === undefined) return "it is not up yet";
  return silenceSoFar(await silenceFacts(start, process, process.port, last, []));
}

async function silenceFacts(
  start: Start,
  process: DesiredProcess,
  port: number,
  last: Probe,
  lines: string[],
): Promise<SilenceFacts> {
  const { spec } = start;
  const answer = last.ready ? undefined : last.answer;
  const status = await readStatus(folderOf(start, process));
  return {
    appName: spec.appName,
    type: process.type,
    waitedMs: start.timeoutMs,
    port,
    listeners: await listenersOf(await processesOf(process.id, status?.pid)),
    ...(answer && spec.healthPath ? { health: { path: spec.healthPath, answer } } : {}),
    lines,
  };
}

type Probe = { ready: true; how: string } | { ready: false; answer?: HealthAnswer };

async function probe(start: Start, process: DesiredProcess, status: KeeperStatus, limitMs: number): Promise<Probe> {
  const upForMs = Date.now() - status.since;
  if (process.port === undefined) {
    return upForMs >= start.settleMs ? { ready: true, how: `up for ${start.settleMs / 1000} s` } : { ready: false };
  }
  if (!(await accepts(process.port))) return { ready: false };
  if (upForMs < portDoubtMs && !(await isItsOwnPort(process, status))) return { ready: false };
  const { healthPath } = start.spec;
  if (!healthPath) return { ready: true, how: "listens on $PORT" };
  const answer = await askHealth(process.port, healthPath, start.host, limitMs);
  const isWell = answer.kind === "status" && answer.status >= 200 && answer.status < 400;
  return isWell ? { ready: true, how: `GET ${healthPath} ${answer.status}` } : { ready: false, answer };
}

/**
 * Another program may have taken the port between our look and the app's start; then the app ends within moments, and
 * nobody may take the other's answers for its own. What hides its sockets from us is believed after this long.
 */
const portDoubtMs = 2_000;

async function isItsOwnPort(process: DesiredProcess, status: KeeperStatus): Promise<boolean> {
  const listeners = await listenersOf(await processesOf(process.id, status.pid));
  return listeners === undefined || listeners.some((listener) => listener.port === process.port);
}

/** Whether a connection to 127.0.0.1 is accepted. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, timeout: 1_000 });
    const answer = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
    socket.once("timeout", () => answer(false));
  });
}

function askHealth(port: number, path: string, host: string, limitMs: number): Promise<HealthAnswer> {
  return new Promise((resolve) => {
    const asking = request({
      host: "127.0.0.1",
      port,
      path,
      agent: false,
      headers: { host, "user-agent": "zyndra-health", accept: "*/*" },
    });
    const limit = setTimeout(() => {
      resolve({ kind: "silent", limitMs });
      asking.destroy();
    }, limitMs);
    const answer = (found: HealthAnswer) => {
      clearTimeout(limit);
      resolve(found);
      asking.destroy();
    };
    asking.once("error", (error) => answer({ kind: "broken", problem: error.message }));
    asking.once("response", (response) => {
      const status = response.statusCode ?? 0;
      let body = "";
      const done = () => answer({ kind: "status", status, body });
      if (status < 400) return done();
      response.setEncoding("utf8");
      response.on("data", (text: string) => {
        body += text;
        if (body.length > 10_000) done();
      });
      response.once("end", done);
      response.once("error", done);
    });
    asking.end();
  });
}

/** `web 1 of 2 healthy (GET /health 200)`, counted by type. */
function countHealthy({ processes, write }: Start): { tell(process: DesiredProcess, how: string): void } {
  const told = new Set<string>();
  return {
    tell(process, how) {
      if (told.has(process.id)) return;
      told.add(process.id);
      const ofType = processes.filter(({ type }) => type === process.type);
      const count = ofType.filter(({ id }) => told.has(id)).length;
      write({ kind: "text", text: `${process.type} ${count} of ${ofType.length} healthy (${how})` });
    },
  };
}

function folderOf(start: Start, process: DesiredProcess): string {
  return processFolder(start.dataDir, start.spec.appId, process.id);
}
