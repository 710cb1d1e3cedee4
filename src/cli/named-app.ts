import { access, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/** What is longer than this is no file that someone wrote for Zyndra. */
const mostBytes = 256 * 1024;

/**
 * The `name` in the `zyndra.yml` of a folder, or of the nearest one above it in its repository. A file that is not right is
 * not this function's to judge: where it names no app, none is named.
 */
export async function readNamedApp(cwd: string): Promise<{ app: string; path: string } | undefined> {
  let nearest: string | undefined;
  for (let folder = cwd; ; folder = dirname(folder)) {
    const path = join(folder, "zyndra.yml");
    nearest ??= (await exists(path)) ? path : undefined;
    const isTop = await exists(join(folder, ".git"));
    // Outside of a repository a file is about its own folder alone.
    if (!isTop && folder !== dirname(folder)) continue;
    if (nearest === undefined || (!isTop && dirname(nearest) !== cwd)) return undefined;
    const app = await readName(nearest);
    return app === undefined ? undefined : { app, path: nearest };
  }
}

async function readName(path: string): Promise<string | undefined> {
  const text = await readFile(path, "utf8").catch(() => "");
  if (text.length > mostBytes || !/^["']?name["']?\s*:/m.test(text)) return undefined;
  const { parseDocument } = await import("yaml");
  try {
    const name: unknown = parseDocument(text, { logLevel: "silent" }).get("name");
    return typeof name === "string" && name !== "" ? name : undefined;
  } catch {
    return undefined; // A list, or nothing that has names at all.
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
