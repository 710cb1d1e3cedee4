import { accessSync, constants, readFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { openTerminal } from "./terminal.ts";
import { openWaiting, unseen, type Waiting } from "./waiting.ts";
import type { ByteOut, World } from "./world.ts";

const { env } = process;
const filled = (name: string) => (env[name] === "" ? undefined : env[name]);

const packageJson = findPackageJson();

const interrupting = new AbortController();
let interruptedAt = 0;
process.on("SIGINT", () => {
  // A second Ctrl-C is for whoever does not want to wait; one that came twice, through the terminal and a parent, is not one.
  if (interrupting.signal.aborted && performance.now() - interruptedAt > 300) process.exit(130);
  if (!interrupting.signal.aborted) interruptedAt = performance.now();
  interrupting.abort();
});
// A reader that has seen enough, such as `head`, ends the program quietly.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
process.stderr.on("error", () => process.exit(1));

const { runCli } = await import("./cli.ts");
process.exitCode = await runCli(world());
// Nobody reads any more: an input that stays open must not keep the program.
process.stdin.unref?.();

function world(): World {
  const isInteractive = process.stdin.isTTY === true && process.stderr.isTTY === true;
  const waiting = isInteractive && canTakeLinesBack() ? openWaiting(outOf(process.stderr)) : unseen;
  process.on("exit", waiting.clear);
  return {
    words: process.argv.slice(2),
    calledAs: env.npm_command === "exec" ? "npx zyndra" : "zyndra",
    version: packageJson.version,
    cwd: currentFolder(),
    configFolder: join(filled("XDG_CONFIG_HOME") ?? join(homedir(), ".config"), "zyndra"),
    cache: { folder: join(filled("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "zyndra") },
    userName: filled("USER") ?? nameOfUser(),
    override: { url: filled("ZYNDRA_URL"), token: filled("ZYNDRA_TOKEN"), app: filled("ZYNDRA_APP") },
    searchPath: env.PATH ?? "",
    self: [process.execPath, import.meta.filename],
    browser: findBrowser(),
    editor: filled("VISUAL") ?? filled("EDITOR"),
    stdin: process.stdin,
    stdout: writingOver(waiting, outOf(process.stdout)),
    stderr: writingOver(waiting, outOf(process.stderr)),
    waiting,
    terminal:
      process.stdin.isTTY && process.stdout.isTTY
        ? openTerminal(process.stdin, process.stdout, filled("TERM") ?? "xterm")
        : undefined,
    isInteractive,
    interrupted: interrupting.signal,
  };
}

/** A folder that was removed under our feet is as good as none. */
function currentFolder(): string {
  try {
    return process.cwd();
  } catch {
    return "/";
  }
}

/** https://no-color.org: any value but an empty one switches colours off. */
function outOf(stream: NodeJS.WriteStream): ByteOut {
  const isTerminal = stream.isTTY === true;
  return {
    write: (text) => void stream.write(text),
    pass: (bytes) => new Promise((resolve) => stream.write(bytes, () => resolve())),
    colours: isTerminal && filled("NO_COLOR") === undefined && env.TERM !== "dumb",
    get columns() {
      return isTerminal ? stream.columns || 80 : undefined; // A terminal that does not know says 0.
    },
  };
}

/** A reader of standard output that is a program of its own, such as a pager, may share the terminal. */
function canTakeLinesBack(): boolean {
  const { colours } = outOf(process.stderr);
  return colours && process.stdout.isTTY === true && filled("CI") === undefined;
}

/** What is written takes the place of the line that says what is waited for. */
function writingOver(waiting: Waiting, out: ByteOut): ByteOut {
  return {
    write(text) {
      waiting.clear();
      out.write(text);
    },
    pass(bytes) {
      waiting.clear();
      return out.pass(bytes);
    },
    colours: out.colours,
    get columns() {
      return out.columns;
    },
  };
}

/** The package's own file lies some folders above, here and in what is published. */
function findPackageJson(): { version: string } {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    try {
      return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version: string };
    } catch {}
  }
  return { version: "unknown" };
}

function nameOfUser(): string {
  try {
    return userInfo().username;
  } catch {
    return "owner"; // A user id without an entry, as in many containers.
  }
}

function findBrowser(): string | undefined {
  if (process.platform === "darwin") return "open";
  const hasScreen = filled("DISPLAY") ?? filled("WAYLAND_DISPLAY");
  if (hasScreen === undefined) return undefined;
  const folders = (env.PATH ?? "").split(delimiter);
  return folders.map((folder) => join(folder, "xdg-open")).find((path) => isProgram(path));
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
