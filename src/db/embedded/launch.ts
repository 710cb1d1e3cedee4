import { type ChildProcess, spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "./durable-files.ts";
import { readLogFrom } from "./log-file.ts";
import { type ChosenPort, choosePort } from "./port.ts";
import { settings } from "./settings.ts";
import type { Start } from "./start.ts";
import { giveTo } from "./user.ts";

export type Launched = {
  child: ChildProcess;
  hasEnded(): boolean;
  /** What it printed since it was launched. */
  output(): Promise<string>;
  chosenPort: ChosenPort;
};

/** Begins a server that outlives this process; whether it comes to serve is seen later. */
export async function launch({ place, binaries, user }: Start): Promise<Launched> {
  const chosenPort = await choosePort(place);
  await replaceFile(join(place.cluster, "postgresql.conf"), settings(chosenPort.port));
  await giveTo(user, join(place.cluster, "postgresql.conf"));
  const log = await open(place.logFile, "a", 0o600);
  const from = (await log.stat()).size;

  const [command = "", ...args] = [...user.prefix, binaries.postgres, "-D", place.cluster];
  const child = spawn(command, args, {
    cwd: place.folder,
    env: binaries.environment,
    detached: true, // A session of its own: a terminal's Ctrl-C and the end of this process do not reach it.
    stdio: ["ignore", log.fd, log.fd],
  });
  let failure: Error | undefined;
  let ended = false;
  child.on("error", (error) => {
    failure = error;
    ended = true;
  });
  child.on("exit", () => {
    ended = true;
  });
  child.unref();
  await log.close();
  return {
    child,
    hasEnded: () => ended,
    output: async () => failure?.message ?? (await readLogFrom(place, from)),
    chosenPort,
  };
}
