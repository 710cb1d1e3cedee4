import type { Follow } from "../commands/follow.ts";
import type { Cause } from "../model/cause.ts";
import type { FinalStatus } from "../model/deploy.ts";
import type { LogLine } from "../model/log-line.ts";
import { momentSince } from "../model/since.ts";
import { follow, type Message, Refusal, type Server } from "./api-client.ts";
import { refuseUntyped } from "./asked-of-us.ts";
import type { Call } from "./call.ts";
import { type AppLogLine, drawAppLogLine, drawLogLine, drawNote } from "./draw.ts";
import { openMemory } from "./line-memory.ts";
import { waitingFor } from "./waiting.ts";
import { exitCodes, Interrupted, type World } from "./world.ts";

/** Watches what goes on after an answer. Answers the exit code: that of what was watched. */
export async function followAnswer(call: Call, server: Server, what: Follow, data: unknown): Promise<number> {
  const { world, asJson } = call;
  const isAnswer = what.kind === "deploy" || what.kind === "app";
  if (asJson && isAnswer) world.stdout.write(`${JSON.stringify(data)}\n`);
  switch (what.kind) {
    case "deploy":
      return what.detach ? leaveDeploy(world, what) : followDeploy(call, server, what);
    case "app":
      return followApp(call, server, what);
    case "addon":
      return followAddon(call, server, what);
    case "logs":
      return followLogs(call, server, what);
    case "run":
      return (await import("./run.ts")).followRun(call, server, what);
    case "config:import":
      refuseUntyped(call, what);
      return (await import("./config-file.ts")).importConfig(call, server, what);
    case "config:edit":
      refuseUntyped(call, what);
      return (await import("./config-editor.ts")).editConfig(call, server, what);
  }
}

type DeployFollow = Extract<Follow, { kind: "deploy" }>;
type DeployEnd = { status: FinalStatus; headline: string; cause?: Cause };

function leaveDeploy(world: World, { appName, number }: DeployFollow): number {
  drawNote(world, "hint", `zyndra deploys:logs ${appName} ${number} follows it`);
  return exitCodes.ok;
}

async function followDeploy(
  call: Call,
  server: Server,
  { appName, deployId, number, isOver }: DeployFollow,
): Promise<number> {
  const { world } = call;
  const path = `/api/deploys/${deployId}/follow`;
  let toldEnd = false;
  try {
    const messages = follow(server, () => ({ path }), options(world));
    for await (const message of waitingFor(world.waiting, `deploy #${number} of ${appName}`, messages)) {
      if (call.asJson) printMessage(world, message);
      if (message.event === "line") {
        const line = message.data as LogLine;
        toldEnd ||= line.kind === "success" || line.kind === "error";
        if (!call.asJson) world.stdout.write(`${drawLogLine(world, line)}\n`);
      } else if (message.event === "end") {
        const end = message.data as DeployEnd;
        // The log says itself how it ended; this is for one that could not.
        if (!toldEnd && !call.asJson) tellEnd(world, end);
        return end.status === "live" || isOver ? exitCodes.ok : exitCodes.failed;
      }
    }
  } catch (error) {
    const goesOn = `zyndra deploys:logs ${appName} ${number} follows it again, zyndra cancel ${appName} stops it`;
    if (error instanceof Interrupted) {
      world.stderr.write("\n");
      drawNote(world, "warning", `deploy #${number} of ${appName} goes on without you`);
      drawNote(world, "hint", goesOn);
    }
    throw error;
  }
  return exitCodes.failed;
}

function tellEnd(world: World, { status, headline, cause }: DeployEnd): void {
  if (status === "live") world.stdout.write(`${drawLogLine(world, { kind: "success", text: headline })}\n`);
  else {
    drawNote(world, "error", headline);
    if (cause) tellCause(world, cause);
  }
}

function tellCause(world: World, { detail, hint, lastLines }: Cause): void {
  if (detail !== undefined) drawNote(world, "error", detail);
  if (hint !== undefined) drawNote(world, "hint", hint);
  for (const text of lastLines ?? []) world.stderr.write(`${drawLogLine(world, { kind: "output", text })}\n`);
}

type AppFollow = Extract<Follow, { kind: "app" }>;
type Applied = { formation: Record<string, number>; revision: number; cause?: Cause };

/** Waits until what was asked of an app has been done. */
async function followApp(call: Call, server: Server, what: AppFollow): Promise<number> {
  const { world } = call;
  const { appName, appId, until, after, done, failed } = what;
  // By its id: an app that has another name by now is still followed.
  const request = (lastId: string | undefined) => ({ path: `/api/apps/${appId}/follow?after=${lastId ?? after}` });
  try {
    const messages = follow(server, request, options(world));
    for await (const message of waitingFor(world.waiting, appName, messages)) {
      if (call.asJson) printMessage(world, message);
      const { cause } = message.data as { cause?: Cause };
      if (message.event === "destroyed") {
        return tellDone(
          call,
          until === "destroyed" ? cause : { headline: "the app was removed meanwhile" },
          `${appName} is gone`,
        );
      }
      if (message.event === "applied" && until !== "destroyed") {
        const { formation, revision } = message.data as Applied;
        if (revision < until.applied) continue;
        const runs = Object.entries(formation).map(([type, count]) => `${type}=${count}`);
        const told = cause && failed ? { ...cause, headline: `${cause.headline}; ${failed}` } : cause;
        return tellDone(call, told, done ?? `${appName} runs ${runs.join(" ")}`);
      }
    }
  } catch (error) {
    // Long after an app is gone, so are its events.
    if (until === "destroyed" && error instanceof Refusal && error.status === 404)
      return tellDone(call, undefined, `${appName} is gone`);
    if (error instanceof Interrupted)
      drawNote(world, "hint", `it goes on; zyndra apps:info ${appName} shows how far it is`);
    throw error;
  }
  return exitCodes.failed;
}

type AddonFollow = Extract<Follow, { kind: "addon" }>;

/** Waits until an add-on is made, or gone. */
async function followAddon(call: Call, server: Server, what: AddonFollow): Promise<number> {
  const { addonName, addonId, until, after, done } = what;
  const goesOn = `it goes on; zyndra addons:info ${addonName} shows how far it is`;
  const request = (lastId: string | undefined) => ({ path: `/api/addons/${addonId}/follow?after=${lastId ?? after}` });
  try {
    const messages = follow(server, request, options(call.world));
    for await (const message of waitingFor(call.world.waiting, addonName, messages)) {
      if (call.asJson) printMessage(call.world, message);
      const { state, cause, takesLong } = message.data as { state: string; cause?: Cause; takesLong?: boolean };
      if (state === until) return tellDone(call, undefined, done);
      if (state === "gone") return tellDone(call, { headline: `${addonName} was removed meanwhile` }, done);
      if (state === "failed") return tellDone(call, cause ?? { headline: `${addonName} could not be made` }, done);
      if (takesLong) return tellDone(call, { headline: `${addonName} takes long`, hint: goesOn }, done);
      if (cause) drawNote(call.world, "warning", `${addonName}: ${cause.headline}; trying again`);
    }
  } catch (error) {
    if (error instanceof Interrupted) {
      drawNote(call.world, "hint", goesOn);
    }
    throw error;
  }
  return exitCodes.failed;
}

function tellDone({ world, asJson }: Call, cause: Cause | undefined, done: string): number {
  if (cause) {
    drawNote(world, "error", cause.headline);
    tellCause(world, cause);
    return exitCodes.failed;
  }
  if (!asJson) world.stdout.write(`${drawLogLine(world, { kind: "success", text: done })}\n`);
  return exitCodes.ok;
}

type LogsFollow = Extract<Follow, { kind: "logs" }>;

/** An app's log. Its lines have no numbers, so after a break the last ones come again and those shown before are left out. */
async function followLogs(call: Call, server: Server, what: LogsFollow): Promise<number> {
  const { world } = call;
  const { appName, lines, tail, process, source, grep, ifNothing } = what;
  const since = what.since === undefined ? undefined : momentSince(what.since, new Date())?.toISOString();
  const filters = Object.entries({ process, source, since, grep }).filter(([, value]) => value !== undefined);
  const memory = openMemory();
  const request = () => {
    const counts = { lines: String(memory.reachBack(lines)), tail: String(tail) };
    const asked = new URLSearchParams({ ...counts, ...Object.fromEntries(filters) });
    memory.startAgain();
    return { path: `/api/apps/${encodeURIComponent(appName)}/logs?${asked}` };
  };
  let isEmpty = true;
  for await (const message of follow(server, request, options(world))) {
    if (message.event === "end") break;
    isEmpty = false;
    const line = message.data as AppLogLine;
    if (!memory.isNew(line)) continue;
    world.stdout.write(`${call.asJson ? JSON.stringify(line) : drawAppLogLine(world.stdout, line)}\n`);
  }
  if (isEmpty && ifNothing !== undefined) drawNote(world, "hint", ifNothing);
  return exitCodes.ok;
}

function options(world: World) {
  return {
    signal: world.interrupted,
    onBreak: () => drawNote(world, "warning", "the server does not answer; trying again (Ctrl-C ends this)"),
  };
}

function printMessage(world: World, { event, data }: Message): void {
  world.stdout.write(`${JSON.stringify({ type: event, ...(data as object) })}\n`);
}
