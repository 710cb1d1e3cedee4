import { delimiter, join } from "node:path";
import { type SlugManifest, slugPath } from "../../model/slug.ts";
import type { ReleaseSpec } from "../runtime.ts";
import { machinePath } from "./perl.ts";

/**
 * The whole environment of an app's process, nothing of the platform's own in it. Config vars win over what the slug
 * and Zyndra set by default; PORT of a web process and what says which process this is are facts, and win over them.
 */
export function processEnvironment(about: {
  spec: ReleaseSpec;
  slugDir: string;
  manifest: Pick<SlugManifest, "pathDirs" | "env">;
  /** `web.1` */
  processName: string;
  /** Holds `home` and `tmp`. */
  folder: string;
  port?: number;
  /** Where the platform's own Node lies: an app needs none of its own. */
  nodeDir: string;
}): Record<string, string> {
  const { spec, manifest, folder, port } = about;
  const machineDirs = [spec.env.PATH, about.nodeDir, ...machinePath].filter((dir) => dir !== undefined);
  return {
    HOME: join(folder, "home"),
    TMPDIR: join(folder, "tmp"),
    LANG: "C.UTF-8",
    NODE_ENV: "production",
    ...manifest.env,
    ...spec.env,
    PATH: slugPath(about.slugDir, manifest, machineDirs.join(delimiter)),
    ...(port === undefined ? {} : { PORT: String(port) }),
    ZYNDRA_APP: spec.appName,
    ZYNDRA_RELEASE_VERSION: `v${spec.version}`,
    ZYNDRA_PROCESS: about.processName,
  };
}
