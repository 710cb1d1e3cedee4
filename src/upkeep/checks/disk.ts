import { execFile } from "node:child_process";
import { readdir, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Check } from "../../checks.ts";
import { sizeWords } from "../../model/size.ts";

/** Below this pushes and builds are refused. */
const leastBytes = 256 * 1024 ** 2;
const scarceBytes = 2 * 1024 ** 3;
const countWithinMs = 10_000;

export function diskChecks(dataDir: string): Check[] {
  return [freeDisk(dataDir), dataSizes(dataDir)];
}

export function freeDisk(folder: string): Check {
  return {
    name: "free disk",
    async look() {
      const { bavail, blocks, bsize } = await statfs(folder);
      const freeBytes = bavail * bsize;
      const text = `${sizeWords(freeBytes)} of ${sizeWords(blocks * bsize)} free for ${folder}`;
      const hint = "make room on it: zyndra apps:destroy removes all that belongs to an app";
      if (freeBytes < leastBytes) return { verdict: "fault", text: `${text}: pushes and builds are refused`, hint };
      return freeBytes < scarceBytes ? { verdict: "warning", text, hint } : { verdict: "ok", text };
    },
  };
}

/** What lies in the data folder, the largest first. */
function dataSizes(dataDir: string): Check {
  return {
    name: "data folder",
    async look() {
      const entries = await readdir(dataDir, { withFileTypes: true });
      const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
      const sizes = await sizesOf(dataDir, folders).catch(() => undefined);
      if (sizes === undefined)
        return {
          verdict: "ok",
          text: `${dataDir}; to count what lies in it takes more than ${countWithinMs / 1000} s`,
        };
      const shown = sizes
        .filter(({ sizeBytes }) => sizeBytes > 1024 ** 2)
        .map(({ name, sizeBytes }) => `${name} ${sizeWords(sizeBytes)}`);
      const total = sizes.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      return { verdict: "ok", text: [`${dataDir}: ${sizeWords(total)}`, ...shown].join(", ") };
    },
  };
}

async function sizesOf(dataDir: string, folders: string[]): Promise<{ name: string; sizeBytes: number }[]> {
  if (folders.length === 0) return [];
  const out = await new Promise<string>((resolve, reject) => {
    const args = ["-sk", ...folders.map((name) => join(dataDir, name))];
    // Files that go while it counts make it complain, not wrong.
    execFile("du", args, { timeout: countWithinMs }, (error, stdout) =>
      error?.killed ? reject(error) : resolve(stdout),
    );
  });
  return [...out.matchAll(/^(\d+)\t(.*)$/gm)]
    .map(([, kilobytes, path]) => ({ name: path!.slice(dataDir.length + 1), sizeBytes: Number(kilobytes) * 1024 }))
    .sort((left, right) => right.sizeBytes - left.sizeBytes);
}
