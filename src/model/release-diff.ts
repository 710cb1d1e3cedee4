import type { AppSettings } from "./app-settings.ts";
import { duration } from "./deploy.ts";
import type { ProcessTypes } from "./process-types.ts";

/** One thing of a release that is otherwise in another. `from` is absent where it was added, `to` where it was removed. */
export type Change = { name: string; change: "added" | "changed" | "removed"; from?: string; to?: string };

/** What is compared of a release. */
export type ComparedRelease = {
  processTypes: ProcessTypes;
  releaseCommand: string | null;
  settings: AppSettings;
};

/** How what a release runs differs from another one, however many processes there are of each type. */
export function processChanges(from: ComparedRelease, to: ComparedRelease): Change[] {
  return changesBetween(commandsOf(from), commandsOf(to));
}

/** How what the app's files say differs, but for commands and config vars, which are told apart. */
export function settingChanges(from: ComparedRelease, to: ComparedRelease): Change[] {
  return changesBetween(settingsThatMatter(from.settings), settingsThatMatter(to.settings));
}

/** By name, sorted. */
export function changesBetween(from: Record<string, string>, to: Record<string, string>): Change[] {
  const names = new Set([...Object.keys(from), ...Object.keys(to)]);
  return [...names].sort().flatMap((name): Change[] => {
    const [before, after] = [from[name], to[name]];
    if (before === after) return [];
    if (before === undefined) return [{ name, change: "added", to: after! }];
    if (after === undefined) return [{ name, change: "removed", from: before }];
    return [{ name, change: "changed", from: before, to: after }];
  });
}

function commandsOf({ processTypes, releaseCommand }: ComparedRelease): Record<string, string> {
  const commands = Object.entries(processTypes).map(([type, { command }]) => [type, command]);
  return Object.fromEntries([...commands, ...(releaseCommand === null ? [] : [["release", releaseCommand]])]);
}

/**
 * Settings by their path in words: `{"rollout.drain": "30 s", "processes.web.health.path": "/up"}`. Commands are left out
 * since a release has them itself, and counts since whoever scales decides.
 */
export function settingsThatMatter(settings: AppSettings): Record<string, string> {
  const { build, processes, hooks, rollout, cron } = settings;
  const { release, firstDeploy, afterDeploy } = hooks ?? {};
  const { command: _, ...releaseLimits } = release ?? {};
  const ofProcesses = Object.fromEntries(
    Object.entries(processes ?? {}).map(([type, { command: _, count: __, ...rest }]) => [type, rest]),
  );
  const byName = Object.fromEntries((cron ?? []).map(({ name, ...entry }) => [name, entry]));
  const shown = {
    build,
    processes: ofProcesses,
    hooks: { release: releaseLimits, first_deploy: firstDeploy, after_deploy: afterDeploy },
    rollout,
    cron: byName,
  };
  return Object.fromEntries(flatten(shown, []));
}

function flatten(value: unknown, path: string[]): [string, string][] {
  if (value === undefined) return [];
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, part]) => flatten(part, [...path, key]));
  }
  const name = path.join(".");
  if (typeof value === "number" && name.endsWith("Ms")) return [[name.slice(0, -2), duration(value)]];
  return [[name, Array.isArray(value) ? value.join(", ") : String(value)]];
}
