import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { basename, delimiter, dirname, isAbsolute, join } from "node:path";
import { promisify } from "node:util";

const versionTimeoutMs = 10_000;

/** The folders of a PATH that builds may use: absolute ones, and none that a package manager put in front for its own scripts. */
export function usablePath(path: string): string {
  const dirs = path.split(delimiter).filter((dir) => isAbsolute(dir) && !isOfPackageManager(dir));
  return [...new Set(dirs)].join(delimiter);
}

function isOfPackageManager(dir: string): boolean {
  return (basename(dir) === ".bin" && basename(dirname(dir)) === "node_modules") || basename(dir) === "node-gyp-bin";
}

/** The first program of this name on a PATH. */
export async function findProgram(name: string, path: string): Promise<string | undefined> {
  for (const dir of path.split(delimiter)) {
    const file = join(dir, name);
    if (await isProgram(file)) return file;
  }
  return undefined;
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

/** The first version number that a tool prints when asked for it, e.g. `3.11.7`; undefined where it does not run. */
export async function versionOf(
  argv: readonly [string, ...string[]],
  env: Record<string, string>,
  cwd: string,
): Promise<string | undefined> {
  const [program, ...args] = argv;
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, {
      env,
      cwd,
      timeout: versionTimeoutMs,
      killSignal: "SIGKILL",
      maxBuffer: 64 * 1024,
    });
    return /\d+\.\d+(?:\.\d+)?/.exec(`${stdout}\n${stderr}`)?.[0];
  } catch {
    return undefined;
  }
}
