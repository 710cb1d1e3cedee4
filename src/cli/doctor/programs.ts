import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";

export type Answer = { ran: boolean; ok: boolean; out: string; complaint: string };

/** Runs a program to its end. `ran` is false where there is none of this name. */
export function askProgram(
  name: string,
  args: string[],
  options: { cwd: string; signal: AbortSignal; input?: string },
): Promise<Answer> {
  return new Promise((resolve) => {
    const { input = "", ...where } = options;
    const child = execFile(name, args, where, (error, out, complaint) => {
      const ran = (error as NodeJS.ErrnoException | null)?.code !== "ENOENT";
      resolve({ ran, ok: error === null, out: out.trim(), complaint: complaint.trim() });
    });
    // A program that does not read what it is given is no fault.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

/** Where a program lies that the shell would find. */
export async function findOnPath(name: string, searchPath: string): Promise<string | undefined> {
  for (const folder of searchPath.split(delimiter).filter((each) => each !== "")) {
    const path = join(folder, name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}
