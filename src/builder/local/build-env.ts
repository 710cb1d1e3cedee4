import { delimiter, join } from "node:path";
import { buildMark } from "./leftovers.ts";

export type BuildEnvInput = {
  /** The app's config vars. */
  configVars: Record<string, string>;
  /** What tools need to reach registries (proxies, certificates), as the platform's settings name it. */
  passEnv: Record<string, string>;
  appName: string;
  commit: string;
  /** `APP_ID/BUILD_ID`. */
  mark: string;
  /** Folders in front of the machine's PATH. */
  pathDirs: string[];
  machinePath: string;
  homeDir: string;
  tmpDir: string;
  cacheDir: string;
  npmrcPath?: string;
};

/**
 * The whole environment of a build's commands: the app's config vars over a few defaults, and under what the builder itself
 * needs. Nothing of the platform's own environment is in it.
 */
export function buildEnv(input: BuildEnvInput): Record<string, string> {
  const cache = (name: string) => join(input.cacheDir, name);
  return {
    LANG: "C.UTF-8",
    NODE_ENV: "production",
    PIP_DISABLE_PIP_VERSION_CHECK: "1",
    PIP_NO_INPUT: "1",
    PYTHONUNBUFFERED: "1",
    YARN_ENABLE_TELEMETRY: "0",
    NEXT_TELEMETRY_DISABLED: "1",
    ...input.passEnv,
    ...input.configVars,
    PATH: [...input.pathDirs, input.machinePath].join(delimiter),
    HOME: input.homeDir,
    TMPDIR: input.tmpDir,
    CI: "1",
    NO_COLOR: "1",
    STACK: "zyndra-local",
    SOURCE_VERSION: input.commit,
    ZYNDRA_APP_NAME: input.appName,
    [buildMark]: input.mark,
    npm_config_cache: cache("npm"),
    npm_config_update_notifier: "false",
    npm_config_fund: "false",
    npm_config_audit: "false",
    npm_config_progress: "false",
    ...(input.npmrcPath ? { npm_config_userconfig: input.npmrcPath } : {}),
    COREPACK_HOME: cache("corepack"),
    COREPACK_ENABLE_DOWNLOAD_PROMPT: "0",
    YARN_CACHE_FOLDER: cache("yarn"),
    YARN_GLOBAL_FOLDER: cache("yarn-berry"),
    PIP_CACHE_DIR: cache("pip"),
    UV_CACHE_DIR: cache("uv"),
    GOCACHE: cache("go-build"),
    GOMODCACHE: cache("go-mod"),
    GOPATH: cache("go"),
    // Modules are stored read-only otherwise, and could not be removed.
    GOFLAGS: [input.configVars.GOFLAGS, "-modcacherw"].filter((flag) => flag).join(" "),
  };
}
