import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** All volumes of a data folder, each a folder named by its id. */
export function volumesFolder(dataDir: string): string {
  return join(dataDir, "volumes");
}

export function volumeFolder(dataDir: string, addonId: string): string {
  assert(/^[A-Za-z0-9_-]{1,64}$/.test(addonId), `"${addonId}" is no add-on's id`);
  return join(volumesFolder(dataDir), addonId);
}

export async function ensureVolume(dataDir: string, addonId: string): Promise<void> {
  await mkdir(volumeFolder(dataDir, addonId), { recursive: true, mode: 0o700 });
}

export async function destroyVolume(dataDir: string, addonId: string): Promise<void> {
  const folder = volumeFolder(dataDir, addonId);
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 5 });
  await remove().catch(async () => {
    // An app may have taken its own rights to a folder away. chmod follows no links here.
    await run("chmod", ["-R", "u+rwx", "--", folder]);
    await remove();
  });
}

const measureLimitMs = 2_000;

/** What a volume takes on the disk; undefined where counting takes too long, or there is nothing. */
export async function measureVolume(dataDir: string, addonId: string): Promise<number | undefined> {
  try {
    const { stdout } = await run("du", ["-sk", "--", volumeFolder(dataDir, addonId)], { timeout: measureLimitMs });
    return Number.parseInt(stdout, 10) * 1024;
  } catch {
    return undefined;
  }
}
