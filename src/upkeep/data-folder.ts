import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";

/** The process that keeps a data folder, as it wrote itself down. */
export type Holder = {
  pid: number /** Tells this process from a later one with the same pid. */;
  mark: string;
  url: string;
};

const fileName = "platform.json";

/**
 * Makes the data folder this process's own until the returned function is called. A holder that died is replaced.
 * @throws UserError conflict where another platform runs on it, forbidden where it cannot be written
 */
export async function claimDataFolder(dataDir: string, url: string): Promise<() => Promise<void>> {
  const file = join(dataDir, fileName);
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const holder = await findHolder(dataDir);
    if (holder) {
      const hint =
        "end it first (zyndra stop, in the folder it was started in), or choose another: ZYNDRA_DATA=/path zyndra start";
      throw new UserError("conflict", `another Zyndra (pid ${holder.pid}, ${holder.url}) runs on ${dataDir}`, hint);
    }
    const mine: Holder = { pid: process.pid, mark: (await markOf(process.pid)) ?? "", url };
    await writeFile(`${file}.${process.pid}`, JSON.stringify(mine), { mode: 0o600 });
    await rename(`${file}.${process.pid}`, file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") {
      throw new UserError(
        "forbidden",
        `the data folder ${dataDir} cannot be written`,
        "choose another: ZYNDRA_DATA=/path zyndra start",
      );
    }
    if (code === "ENOTDIR" || code === "EEXIST") {
      throw new UserError("bad_input", `${dataDir} is not a folder`, "choose another: ZYNDRA_DATA=/path zyndra start");
    }
    throw error;
  }
  return async () => {
    const text = await readFile(file, "utf8").catch(() => "");
    if (text.includes(`"pid":${process.pid},`)) await rm(file, { force: true });
  };
}

/** The live platform of a data folder, if there is one. */
export async function findHolder(dataDir: string): Promise<Holder | undefined> {
  const text = await readFile(join(dataDir, fileName), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  let holder: Holder;
  try {
    holder = JSON.parse(text);
  } catch {
    return undefined;
  }
  return holder.pid !== process.pid && (await markOf(holder.pid)) === holder.mark ? holder : undefined;
}

/**
 * When a process started, as the kernel counts it (proc(5), field 22 of stat); elsewhere only whether it lives.
 * Undefined where there is no such process.
 */
async function markOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat !== undefined) return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  if (process.platform === "linux") return undefined;
  try {
    process.kill(pid, 0);
    return "alive";
  } catch {
    return undefined;
  }
}
