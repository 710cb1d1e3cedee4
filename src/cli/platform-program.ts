import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, extname, join } from "node:path";
import { UserError } from "../errors.ts";
import { type Call, exactly, takeFlags } from "./call.ts";
import { exitCodes, type World } from "./world.ts";

/*
 * What is about the platform of this machine is answered by its own program: it alone knows what it has started.
 */

/** `start`: the launcher hands over by itself; this is for who calls this program without it. */
export async function startPlatform({ world, words }: Call): Promise<number> {
  assertNoApp(takeFlags(words, {}).words, "ps:start");
  return handOver(world, []);
}

/** `stop [--all]` */
export async function stopPlatform({ world, words }: Call): Promise<number> {
  const { words: plain, flags } = takeFlags(words, { all: "switch" });
  assertNoApp(plain, "ps:stop");
  return handOver(world, ["stop", ...(flags.all ? ["--all"] : [])]);
}

/** `recover` */
export async function recoverOwner({ world, words }: Call): Promise<number> {
  exactly(takeFlags(words, {}).words, 0, 0, "recover");
  return handOver(world, ["recover"]);
}

/** Who knows other platforms may mean an app. @throws UserError bad_input */
function assertNoApp([name, word]: string[], ofApps: string): void {
  if (word === undefined) return;
  throw new UserError(
    "bad_input",
    `${name} is about the Zyndra of this machine, and has no place for "${word}"`,
    `for an app: zyndra ${ofApps} ${word}`,
  );
}

async function handOver(world: World, words: string[]): Promise<number> {
  const [node = "", ownFile = ""] = world.self;
  const program = join(dirname(dirname(ownFile)), `main${extname(ownFile)}`);
  const platform = spawn(node, [program, ...words], { cwd: world.cwd, stdio: "inherit" });
  const [code] = (await once(platform, "exit")) as [number | null];
  return code ?? exitCodes.failed;
}
