import type { AppSettings, CronEntry, EnvRule, HealthCheck, Hook, ProcessSettings } from "../app-settings.ts";
import { addFault, type Reading } from "./shape.ts";
import type { ZyndraYml } from "./zyndra-yml.ts";
import { fiveFields, relativeFolder } from "./zyndra-yml-values.ts";

type Said = NonNullable<ZyndraYml["processes"]>[string];
type SaidHook = NonNullable<NonNullable<ZyndraYml["hooks"]>["release"]>;
type SaidRule = NonNullable<ZyndraYml["env"]>[string];

/** What a zyndra.yml says, in the platform's own words; what contradicts itself becomes a fault of the reading. */
export function settingsOfZyndraYml(said: ZyndraYml, at: Reading): AppSettings {
  findContradictions(said, at);
  const { name, deploy = {}, hooks = {}, processes, cron, env } = said;
  const build = buildSettings(said.build);
  const rollout = { timeoutMs: deploy.timeout, drainMs: deploy.drain, stopGraceMs: deploy.stop_grace };
  const settings: AppSettings = {
    name,
    build,
    processes: filled(processes && mapValues(processes, processSettings)),
    hooks: present({
      release: hookSettings(hooks.release),
      firstDeploy: hookSettings(hooks.first_deploy),
      afterDeploy: hookSettings(hooks.after_deploy),
    }),
    rollout: present(rollout),
    cron: cron?.length ? cron.map(cronEntry) : undefined,
    env: filled(env && mapValues(env, envRule)),
  };
  return { ...present(settings), origins: originsOf(said, at) };
}

function buildSettings(said: ZyndraYml["build"]): AppSettings["build"] {
  if (!said) return undefined;
  const { builder, root, output, cache, timeout, args, secrets } = said;
  const folder = root === undefined ? undefined : relativeFolder(root) || undefined;
  // "." is a folder too: the one that is built.
  const served = output === undefined ? undefined : relativeFolder(output) || ".";
  return present({ builder, root: folder, output: served, cache, timeoutMs: timeout, args, secrets });
}

function processSettings(said: Said): ProcessSettings {
  if (typeof said === "string") return { command: said };
  const { command, replicas, health, stop_grace } = said;
  return present({ command, count: replicas, health: healthCheck(health), stopGraceMs: stop_grace }) ?? {};
}

function healthCheck(said: Exclude<Said, string>["health"]): HealthCheck | undefined {
  if (said === undefined) return undefined;
  if (typeof said === "string") return { path: said };
  const probe = said.readiness ?? said.startup;
  return probe && present({ path: probe.path, timeoutMs: probe.timeout });
}

function hookSettings(said: SaidHook | undefined): Hook | undefined {
  if (said === undefined) return undefined;
  if (typeof said === "string") return { command: said };
  return present({ command: said.command, timeoutMs: said.timeout });
}

function cronEntry(said: NonNullable<ZyndraYml["cron"]>[number]): CronEntry {
  const { name, schedule, timezone, command, concurrency = "forbid", timeout, retries } = said;
  return {
    name,
    schedule: fiveFields(schedule),
    command,
    overlap: concurrency,
    ...present({ timezone, timeoutMs: timeout, retries }),
  };
}

function envRule(said: SaidRule): EnvRule {
  if (typeof said === "string") return { value: said };
  const { value, sync, generate, required, from, description } = said;
  return present({ value, sync, generateBytes: generate, required, from, description }) ?? {};
}

// --- What contradicts itself

function findContradictions({ build, processes, cron, env }: ZyndraYml, at: Reading): void {
  const isStatic = build?.builder === "static";
  if (build?.output !== undefined && !isStatic) {
    contradict(at, "build.output", "output is for builder: static", "add builder: static, or remove output");
  }
  for (const [type, process] of Object.entries(processes ?? {})) {
    const { command, health } = typeof process === "string" ? { command: process } : process;
    if (isStatic && type !== "web") {
      contradict(at, `processes.${type}`, `builder: static runs no ${type}`, "remove builder: static, or the process");
    } else if (isStatic && command !== undefined) {
      contradict(at, `processes.${type}`, "builder: static has a web server of its own", "remove its command");
    }
    if (health !== undefined && type !== "web") {
      const problem = "only web is asked how it is, in this version";
      contradict(at, `processes.${type}.health`, problem, "remove health: a process that stays up is healthy");
    }
  }
  for (const [index, { name }] of (cron ?? []).entries()) {
    const first = cron!.findIndex((entry) => entry.name === name);
    const line = at.places.get(`cron.[${first}].name`)?.line;
    const problem = `the name ${name} is taken by the entry in line ${line}`;
    if (first < index) contradict(at, `cron.[${index}].name`, problem, "give each entry a name of its own");
  }
  for (const [name, rule] of Object.entries(env ?? {})) {
    const isTold = typeof rule === "string" || at.broken.has(`env.${name}`);
    const problem = isTold ? undefined : contradictionOf(name, rule);
    if (problem) contradict(at, `env.${name}`, problem.problem, problem.suggestion);
  }
}

function contradictionOf(name: string, rule: Exclude<SaidRule, string>) {
  const { value, sync, generate, required, from, secret } = rule;
  const sources = Object.entries({ value, generate, from }).flatMap(([key, said]) => (said === undefined ? [] : [key]));
  if (secret && value !== undefined) {
    const suggestion = `write required: true instead of the value, then: zyndra config:set APP ${name}=VALUE`;
    return { problem: `${name} is secret and has a value here: no secrets in the repository`, suggestion };
  }
  if (sources.length > 1) {
    return { problem: `${name} comes from ${sources.join(" and from ")}`, suggestion: "keep one of them" };
  }
  if (required && sources.length > 0) {
    const problem = `${name} is never missing: it comes from ${sources[0]}`;
    return { problem, suggestion: `remove required, or ${sources[0]}` };
  }
  if (sync && value === undefined) {
    return { problem: `sync needs a value that wins`, suggestion: `${name}: { value: …, sync: true }` };
  }
  if (Object.keys(rule).length === 0) {
    return { problem: `${name} says nothing`, suggestion: `for example: ${name}: { required: true }` };
  }
  return undefined;
}

function contradict(at: Reading, path: string, problem: string, suggestion: string): void {
  const place = at.places.get(path) ?? { line: 1, column: 1 };
  addFault(at, { place, text: path.split(".").at(-1)! }, { problem, suggestion });
}

// --- Where it stands

/** What a path in the file is in the settings. */
const settingsPaths: [RegExp, string][] = [
  [/^name$/, "name"],
  [/^build\.(builder|root|output|cache|args|secrets)$/, "build.$1"],
  [/^build\.timeout$/, "build.timeoutMs"],
  [/^deploy\.timeout$/, "rollout.timeoutMs"],
  [/^deploy\.drain$/, "rollout.drainMs"],
  [/^deploy\.stop_grace$/, "rollout.stopGraceMs"],
  [/^hooks\.release$/, "hooks.release"],
  [/^hooks\.first_deploy$/, "hooks.firstDeploy"],
  [/^hooks\.after_deploy$/, "hooks.afterDeploy"],
  [/^processes\.([^.]+)$/, "processes.$1"],
  [/^processes\.([^.]+)\.(command|health)$/, "processes.$1.$2"],
  [/^processes\.([^.]+)\.replicas$/, "processes.$1.count"],
  [/^processes\.([^.]+)\.stop_grace$/, "processes.$1.stopGraceMs"],
  [/^env\.([^.]+)$/, "env.$1"],
];

function originsOf({ processes = {}, cron = [] }: ZyndraYml, at: Reading): Record<string, string> {
  const origin = (path: string) => `${at.file}:${at.places.get(path)!.line}`;
  const plain = [...at.places.keys()].flatMap((path) => {
    const known = settingsPaths.find(([pattern]) => pattern.test(path));
    return known ? [[path.replace(known[0], known[1]), origin(path)]] : [];
  });
  const commands = Object.entries(processes).flatMap(([type, said]) =>
    typeof said === "string" ? [[`processes.${type}.command`, origin(`processes.${type}`)]] : [],
  );
  const entries = cron.map(({ name }, index) => [`cron.${name}`, origin(`cron.[${index}]`)]);
  return Object.fromEntries([...plain, ...commands, ...entries]);
}

/** A block without what was not said; undefined where nothing was. */
export function present<Block extends object>(block: Block): Block | undefined {
  const said = Object.entries(block).filter(([, value]) => value !== undefined);
  return said.length === 0 ? undefined : (Object.fromEntries(said) as Block);
}

function filled<Block extends object>(block: Block | undefined): Block | undefined {
  return block && Object.keys(block).length > 0 ? block : undefined;
}

function mapValues<From, To>(record: Record<string, From>, change: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}
