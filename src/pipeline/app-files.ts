import type { Deps } from "../deps.ts";
import type { FileWarning } from "../model/app-file/app-json.ts";
import { causeOfFaults, faultLine } from "../model/app-file/file-fault.ts";
import { maxFileBytes } from "../model/app-file/file-text.ts";
import {
  appFilesOf,
  type ReadAppFiles,
  readAppFiles,
  readZyndraYml,
  wantedFiles,
} from "../model/app-file/read-app-files.ts";
import type { AppSettings } from "../model/app-settings.ts";
import type { Cause } from "../model/cause.ts";
import type { Story } from "./story.ts";

/** What a commit's own files say, or why nothing can be built of it. */
export type CommitSettings = { ok: true; settings: AppSettings; warnings: FileWarning[] } | { ok: false; cause: Cause };

/** Reads zyndra.yml, Procfile and app.json of the deploy's commit. All that is wrong in them goes into its log. */
export async function readCommitSettings(story: Story): Promise<CommitSettings> {
  const { deploy, held, write } = story;
  const read = await readFilesOf(story.deps, deploy.appId, deploy.commit!, story.signal);
  if (!read.ok) {
    const faults = read.faults.map((fault) => ({ ...fault, suggestion: forApp(fault.suggestion, held.app.name) }));
    if (faults.length > 1) {
      write({ kind: "step", text: "Reading what the app's files say" });
      for (const fault of faults) write({ kind: "output", text: faultLine(fault) });
    }
    return { ok: false, cause: causeOfFaults(faults) };
  }
  const { settings, warnings } = read;
  if (settings.name !== undefined && settings.name !== held.app.name) {
    return { ok: false, cause: causeOfOtherApp(settings, held.app.name) };
  }
  return {
    ok: true,
    settings,
    warnings: warnings.map(({ text, ...rest }) => ({ text: forApp(text, held.app.name), ...rest })),
  };
}

/** Lines to type name the app. */
function forApp(text: string, appName: string): string {
  return text.replaceAll(/\bAPP\b/g, appName);
}

async function readFilesOf(
  { repos }: Pick<Deps, "repos">,
  appId: string,
  commit: string,
  signal: AbortSignal,
): Promise<ReadAppFiles> {
  const wanted = { names: wantedFiles, maxBytes: maxFileBytes, signal };
  const top = await repos.readFolder(appId, commit, "", wanted);
  if (!top) throw new Error(`commit ${commit} has no tree`);
  const own = readZyndraYml(appFilesOf(top, top));
  const root = own.said.build?.root;
  const built = root === undefined ? top : await repos.readFolder(appId, commit, root, wanted);
  return readAppFiles(appFilesOf(top, built), own);
}

function causeOfOtherApp({ name, origins }: AppSettings, appName: string): Cause {
  return {
    headline: `this zyndra.yml is for another app: ${name}`,
    detail: `${origins?.name ?? "zyndra.yml"}: name: ${name}; this is ${appName}`,
    hint: `push to ${name} (zyndra git:remote ${name}), or write name: ${appName}, commit, push again`,
  };
}
