import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log } from "../../log.ts";
import { ByteReader, EndedEarly } from "./byte-reader.ts";
import { type HookName, hookNames } from "./hook-relay.ts";
import { cleanLine } from "./remote-lines.ts";

/** A hook that git has started, at the other end of the socket. */
export type HookCall = {
  hook: HookName;
  /** Known where the transport could say it. */
  pushId: string | undefined;
  /** The process that started the hook: receive-pack. */
  parentPid: number;
  quarantineEnv: Record<string, string>;
  /** The hook's standard input. */
  input: ByteReader;
  /** Shows the pusher one line. */
  say(line: string): void;
  /** Writes the hook's standard output. */
  print(bytes: Buffer): void;
  /** Ends the hook with this exit code. */
  exit(code: number): void;
};

export type HookServer = { path: string; close(): Promise<void> };

/** Lines that a stalled pusher has not taken; beyond this they are left out, so that nobody's terminal fills our memory. */
const maxWaitingBytes = 2 * 1024 ** 2;

/** Linux allows 107 bytes, macOS 103. */
const maxSocketPathBytes = 103;
const maxFieldBytes = 16 * 1024;
const folderPrefix = "zyndra-hooks-";
const socketName = "socket";

/**
 * Opens the one socket of this process through which hooks ask what to do. Only this user can reach it.
 * @param folders where its private folder may be made, best first; one that makes the path too long is passed over
 * @param answerHook may throw: the hook then ends with 1
 */
export async function openHookServer(options: {
  folders: string[];
  log: Log;
  answerHook: (call: HookCall) => Promise<void>;
}): Promise<HookServer> {
  const folder = await makePrivateFolder([...options.folders, tmpdir(), "/tmp"]);
  const path = join(folder, socketName);
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    // A relay that was killed: whatever is said to it is for nobody.
    socket.on("error", () => {});
    void serveHook(socket, options.answerHook).catch((error) => {
      if (!isHangUp(error)) options.log.error({ err: error }, "hook failed");
      socket.destroy();
    });
  });
  await listen(server, path);
  return {
    path,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function serveHook(socket: Socket, answerHook: (call: HookCall) => Promise<void>): Promise<void> {
  const input = new ByteReader(socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>);
  const fields = await readFields(input);
  const { hook, parent, push, ...quarantineEnv } = fields;
  if (!hookNames.includes(hook as HookName)) throw new Error(`"${hook}" is no hook of ours`);
  let leftOut = 0;

  const send = (kind: "o" | "e" | "x", bytes: Buffer) => {
    const head = Buffer.alloc(5);
    head.write(kind);
    head.writeUInt32BE(bytes.length, 1);
    socket.write(Buffer.concat([head, bytes]));
  };
  const tellLeftOut = () => {
    if (leftOut > 0) send("e", Buffer.from(`(${leftOut} lines left out: this connection did not take them)\n`));
    leftOut = 0;
  };
  const call: HookCall = {
    hook: hook as HookName,
    pushId: push,
    parentPid: Number(parent),
    quarantineEnv,
    input,
    say(line) {
      if (socket.writableLength > maxWaitingBytes) {
        leftOut += 1;
        return;
      }
      tellLeftOut();
      send("e", Buffer.from(`${cleanLine(line)}\n`));
    },
    print: (bytes) => send("o", bytes),
    exit(code) {
      tellLeftOut();
      send("x", Buffer.from([code]));
      socket.end();
    },
  };
  try {
    await answerHook(call);
  } finally {
    if (!socket.writableEnded) call.exit(1);
  }
}

/** A hook that was killed, or another process that looked whether anybody is here. */
function isHangUp(error: unknown): boolean {
  if (error instanceof EndedEarly) return true;
  return ["ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET", "EPIPE"].includes((error as NodeJS.ErrnoException).code ?? "");
}

async function readFields(input: ByteReader): Promise<Record<string, string>> {
  const fields: Record<string, string> = {};
  for (let count = 0; count < 20; count++) {
    const field = (await input.readUntil(0, maxFieldBytes)).toString("utf8");
    if (field === "") return fields;
    const equals = field.indexOf("=");
    fields[field.slice(0, equals)] = field.slice(equals + 1);
  }
  throw new Error("a hook sent too many fields");
}

async function makePrivateFolder(candidates: string[]): Promise<string> {
  let problem: unknown;
  for (const parent of candidates) {
    try {
      if (Buffer.byteLength(join(parent, `${folderPrefix}XXXXXX`, socketName)) > maxSocketPathBytes) continue;
      const folder = await mkdtemp(join(parent, folderPrefix));
      await removeAbandoned(parent);
      return folder;
    } catch (error) {
      problem = error;
    }
  }
  throw new Error("no folder can hold the hooks' socket", { cause: problem });
}

/** A process that was killed left its folder: what nobody listens to any more goes. */
async function removeAbandoned(parent: string): Promise<void> {
  const names = (await readdir(parent)).filter((name) => name.startsWith(folderPrefix));
  for (const folder of names.map((name) => join(parent, name))) {
    const facts = await stat(folder).catch(() => null);
    const isOurs = facts?.uid === process.getuid?.();
    const isYoung = Date.now() - (facts?.mtimeMs ?? 0) < 60_000;
    if (isOurs && !isYoung && (await isAbandoned(join(folder, socketName))))
      await rm(folder, { recursive: true, force: true });
  }
}

function isAbandoned(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(false);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
