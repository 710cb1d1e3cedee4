import { Interrupted, type World } from "./world.ts";

/** Asks someone at a terminal for a line. @throws Interrupted */
export async function askLine(world: World, question: string): Promise<string> {
  const { createInterface } = await import("node:readline/promises");
  const lines = createInterface({ input: world.stdin, output: process.stderr });
  // In its raw mode readline gets Ctrl-C as a key, not as a signal.
  const gone = new AbortController();
  lines.on("SIGINT", () => gone.abort());
  lines.on("close", () => gone.abort());
  try {
    return await lines.question(question, { signal: gone.signal });
  } catch {
    world.stderr.write("\n");
    throw new Interrupted();
  } finally {
    lines.close();
  }
}

/** Asks for a word before something is lost; false where another one is typed. @throws Interrupted */
export async function askForWord(world: World, { warning, type }: { warning: string; type: string }): Promise<boolean> {
  const typed = await askLine(world, `${warning}\nType ${type} to go on: `);
  if (typed.trim() === type) return true;
  world.stderr.write("That is something else; nothing was done.\n");
  return false;
}

/** Asks for a secret, which is not shown while it is typed. @throws Interrupted */
export async function askSecret(world: World, question: string): Promise<string> {
  const { stdin, stderr } = world;
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding("utf8");
  try {
    let secret = "";
    for await (const keys of stdin as AsyncIterable<string>) {
      for (const key of keys) {
        if (key === "\r" || key === "\n") return secret;
        if (key === "\x03" || (key === "\x04" && secret === "")) throw new Interrupted();
        if (key === "\x7f" || key === "\b") secret = secret.slice(0, -1);
        else if (key === "\x15") secret = "";
        else if (key >= " ") secret += key;
      }
    }
    return secret;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write("\n");
  }
}

/** The first line of what a pipe brings. */
export async function readPipedLine(stdin: NodeJS.ReadStream): Promise<string> {
  return (await readPiped(stdin)).split(/\r?\n/)[0]!.trim();
}

/** All that a pipe brings; more than any secret or question of git's is not read. */
export async function readPiped(stdin: NodeJS.ReadStream): Promise<string> {
  stdin.setEncoding("utf8");
  let text = "";
  for await (const chunk of stdin as AsyncIterable<string>) {
    text += chunk;
    if (text.length > 100_000) break;
  }
  return text;
}
