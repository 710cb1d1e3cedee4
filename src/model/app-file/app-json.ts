import type { AppSettings, CronEntry, EnvRule, HealthCheck, Hook } from "../app-settings.ts";
import { ConfigName, maxConfigValueBytes, reservedBecause } from "../config-vars.ts";
import { jsonSuggestion } from "../json-suggestion.ts";
import { clip } from "../names.ts";
import { type Formation, maxProcessesOfType, processTypePattern } from "../process-types.ts";
import type { FileFault, Place } from "./file-fault.ts";
import { type FileEntry, type FileNode, placesIn } from "./file-node.ts";
import { parseYaml } from "./yaml-file.ts";
import { fiveFields, scheduleProblem } from "./zyndra-yml-values.ts";

/** Something about a file that keeps no deploy from going on. */
export type FileWarning = {
  text: string;
  /** A config var whose presence shows that it was seen to. */
  unlessSet?: string;
};

/** What Heroku's app.json says, with Dokku's additions, in the platform's own words. */
export type AppJson = {
  formation: Formation;
  /** Of web. */
  health?: HealthCheck;
  hooks: NonNullable<AppSettings["hooks"]>;
  cron: CronEntry[];
  env: Record<string, EnvRule>;
  warnings: FileWarning[];
  /** Where values stand, as in AppSettings. */
  origins: Record<string, string>;
};

export type ParsedAppJson = { ok: true; appJson: AppJson } | { ok: false; fault: FileFault };

/**
 * Reads an app.json (https://devcenter.heroku.com/articles/app-json-schema,
 * https://dokku.com/docs/appendices/file-formats/app-json/). Files of real repositories must pass: only broken JSON is a
 * fault; what is not understood is left out, with a warning where it would have done something.
 */
export function parseAppJson(file: string, text: string): ParsedAppJson {
  const broken = findBroken(file, text);
  if (broken) return { ok: false, fault: broken };
  const { root, faults } = parseYaml(file, text);
  // What is JSON and no YAML is odd enough to be told: a tab in a strange place, a bomb of brackets.
  const [fault] = faults.filter(({ problem }) => !/is already in line/.test(problem));
  if (fault) return { ok: false, fault };
  if (root?.kind !== "map") {
    const problem = "it must be one block: { … }";
    return {
      ok: false,
      fault: { file, line: 1, column: 1, text: "", problem, suggestion: 'for example: {"env": {}}' },
    };
  }
  return { ok: true, appJson: readRoot(file, root) };
}

function readRoot(file: string, root: MapNode): AppJson {
  const found: AppJson = { formation: {}, hooks: {}, cron: [], env: {}, warnings: [], origins: {} };
  const at: At = {
    found,
    warn: (sentence, node) =>
      void found.warnings.push({ text: `${file}${node ? `:${node.place.line}` : ""}: ${sentence}` }),
    from: (path, node) => {
      found.origins[path] = `${file}:${node.place.line}`;
    },
  };
  readFormation(at, entryOf(root, "formation"));
  readHealth(at, entryOf(entryOf(root, "healthchecks"), "web"));
  readScripts(at, entryOf(root, "scripts"));
  readCron(at, entryOf(root, "cron"));
  readEnv(at, entryOf(root, "env"));
  readAddons(at, file, entryOf(root, "addons"));
  readBuild(at, root);
  return found;
}

type MapNode = FileNode & { kind: "map" };
type At = {
  found: AppJson;
  warn(sentence: string, node?: FileNode): void;
  /** Notes where the value of a settings path stands. */
  from(path: string, node: FileNode): void;
};

function readFormation({ found, warn, from }: At, formation: FileNode | undefined): void {
  for (const { key: type, value } of entriesOf(formation)) {
    const quantity = entryOf(value, "quantity");
    const count = quantity && numberOf(quantity);
    if (quantity === undefined || !processTypePattern.test(type)) continue;
    if (count === undefined || !Number.isInteger(count) || count < 0 || count > maxProcessesOfType) {
      warn(
        `the quantity of ${clip(type)} is left out: it must be a whole number from 0 to ${maxProcessesOfType}`,
        quantity,
      );
      continue;
    }
    found.formation[type] = count;
    from(`processes.${type}.count`, quantity);
  }
}

/** Dokku asks several; here one path is asked before a new process serves. */
function readHealth({ found, from }: At, checks: FileNode | undefined): void {
  const withPath = itemsOf(checks).filter((check) => textIn(check, "path")?.startsWith("/"));
  const kindOf = (check: FileNode) => textIn(check, "type") ?? "startup";
  const chosen =
    withPath.find((check) => kindOf(check) === "readiness") ?? withPath.find((check) => kindOf(check) === "startup");
  if (!chosen) return;
  const seconds = numberOf(entryOf(chosen, "timeout"));
  found.health = { path: textIn(chosen, "path")!, ...(seconds && seconds > 0 ? { timeoutMs: seconds * 1000 } : {}) };
  from("processes.web.health", chosen);
}

function readScripts({ found, from }: At, scripts: FileNode | undefined): void {
  const dokku = entryOf(scripts, "dokku");
  const hooks: [keyof AppJson["hooks"], FileNode | undefined][] = [
    ["firstDeploy", entryOf(scripts, "postdeploy")],
    ["release", entryOf(dokku, "predeploy")],
    ["afterDeploy", entryOf(dokku, "postdeploy")],
  ];
  for (const [name, node] of hooks) {
    const hook = hookOf(node);
    if (!node || !hook) continue;
    found.hooks[name] = hook;
    from(`hooks.${name}`, node);
  }
}

/** `"npm run seed"` or `{"command": "npm run seed"}` */
function hookOf(node: FileNode | undefined): Hook | undefined {
  const command = (textOf(node) ?? textIn(node, "command"))?.trim();
  return command ? { command } : undefined;
}

function readCron({ found, warn, from }: At, cron: FileNode | undefined): void {
  for (const [index, entry] of itemsOf(cron).entries()) {
    const command = textIn(entry, "command")?.trim();
    const schedule = textIn(entry, "schedule");
    const name = `cron-${index + 1}`;
    const problem = !command
      ? "it has no command"
      : schedule
        ? scheduleProblem(schedule)?.problem
        : "it has no schedule";
    if (problem !== undefined) {
      warn(`cron entry ${index + 1} is left out: ${problem}`, entry);
      continue;
    }
    // Dokku's word for a running one that is ended first; here the new one waits for its next time.
    const overlap = textIn(entry, "concurrency_policy") === "allow" ? "allow" : "forbid";
    found.cron.push({ name, schedule: fiveFields(schedule!), command: command!, overlap });
    from(`cron.${name}`, entry);
  }
}

function readEnv({ found, warn, from }: At, env: FileNode | undefined): void {
  for (const { key: name, value: node } of entriesOf(env)) {
    const fault = ConfigName.safeParse(name).error?.issues[0]?.message;
    if (fault !== undefined) {
      warn(`${clip(name)} is left out: ${reservedBecause(name) ?? fault}`, node);
      continue;
    }
    const rule = envRuleOf(node);
    if (rule.value !== undefined && Buffer.byteLength(rule.value) > maxConfigValueBytes) {
      warn(`${name} is left out: its value is longer than ${maxConfigValueBytes / 1024} KiB`, node);
      continue;
    }
    found.env[name] = rule;
    from(`env.${name}`, node);
  }
}

function envRuleOf(node: FileNode): EnvRule {
  if (node.kind !== "map") return { value: plainOf(node) ?? "" };
  const value = plainOf(entryOf(node, "value"));
  const description = textIn(node, "description");
  const about = description ? { description: clip(description, 300) } : {};
  if (value !== undefined) {
    const sync = entryOf(node, "sync");
    return { value, ...(sync?.kind === "scalar" && sync.value === true ? { sync: true } : {}), ...about };
  }
  // Heroku makes 64 hexadecimal digits.
  if (textIn(node, "generator") === "secret") return { generateBytes: 32, ...about };
  const required = entryOf(node, "required");
  const isOptional = required?.kind === "scalar" && (required.value === false || required.value === "false");
  return isOptional ? about : { expected: true, ...about };
}

function readAddons({ found }: At, file: string, addons: FileNode | undefined): void {
  for (const node of itemsOf(addons)) {
    const plan = textOf(node) ?? textIn(node, "plan");
    const [service = ""] = (plan ?? "").trim().split(":");
    if (!service) continue;
    const asked = `${file}:${node.place.line}: it asks for ${clip(service)}`;
    found.warnings.push(
      /postgres/i.test(service)
        ? { text: `${asked}: zyndra addons:create postgres --app APP`, unlessSet: "DATABASE_URL" }
        : { text: `${asked}, which Zyndra does not make: zyndra config:set APP NAME=VALUE names one from elsewhere` },
    );
  }
}

function readBuild({ warn }: At, root: MapNode): void {
  const container = textIn(root, "stack") === "container";
  if (container) warn("Dockerfiles are not built in this version: a Procfile says what is run", entryOf(root, "stack"));
  const image = entryOf(root, "image");
  const buildpacks = entryOf(root, "buildpacks");
  const ignored = [image && "image", buildpacks && "buildpacks", !container && entryOf(root, "stack") && "stack"];
  const names = ignored.filter((name) => typeof name === "string");
  if (names.length > 0)
    warn(`${names.join(", ")} ${names.length === 1 ? "is" : "are"} not used: the language is found by its files`);
}

// --- JSON

/** Where JSON.parse stops, in words of its own without the text around it. */
function findBroken(file: string, text: string): FileFault | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const position = /at position (\d+)/.exec(message)?.[1];
    const offset = position === undefined ? text.trimEnd().length : Number(position);
    const place: Place = placesIn(text)(Math.min(offset, text.length));
    const problem = text.trim() === "" ? "it is empty" : brokenWords(message, text, offset);
    return {
      file,
      ...place,
      text: clip(text.slice(offset).split("\n")[0]!),
      problem,
      suggestion: jsonSuggestion(text, offset),
    };
  }
}

function brokenWords(message: string, text: string, offset: number): string {
  if (offset >= text.trimEnd().length) return "the file ends in the middle: something is not closed";
  const what = message.replace(/ in JSON at position.*$| at position.*$|, (?:\.\.\.)?".*$/s, "");
  return `it is no JSON: ${what.charAt(0).toLowerCase()}${what.slice(1)}`;
}

function entriesOf(node: FileNode | undefined): FileEntry[] {
  return node?.kind === "map" ? node.entries : [];
}

function itemsOf(node: FileNode | undefined): FileNode[] {
  return node?.kind === "list" ? node.items : [];
}

function entryOf(node: FileNode | undefined, key: string): FileNode | undefined {
  return entriesOf(node).find((entry) => entry.key === key)?.value;
}

function textOf(node: FileNode | undefined): string | undefined {
  return node?.kind === "scalar" && typeof node.value === "string" ? node.value : undefined;
}

function textIn(node: FileNode | undefined, key: string): string | undefined {
  return textOf(entryOf(node, key));
}

function plainOf(node: FileNode | undefined): string | undefined {
  if (node?.kind !== "scalar" || node.value === null) return undefined;
  return typeof node.value === "string" ? node.value : node.text;
}

function numberOf(node: FileNode | undefined): number | undefined {
  const plain = plainOf(node);
  return plain === undefined || plain.trim() === "" || Number.isNaN(Number(plain)) ? undefined : Number(plain);
}
