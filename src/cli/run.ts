import type { WebSocket } from "ws";
import type { Follow } from "../commands/follow.ts";
import { UserError } from "../errors.ts";
import {
  type Allowance,
  decodeFrame,
  encodeFrame,
  openAllowance,
  pieceBytes,
  type RunFrame,
  type RunStatus,
  windowBytes,
} from "../model/run-frames.ts";
import { Refusal, type Server, Unreachable } from "./api-client.ts";
import type { Call } from "./call.ts";
import { paint } from "./draw.ts";
import { openSocket } from "./socket.ts";
import { type TerminalModes, watchModes } from "./terminal-modes.ts";
import type { Terminal, World } from "./world.ts";

type RunFollow = Extract<Follow, { kind: "run" }>;

/** Attaches to a command: what is typed goes in, what it writes comes out. Answers its exit code. */
export async function followRun({ world }: Call, server: Server, run: RunFollow): Promise<number> {
  const terminal = terminalFor(world, run);
  const path = `/api/runs/${run.runId}/attach`;
  if (!terminal) return attach(world, await openSocket(server, path, world.interrupted));
  const { columns, rows } = terminal.size();
  const query = new URLSearchParams({ columns: String(columns), rows: String(rows), term: terminal.type });
  const socket = await openSocket(server, `${path}?${query}`, world.interrupted);
  world.stderr.write(`${paint(world.stderr, "dim", `${run.name} in ${run.where}`)}\n`);
  return attachTerminal(world, socket, terminal);
}

/** @throws UserError bad_input where a terminal is asked for, and there is none */
function terminalFor(world: World, { tty, appName }: RunFollow): Terminal | undefined {
  if (tty === false) return undefined;
  if (tty === true && world.terminal === undefined) {
    const hint = `without -t it gets what is piped in: zyndra run ${appName} COMMAND`;
    throw new UserError("bad_input", "-t needs a terminal, for both input and output", hint);
  }
  return world.terminal;
}

/** The terminal is the program's until it has ended: all keys are its own, Ctrl-C too. It is put back whatever happens. */
async function attachTerminal(world: World, socket: WebSocket, terminal: Terminal): Promise<number> {
  const modes = watchModes();
  const restore = terminal.makeRaw(() => world.stdout.write(modes.undo()));
  const send = sender(socket);
  const stopListening = terminal.onResize(() => send({ channel: "resize", size: terminal.size() }));
  try {
    return await attach(world, socket, modes);
  } catch (error) {
    world.stdout.write(modes.undo());
    throw error;
  } finally {
    stopListening();
    restore();
  }
}

/** @throws Refusal where the server has ended it; Unreachable where the connection broke */
async function attach(world: World, socket: WebSocket, modes?: TerminalModes): Promise<number> {
  const send = sender(socket);
  // The first Ctrl-C is for the command, which may want to tidy up; a second one ends this program, and the command with it.
  const interrupt = () => send({ channel: "interrupt" });
  world.interrupted.addEventListener("abort", interrupt, { once: true });
  const outgoing = openAllowance();
  const ended = readOutput(world, socket, outgoing, modes);
  void sendInput(world.stdin, send, outgoing);
  try {
    const status = await ended;
    if ("exitCode" in status) return status.exitCode;
    throw new Refusal(200, { error: status.error });
  } finally {
    world.interrupted.removeEventListener("abort", interrupt);
    world.stdin.pause();
    world.stdin.unref?.();
    socket.terminate();
  }
}

/** Writes what comes, no faster than it is taken, until the last word. */
function readOutput(
  world: World,
  socket: WebSocket,
  outgoing: Allowance,
  modes: TerminalModes | undefined,
): Promise<RunStatus> {
  const send = sender(socket);
  const outs = { stdout: world.stdout, stderr: world.stderr };
  let written = Promise.resolve();
  return new Promise((resolve, reject) => {
    socket.on("message", (data) => {
      const frame = decodeFrame(data as Buffer);
      switch (frame?.channel) {
        case "stdout":
        case "stderr": {
          const { channel, bytes } = frame;
          modes?.see(bytes);
          written = written
            .then(() => outs[channel].pass(bytes))
            .then(() => send({ channel: "window", bytes: bytes.length }));
          return;
        }
        case "window":
          return outgoing.add(frame.bytes);
        case "status":
          return void written.then(() => resolve(frame.status));
      }
    });
    socket.on("close", (_, reason) => {
      const why = reason.length > 0 ? `: ${reason}` : "";
      const hint = "Zyndra ends the command then; zyndra run begins it again";
      void written.then(() => reject(new Unreachable(`the connection to the command broke${why}`, hint)));
    });
    socket.resume();
    send({ channel: "window", bytes: windowBytes });
  });
}

/** Sends what is typed or piped in, no faster than the command takes it. */
async function sendInput(
  stdin: AsyncIterable<Buffer | string>,
  send: (frame: RunFrame) => void,
  outgoing: Allowance,
): Promise<void> {
  try {
    for await (const chunk of stdin) {
      const bytes = Buffer.from(chunk as string);
      for (let at = 0; at < bytes.length; ) {
        const most = Math.min(pieceBytes, bytes.length - at);
        const taken = await new Promise<number>((resolve) => outgoing.spend(most, resolve));
        send({ channel: "stdin", bytes: bytes.subarray(at, at + taken) });
        at += taken;
      }
    }
  } catch {
    // An input that cannot be read has ended.
  }
  send({ channel: "close" });
}

function sender(socket: WebSocket): (frame: RunFrame) => void {
  return (frame) => {
    if (socket.readyState === socket.OPEN) socket.send(encodeFrame(frame));
  };
}
