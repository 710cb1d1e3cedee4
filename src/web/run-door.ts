import { once } from "node:events";
import { type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { type WebSocket, WebSocketServer } from "ws";
import { authenticate } from "../commands/actor.ts";
import type { Command } from "../commands/command.ts";
import { claimRun, findRun, type NumberedRun } from "../db/runs.ts";
import { UserError } from "../errors.ts";
import type { Actor } from "../model/actor.ts";
import { maxMessageBytes, type RunStatus, TerminalSize } from "../model/run-frames.ts";
import { endClaimed, PlatformStops, performRun, RunStopped, runName } from "../pipeline/runs.ts";
import type { OtherEnd } from "../runtime/runtime.ts";
import { type Translated, translateError } from "./errors.ts";
import { shownBy } from "./shown-by.ts";
import { openSocketEnd, PeerGone } from "./socket-end.ts";
import { isId, mayFollow } from "./streams.ts";
import { defaultHeartbeatMs, type WebDeps } from "./web.ts";

/** Where somebody attaches to a command: `GET /api/runs/ID/attach` as a WebSocket, with the messages of run-frames.ts. */
export type RunDoor = {
  /** For the listener's `upgrade`: true = it is for this door, and being dealt with. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /** Ends the commands, tells who is attached, and waits until both is done. */
  close(): Promise<void>;
};

export type RunDoorOptions = {
  commands: readonly Command[];
  /** How often each side gives a sign of life, and who is attached is asked whether they still may. */
  heartbeatMs?: number;
};

const goodbyeMs = 1_000;
/** After so many beats without an answer nobody is there any more. */
const beatsUnanswered = 2.5;

export function createRunDoor(deps: WebDeps, options: RunDoorOptions): RunDoor {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxMessageBytes,
  });
  const stop = new AbortController();
  const attached = new Set<Promise<void>>();
  const sockets = new Set<WebSocket>();

  const accept = (request: IncomingMessage, socket: Duplex, head: Buffer): WebSocket | undefined => {
    let accepted: WebSocket | undefined;
    // It calls back before it returns, or has refused the request by itself.
    server.handleUpgrade(request, socket, head, (opened) => {
      accepted = opened;
      sockets.add(opened);
      opened.on("close", () => sockets.delete(opened));
    });
    return accepted;
  };

  const attach = async (request: IncomingMessage, socket: Duplex, head: Buffer, runId: string): Promise<void> => {
    let run: NumberedRun;
    let terminal: OtherEnd["terminal"];
    try {
      refuseBrowsers(request);
      const actor = await allowed(deps, options.commands, request);
      terminal = terminalIn(new URLSearchParams(request.url!.split("?")[1]));
      run = await takeRun(deps, actor, runId);
    } catch (error) {
      return refuse(socket, translateError(error, deps.log, { method: "GET", path: "/api/runs/ID/attach" }));
    }
    const opened = accept(request, socket, head);
    if (opened) await attend(deps, { run, socket: opened, terminal, request, stop: stop.signal, options });
    else await endClaimed(deps, run);
  };

  return {
    upgrade(request, socket, head) {
      const [, runId] = /^\/api\/runs\/([^/?]+)\/attach(?:\?|$)/.exec(request.url ?? "") ?? [];
      if (runId === undefined) return false;
      const done = attach(request, socket, head, runId)
        .catch((error) => {
          deps.log.error({ err: error }, "attaching to a run broke");
          socket.destroy();
        })
        .finally(() => attached.delete(done));
      attached.add(done);
      return true;
    },
    async close() {
      stop.abort(new PlatformStops());
      await Promise.all(attached);
      // What they were told last is on its way; who does not answer it is not waited for.
      await Promise.race([Promise.all([...sockets].map((socket) => once(socket, "close"))), delay(goodbyeMs)]);
      for (const socket of sockets) socket.terminate();
    },
  };
}

type Attending = {
  run: NumberedRun;
  socket: WebSocket;
  terminal: OtherEnd["terminal"];
  request: IncomingMessage;
  stop: AbortSignal;
  options: RunDoorOptions;
};

/** Passes everything between a command and a socket, until one of them ends. */
async function attend(deps: WebDeps, { run, socket, terminal, request, stop, options }: Attending): Promise<void> {
  const heartbeatMs = options.heartbeatMs ?? defaultHeartbeatMs;
  const peer = openSocketEnd(socket, terminal, { silentMs: beatsUnanswered * heartbeatMs });
  const refused = new AbortController();
  const signal = AbortSignal.any([peer.gone, refused.signal, stop]);
  // Who is sent away is told at once; the command may take a while to end.
  const tell = () => peer.close(statusOf(deps, run, signal.reason));
  signal.addEventListener("abort", tell, { once: true });
  const beat = setInterval(() => {
    peer.beat();
    // A token that was revoked, or a role that was taken, ends what it has opened. A lost database ends nothing.
    allowed(deps, options.commands, request).catch((error) => {
      if (error instanceof UserError) refused.abort(error);
    });
  }, heartbeatMs);
  try {
    if (signal.aborted) tell();
    const exitCode = await performRun(deps, run, signal, ({ spec, command, name, signal: end }) =>
      deps.runtime.processes.attach(spec, command, peer.end, end, { name }),
    );
    peer.close({ exitCode });
  } catch (error) {
    peer.close(statusOf(deps, run, error));
  } finally {
    clearInterval(beat);
  }
}

function statusOf(deps: WebDeps, run: NumberedRun, error: unknown): RunStatus {
  const name = runName(run);
  if (error instanceof PeerGone) return { error: { code: "gone", message: `${name} was ended: ${error.message}` } };
  if (error instanceof RunStopped) return { error: { code: "conflict", message: error.message } };
  if (error instanceof PlatformStops) {
    return { error: { code: "unavailable", message: `Zyndra is being stopped, and has ended ${name}` } };
  }
  const path = `/api/runs/${run.id}/attach`;
  return { error: translateError(error, deps.log, { method: "GET", path }).body.error };
}

/** @throws UserError */
async function allowed(deps: WebDeps, commands: readonly Command[], request: IncomingMessage): Promise<Actor> {
  const actor = await authenticate(deps, shownBy(request));
  mayFollow(commands, "run", actor);
  return actor;
}

/** A page of any site could open a WebSocket; none of ours does. @throws UserError forbidden */
function refuseBrowsers({ headers }: IncomingMessage): void {
  if (headers.origin === undefined) return;
  throw new UserError("forbidden", "pages of a browser do not attach to a run", "zyndra run APP COMMAND does");
}

/** Whoever has begun a run attaches to it, once. @throws UserError not_found, forbidden, conflict, gone */
async function takeRun(deps: WebDeps, actor: Actor, id: string): Promise<NumberedRun> {
  const hint = "zyndra run APP COMMAND begins one";
  const found = isId(id) ? await findRun(deps.db.db, actor.orgId, id) : null;
  if (!found) throw new UserError("not_found", "no run has this id", hint);
  const name = runName(found);
  if (found.userId === null) throw new UserError("conflict", `nobody attaches to ${name}: it runs detached`, hint);
  if (found.userId !== actor.userId) {
    throw new UserError("forbidden", `${found.actorName} has begun ${name}, and alone may attach to it`, hint);
  }
  const claimed = await claimRun(deps.db.db, id);
  if (claimed) return claimed;
  if (found.status === "waiting") throw new UserError("gone", `${name} has waited for too long`, hint);
  throw new UserError("conflict", `somebody is attached to ${name} already, or it is over`, hint);
}

/** `?columns=80&rows=24&term=xterm`; without them the command gets pipes. @throws UserError bad_input */
function terminalIn(query: URLSearchParams): OtherEnd["terminal"] {
  if (!query.has("columns") && !query.has("rows")) return undefined;
  const size = TerminalSize.safeParse({ columns: Number(query.get("columns")), rows: Number(query.get("rows")) });
  if (!size.success) throw new UserError("bad_input", "columns and rows must be whole numbers from 1 to 10000");
  const type = query.get("term") ?? "";
  return { type: /^[\w.+-]{1,64}$/.test(type) ? type : "xterm", size: size.data };
}

/** What the listener does not do for an upgrade: an answer that is none. */
function refuse(socket: Duplex, { status, body, headers }: Translated): void {
  const text = JSON.stringify(body);
  const head = {
    ...headers,
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(text)),
    "cache-control": "no-store",
    connection: "close",
  };
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${text}`);
}
