import { randomInt } from "node:crypto";
import { mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { namesIn, processFolder } from "./state.ts";

/** Below the range that Linux and macOS take for outgoing connections (32768 and up), above the well-known ports. */
const firstPort = 20_000;
const lastPort = 29_999;

/**
 * Takes a free port of this machine for a process and writes down that it is taken, so that two apps that start at once
 * never get the same one.
 */
export async function claimPort(dataDir: string, appId: string, instanceId: string): Promise<number> {
  await mkdir(portsFolder(dataDir), { recursive: true, mode: 0o700 });
  const span = lastPort - firstPort + 1;
  // Starting anywhere keeps two platforms of one machine apart, and lets a port rest before it is another's.
  const start = randomInt(span);
  for (let step = 0; step < span; step++) {
    const port = firstPort + ((start + step) % span);
    if (!(await writeClaim(dataDir, port, `${appId}/${instanceId}`))) continue;
    if (await isFree(port)) return port;
    await releasePort(dataDir, port);
  }
  throw new Error(`no port between ${firstPort} and ${lastPort} is free`);
}

export async function releasePort(dataDir: string, port: number): Promise<void> {
  await rm(portFile(dataDir, port), { force: true });
}

/** Frees the ports whose process has no folder any more: a crash came between the two. */
export async function releaseLostPorts(dataDir: string): Promise<void> {
  await Promise.all(
    (await namesIn(portsFolder(dataDir))).map(async (name) => {
      const [appId = "", instanceId = ""] = (await readFile(join(portsFolder(dataDir), name), "utf8")).split("/");
      // An empty claim is being written this moment.
      if (!instanceId) return;
      const isThere = await stat(processFolder(dataDir, appId, instanceId)).then(
        () => true,
        () => false,
      );
      if (!isThere) await releasePort(dataDir, Number(name));
    }),
  );
}

async function writeClaim(dataDir: string, port: number, owner: string): Promise<boolean> {
  try {
    const file = await open(portFile(dataDir, port), "wx", 0o600);
    try {
      await file.writeFile(owner);
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Listening on every address fails if anyone listens on any of them. */
function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "0.0.0.0", exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function portsFolder(dataDir: string): string {
  return join(dataDir, "ports");
}

function portFile(dataDir: string, port: number): string {
  return join(portsFolder(dataDir), String(port));
}
