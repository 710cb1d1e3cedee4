import { randomInt } from "node:crypto";
import * as fs from "node:fs/promises";
import { createServer } from "node:net";
import { UserError } from "../../errors.ts";
import { writeOnce } from "./durable-files.ts";
import type { Place } from "./place.ts";

export type ChosenPort = {
  port: number;
  /** This start chose the port, so nobody knows it yet. */
  isNew: boolean;
};

/**
 * The port stays the same for good, because apps carry it in their config vars. Whether it is free is PostgreSQL's to find out:
 * a probe of ours could take it away from a server that another start has just launched.
 */
export async function choosePort(place: Place): Promise<ChosenPort> {
  let isNew = false;
  const text = await writeOnce(place.portFile, async () => {
    isNew = true;
    return String(await findFreePort());
  });
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new UserError(
      "bad_input",
      `${place.portFile} holds no port number`,
      "remove it, and the next start chooses a port",
    );
  }
  return { port, isNew };
}

/** A port that was chosen a moment ago can still be changed; one that apps may know cannot. */
export async function giveUpPort({ port, isNew }: ChosenPort, place: Place): Promise<void> {
  if (!isNew) throw portTaken(port, place);
  await fs.rm(place.portFile, { force: true });
}

/** Whether what the server printed says that its port is somebody else's. */
export function isPortTaken(reason: string): boolean {
  return /could not bind|could not create any TCP\/IP sockets|Address already in use/.test(reason);
}

function portTaken(port: number, place: Place): UserError {
  return new UserError(
    "conflict",
    `port ${port} on 127.0.0.1, which the database in ${place.folder} uses, is taken by another program`,
    `stop that program, or remove ${place.portFile} to let the database move to another port`,
  );
}

/** Below the range from which the system gives ports to outgoing connections (32768 on Linux), so that none is found taken later. */
async function findFreePort(): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const port = randomInt(20_000, 30_000);
    if (await isFree(port)) return port;
  }
  throw new UserError("unavailable", "no port between 20000 and 30000 on 127.0.0.1 is free for the database");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer();
    probe.once("error", () => done(false));
    probe.listen({ port, host: "127.0.0.1", exclusive: true }, () => probe.close(() => done(true)));
  });
}
