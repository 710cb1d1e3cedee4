import { statfs } from "node:fs/promises";
import { UserError } from "../../errors.ts";

/** Throws UserError `insufficient_storage` where less than `minFreeBytes` of the repository's disk is left. */
export async function assertFreeDisk(folder: string, minFreeBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const freeBytes = bavail * bsize;
  if (freeBytes >= minFreeBytes) return;
  throw new UserError(
    "insufficient_storage",
    `the platform's disk is full (${Math.floor(freeBytes / 1024 ** 2)} MiB left): nothing was stored`,
    "ask whoever runs it to make room, then push again",
  );
}
