import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, extname, join } from "node:path";
import { type Call, exactly, takeFlags } from "./call.ts";
import { exitCodes } from "./world.ts";

/** `stop [--all]`: the platform of this machine ends itself, since it alone knows what it has started. */
export async function stopPlatform({ world, words }: Call): Promise<number> {
  const { words: plain, flags } = takeFlags(words, { all: "switch" });
  exactly(plain, 0, 0, "stop [--all]");
  const [node = "", ownFile = ""] = world.self;
  const platform = join(dirname(dirname(ownFile)), `main${extname(ownFile)}`);
  const ending = spawn(node, [platform, "stop", ...(flags.all ? ["--all"] : [])], { cwd: world.cwd, stdio: "inherit" });
  const [code] = (await once(ending, "exit")) as [number | null];
  return code ?? exitCodes.failed;
}
