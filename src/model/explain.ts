import { durationText } from "./app-file/quantities.ts";
import type { AppSettings, CronEntry, HealthCheck, Hook } from "./app-settings.ts";
import type { Formation, ProcessTypes } from "./process-types.ts";

/** One effective value of what is live, by the key that says it in zyndra.yml, and where it comes from. */
export type Explained = { key: string; value: string; from: string };

/** What is known of what is live. */
export type ExplainFacts = {
  settings: AppSettings;
  processTypes: ProcessTypes;
  formation: Formation;
  releaseCommand: string | null;
  /** Who has scaled a type, as `ps:scale by ana`; absent: nobody. */
  scaledBy: Record<string, string>;
  /** `value`: only what an app's own files say. */
  config: { name: string; from: string; value?: string }[];
  /** The platform's; absent where none is asked. */
  limits?: { buildMs: number; releaseMs: number; rolloutMs: number };
};

const byDefault = "default";
const detected = "detected";

/** Every effective value with where it comes from, in the order of zyndra.yml. */
export function explain(facts: ExplainFacts): Explained[] {
  return [
    ...explainBuild(facts),
    ...explainDeploy(facts),
    ...explainHooks(facts),
    ...Object.keys(facts.processTypes).flatMap((type) => explainProcess(facts, type)),
    ...(facts.settings.cron ?? []).map((entry) => explainCron(facts, entry)),
    ...facts.config.map(({ name, from, value }) => ({ key: `env.${name}`, value: value ?? "(hidden)", from })),
  ];
}

function explainBuild({ settings, limits }: ExplainFacts): Explained[] {
  const { builder, root, output, cache, timeoutMs, args = {}, secrets } = settings.build ?? {};
  const row = rowMaker(settings);
  return [
    row("build.builder", builder, "auto"),
    row("build.root", root, "."),
    ...(builder === "static" ? [row("build.output", output, "where an index.html is")] : []),
    row("build.cache", cache === undefined ? undefined : String(cache), "true"),
    row("build.timeout", timeOf(timeoutMs), timeOf(limits?.buildMs), "build.timeoutMs"),
    ...Object.entries(args).map(([name, value]) => ({
      key: `build.args.${name}`,
      value,
      from: settings.origins?.["build.args"] ?? byDefault,
    })),
    ...(secrets ? [row("build.secrets", secrets.join(", "))] : []),
  ];
}

function explainDeploy({ settings, limits }: ExplainFacts): Explained[] {
  const { timeoutMs, drainMs, stopGraceMs } = settings.rollout ?? {};
  const row = rowMaker(settings);
  return [
    row("deploy.timeout", timeOf(timeoutMs), timeOf(limits?.rolloutMs), "rollout.timeoutMs"),
    ...(drainMs === undefined ? [] : [row("deploy.drain", timeOf(drainMs), "", "rollout.drainMs")]),
    ...(stopGraceMs === undefined ? [] : [row("deploy.stop_grace", timeOf(stopGraceMs), "", "rollout.stopGraceMs")]),
  ];
}

function explainHooks({ settings, releaseCommand, limits }: ExplainFacts): Explained[] {
  const { release, firstDeploy, afterDeploy } = settings.hooks ?? {};
  const row = rowMaker(settings);
  const words = ({ command, timeoutMs = limits?.releaseMs }: Hook) =>
    timeoutMs === undefined ? command : `${command} (at most ${durationText(timeoutMs)})`;
  // Of a release that was made before the files were kept, only the command is known.
  const said = release ?? (releaseCommand === null ? undefined : { command: releaseCommand });
  return [
    ...(said ? [{ ...row("hooks.release", words(said)), ...(release ? {} : { from: "Procfile" }) }] : []),
    ...(firstDeploy ? [row("hooks.first_deploy", words(firstDeploy), "", "hooks.firstDeploy")] : []),
    ...(afterDeploy ? [row("hooks.after_deploy", words(afterDeploy), "", "hooks.afterDeploy")] : []),
  ];
}

function explainProcess({ settings, processTypes, formation, scaledBy }: ExplainFacts, type: string): Explained[] {
  const { health, stopGraceMs, count } = settings.processes?.[type] ?? {};
  const row = rowMaker(settings);
  const key = `processes.${type}`;
  const replicas = row(
    `${key}.replicas`,
    count === undefined ? undefined : String(formation[type]),
    String(formation[type]),
    `${key}.count`,
  );
  return [
    {
      key: `${key}.command`,
      value: processTypes[type]!.command,
      from: settings.origins?.[`${key}.command`] ?? detected,
    },
    { ...replicas, ...(scaledBy[type] === undefined ? {} : { from: scaledBy[type] }) },
    ...(type === "web" ? [row(`${key}.health`, health && healthWords(health), "listens on $PORT")] : []),
    ...(stopGraceMs === undefined ? [] : [row(`${key}.stop_grace`, timeOf(stopGraceMs), "", `${key}.stopGraceMs`)]),
  ];
}

function explainCron({ settings }: ExplainFacts, entry: CronEntry): Explained {
  const { name, schedule, timezone, command, overlap } = entry;
  const value = `${schedule} ${timezone ?? "UTC"}: ${command}${overlap === "allow" ? " (may overlap)" : ""}`;
  return { key: `cron.${name}`, value, from: settings.origins?.[`cron.${name}`] ?? byDefault };
}

/** Makes a row of what was said, or of the default; `path` is its place in the settings where that differs from the key. */
function rowMaker({ origins = {} }: AppSettings) {
  return (key: string, said: string | undefined, otherwise = "", path = key): Explained =>
    said === undefined
      ? { key, value: otherwise, from: byDefault }
      : { key, value: said, from: origins[path] ?? byDefault };
}

function timeOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : durationText(ms);
}

function healthWords({ path, timeoutMs }: HealthCheck): string {
  return `GET ${path}${timeoutMs === undefined ? "" : ` within ${durationText(timeoutMs)}`}`;
}
