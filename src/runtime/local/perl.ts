import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../errors.ts";

/** Where tools of the machine are looked for; also the end of every app's PATH. */
export const machinePath = ["/usr/local/bin", "/usr/bin", "/bin"];

/** All that our own Perl programs get to see: nothing of the platform's environment. */
export const perlEnvironment = { PATH: machinePath.join(":"), LC_ALL: "C" };

/** @throws UserError if this machine has no Perl. */
export async function requirePerl(): Promise<void> {
  for (const folder of machinePath) {
    try {
      await access(join(folder, "perl"), constants.X_OK);
      return;
    } catch {}
  }
  throw new UserError(
    "unavailable",
    `There is no perl in ${machinePath.join(", ")}: the local runtime needs it to keep apps running.`,
    "apt-get install perl (it comes with Debian's git)",
  );
}
