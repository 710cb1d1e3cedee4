import { delimiter, isAbsolute, join } from "node:path";
import { z } from "zod";
import { processTypePattern } from "./process-types.ts";

/** The file in a slug's root folder that says how the slug is run. Written last: a folder without it is no slug. */
export const slugManifestFile = ".zyndra-slug.json";

/**
 * The file in the folder of a slug's commands that names the files which the build has left below it, so that those that an app
 * writes while it runs are told from them.
 */
export const slugFilesFile = ".zyndra-files";

/** Paths relative to the folder; a name may hold anything but NUL. */
export const slugFilesText = (paths: readonly string[]) => paths.map((path) => `${path}\0`).join("");
export const parseSlugFiles = (text: string) => text.split("\0").slice(0, -1);

/** Whose files are not named: too many, and nobody keeps anything of their own there. */
export const unnamedFolder = "node_modules";

/**
 * What a finished slug says of itself. `pathDirs` go in front of PATH, first one first, relative ones below the folder in
 * which its commands run. `env` are defaults below the config vars: a config var of the same name wins.
 */
export type SlugManifest = z.infer<typeof SlugManifest>;

const SlugManifest = z.object({
  formatVersion: z.literal(1),
  buildId: z.string(),
  commit: z.string(),
  /** The folder below the slug's own in which its commands run; absent: that one. */
  root: z.string().min(1).optional(),
  processTypes: z.record(z.string().regex(processTypePattern), z.object({ command: z.string().min(1) })),
  /** The Procfile's `release:` line. */
  releaseCommand: z.string().min(1).optional(),
  pathDirs: z.array(z.string().min(1)),
  env: z.record(z.string(), z.string()),
  sizeBytes: z.number().int().nonnegative(),
  /** As in the log, e.g. `built in 21 s, 48 MB, dependencies from cache`. */
  summary: z.string(),
});

/** Reads the text of a slug's manifest. Throws a plain Error on a text that is none: only Zyndra writes these files. */
export function parseSlugManifest(text: string): SlugManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error(`${slugManifestFile} is not JSON`, { cause: error });
  }
  const parsed = SlugManifest.safeParse(json);
  if (!parsed.success) throw new Error(`${slugManifestFile} is not a slug manifest: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** The text of a manifest, as `parseSlugManifest` reads it. */
export function slugManifestText(manifest: SlugManifest): string {
  return `${JSON.stringify(SlugManifest.parse(manifest), null, 2)}\n`;
}

/** The PATH of a process of this slug: the slug's own folders, then `basePath` (the machine's, with the platform's Node). */
export function slugPath(slugDir: string, manifest: Pick<SlugManifest, "pathDirs">, basePath: string): string {
  const dirs = manifest.pathDirs.map((dir) => (isAbsolute(dir) ? dir : join(slugDir, dir)));
  return [...dirs, basePath].filter((part) => part !== "").join(delimiter);
}
