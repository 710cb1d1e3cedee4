import type { Check } from "../checks.ts";
import type { AppSettings } from "../model/app-settings.ts";
import type { Cause } from "../model/cause.ts";
import type { Image } from "../model/image.ts";
import type { WriteLine } from "../model/log-line.ts";
import type { ProcessTypes } from "../model/process-types.ts";

/** Turns a commit into an image. */
export type Builder = {
  readonly kind: "local" | "buildkit";

  /** What of this machine decides an image besides the commit and the config vars: another one, and nothing is used again. */
  readonly tools: string;

  /** What it needs of this machine, for `zyndra doctor`. */
  readonly checks: readonly Check[];

  /**
   * Builds one image. May be called again with the same `buildId` after a crash: what an earlier call left running is
   * ended first, what it left on disk is replaced. A build that fails is an answer, not an exception; an aborted signal
   * ends every process of the build (SIGTERM, then SIGKILL within 2 s) and rejects with the signal's reason.
   */
  build(request: BuildRequest, write: WriteLine, signal: AbortSignal): Promise<BuildOutcome>;

  /** Whether an image is still there, so that it can be released again. */
  hasImage(image: Image): Promise<boolean>;

  /** Removes images that nothing refers to any more. Absent ones are no fault. */
  removeImages(images: Image[]): Promise<void>;

  /** Removes all that was ever made for an app: images, caches, work folders; ends its running builds. */
  removeApp(appId: string): Promise<void>;
};

export type BuildRequest = {
  buildId: string;
  appId: string;
  appName: string;
  /** The full commit id, shown and put into the environment as SOURCE_VERSION (as Heroku does). */
  commit: string;
  /** Unpacks the commit's files into an empty folder; no `.git`, no submodules. */
  unpackSource(intoDir: string, signal: AbortSignal): Promise<void>;
  /** The app's config vars: the whole environment of the build besides what the builder and `settings` add. */
  env: Record<string, string>;
  /** What the app's own files say of the build and of what runs. */
  settings: Pick<AppSettings, "build" | "processes" | "hooks" | "origins">;
  /** Start with empty dependency caches. */
  skipCache: boolean;
};

export type BuildOutcome =
  | {
      ok: true;
      image: Image;
      processTypes: ProcessTypes;
      /** The Procfile's `release:` line, run before the new release serves. */
      releaseCommand?: string;
      sizeBytes: number;
      /** One line for the log and the page, e.g. `48 MB, dependencies from cache`. */
      summary: string;
    }
  | { ok: false; cause: Cause };
