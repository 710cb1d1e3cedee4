import type { AppSettings, ProcessSettings } from "../app-settings.ts";
import { nearest } from "../names.ts";
import { readProcfile } from "../procfile.ts";
import { type AppJson, type FileWarning, parseAppJson } from "./app-json.ts";
import { type FileFault, inOrder, type Place } from "./file-fault.ts";
import { type FileContent, textOf } from "./file-text.ts";
import { startReading } from "./shape.ts";
import { parseYaml } from "./yaml-file.ts";
import { type ZyndraYml, zyndraYml } from "./zyndra-yml.ts";
import { present, settingsOfZyndraYml } from "./zyndra-yml-settings.ts";

/** An app's own files as far as they are there. */
export type AppFiles = {
  "zyndra.yml"?: FileContent | undefined;
  /** These two lie in the folder that is built. */
  Procfile?: FileContent | undefined;
  "app.json"?: FileContent | undefined;
  /** Looked into only where there is no zyndra.yml: other programs have files of this name. */
  "app.yml"?: FileContent | undefined;
  /** Names beside zyndra.yml, to notice one that was meant to be read. */
  names?: readonly string[];
  /** The folder that is to be built is not in the commit. */
  rootIsMissing?: boolean;
};

/** What was found in one folder: all names, and the contents of those that were asked for. */
export type FilesOfFolder = { names: readonly string[]; files: ReadonlyMap<string, FileContent> };

/** To be read in the repository's own folder, and in the one that is built. */
export const wantedFiles = ["zyndra.yml", "app.yml", "Procfile", "app.json"];

/** The files of both folders; null: there is no folder that could be built. */
export function appFilesOf(top: FilesOfFolder, built: FilesOfFolder | null): AppFiles {
  return {
    "zyndra.yml": top.files.get("zyndra.yml"),
    "app.yml": top.files.get("app.yml"),
    Procfile: built?.files.get("Procfile"),
    "app.json": built?.files.get("app.json"),
    names: top.names,
    rootIsMissing: built === null,
  };
}

export type ReadAppFiles =
  | { ok: true; settings: AppSettings; warnings: FileWarning[] }
  | { ok: false; faults: FileFault[] };

/** What zyndra.yml alone says, and where it says build.root. */
export type ReadZyndraYml = {
  said: AppSettings;
  faults: FileFault[];
  rootPlace?: Place;
  /** The blocks of which a key is wrong. */
  broken?: ReadonlySet<string>;
};

/**
 * What an app's files say: zyndra.yml before the Procfile before app.json; what none of them says, detection decides. All
 * faults of all files are told at once.
 */
export function readAppFiles(files: AppFiles, own: ReadZyndraYml = readZyndraYml(files)): ReadAppFiles {
  const { said } = own;
  const folder = said.build?.root === undefined ? "" : `${said.build.root}/`;
  const isStatic = said.build?.builder === "static";
  const procfile = isStatic ? undefined : readProcfileIn(`${folder}Procfile`, files.Procfile);
  const appJson = readAppJsonIn(`${folder}app.json`, files["app.json"]);
  const faults = [...own.faults, ...faultsOfRoot(files, own), ...(procfile?.faults ?? []), ...(appJson?.faults ?? [])];
  const merged = merge(said, procfile?.said ?? {}, appJson?.said ?? emptyAppJson);
  faults.push(...faultsOfMissingCommands(merged, own.broken));
  if (faults.length > 0) return { ok: false, faults: inOrder(faults) };
  const warnings = [
    ...warningsOfNames(files),
    ...(isStatic && files.Procfile !== undefined
      ? [{ text: "the Procfile is not used: builder: static has a web server of its own" }]
      : []),
    ...unnamedWarnings(said, procfile?.said),
    ...(appJson?.said.warnings ?? []),
  ];
  return { ok: true, settings: merged, warnings };
}

/** Reads zyndra.yml alone: it says in which folder the other files are. */
export function readZyndraYml(files: Pick<AppFiles, "zyndra.yml" | "names">): ReadZyndraYml {
  const content = files["zyndra.yml"];
  if (content === undefined) return { said: {}, faults: faultsOfNames(files.names ?? []) };
  const read = textOf("zyndra.yml", content);
  if ("fault" in read) return { said: {}, faults: [read.fault] };
  const { root, faults } = parseYaml("zyndra.yml", read.text);
  if (!root) return { said: {}, faults };
  if (root.kind === "scalar" && root.value === null) return { said: {}, faults: [...faults, emptyFile] };
  const at = startReading("zyndra.yml");
  const value: ZyndraYml | undefined = zyndraYml.read(root, at);
  const said = value === undefined ? {} : settingsOfZyndraYml(value, at);
  // What could not be read is not wrong in another way too.
  const others = at.faults.filter(
    ({ line, column }) => !faults.some((one) => one.line === line && one.column === column),
  );
  return { said, faults: [...faults, ...others], rootPlace: at.places.get("build.root"), broken: at.broken };
}

function faultsOfRoot({ rootIsMissing, names = [] }: AppFiles, { said, rootPlace }: ReadZyndraYml): FileFault[] {
  const root = said.build?.root;
  if (!rootIsMissing || root === undefined || !rootPlace) return [];
  const meant = nearest(root, names);
  const suggestion = meant ? `did you mean ${meant}?` : `beside zyndra.yml there are: ${names.slice(0, 12).join(", ")}`;
  return [{ file: "zyndra.yml", ...rootPlace, text: root, problem: `the commit has no folder ${root}`, suggestion }];
}

const emptyFile: FileFault = {
  file: "zyndra.yml",
  line: 1,
  column: 1,
  text: "",
  problem: "it is empty",
  suggestion: "write version: 1, or remove the file",
};

type OfProcfile = Pick<AppSettings, "processes" | "hooks" | "origins">;

function readProcfileIn(file: string, content: FileContent | undefined) {
  if (content === undefined) return undefined;
  const read = textOf(file, content);
  if ("fault" in read) return { said: {}, faults: [read.fault] };
  const { processTypes, releaseCommand, lines, faults: found } = readProcfile(read.text);
  const faults = found.map(
    ({ fact, hint, ...place }): FileFault => ({ file, ...place, problem: fact, suggestion: hint }),
  );
  const origins = Object.entries(lines).map(([type, line]) => [
    type === "release" ? "hooks.release" : `processes.${type}.command`,
    `${file}:${line}`,
  ]);
  const said: OfProcfile = {
    ...(Object.keys(processTypes).length > 0 ? { processes: processTypes } : {}),
    ...(releaseCommand === undefined ? {} : { hooks: { release: { command: releaseCommand } } }),
    origins: Object.fromEntries(origins),
  };
  return { said, faults };
}

const emptyAppJson: AppJson = { formation: {}, hooks: {}, cron: [], env: {}, warnings: [], origins: {} };

function readAppJsonIn(file: string, content: FileContent | undefined) {
  if (content === undefined) return undefined;
  const read = textOf(file, content);
  if ("fault" in read) return { said: emptyAppJson, faults: [read.fault] };
  const parsed = parseAppJson(file, read.text);
  return parsed.ok ? { said: parsed.appJson, faults: [] } : { said: emptyAppJson, faults: [parsed.fault] };
}

// --- Who wins

function merge(own: AppSettings, procfile: OfProcfile, appJson: AppJson): AppSettings {
  const origins = { ...appJson.origins, ...procfile.origins, ...own.origins };
  const settings: AppSettings = {
    ...own,
    processes: mergeProcesses(own, procfile, appJson),
    hooks: present({ ...appJson.hooks, ...procfile.hooks, ...own.hooks }),
    cron: own.cron ?? (appJson.cron.length > 0 ? appJson.cron : undefined),
    env: present({ ...appJson.env, ...own.env }),
    origins: undefined,
  };
  const meant = Object.entries(origins).filter(([path]) => isSaid(settings, path));
  return { ...present(settings), ...(meant.length > 0 ? { origins: Object.fromEntries(meant) } : {}) };
}

/** zyndra.yml's types are all that there are, else the Procfile's; without either app.json may still speak of `web`. */
function mergeProcesses(own: AppSettings, procfile: OfProcfile, appJson: AppJson): AppSettings["processes"] {
  const speaksOfWeb = appJson.health !== undefined || appJson.formation.web !== undefined;
  const named = own.processes ?? procfile.processes ?? (speaksOfWeb ? { web: {} } : {});
  const merged = Object.entries(named).map(([type, said]): [string, ProcessSettings] => [
    type,
    {
      ...present({
        command: procfile.processes?.[type]?.command,
        count: appJson.formation[type],
        health: type === "web" ? appJson.health : undefined,
      }),
      ...said,
    },
  ]);
  return present<Record<string, ProcessSettings>>(Object.fromEntries(merged));
}

/** Whether a value is still there after the files were put together. */
function isSaid({ processes = {}, hooks = {}, cron = [], env = {} }: AppSettings, path: string): boolean {
  const [, type = "", key] = /^processes\.([^.]+)(?:\.(\w+))?$/.exec(path) ?? [];
  if (type)
    return processes[type] !== undefined && (!key || processes[type][key as keyof ProcessSettings] !== undefined);
  const [area = "", name = ""] = path.split(".");
  if (area === "hooks") return hooks[name as keyof typeof hooks] !== undefined;
  if (area === "cron") return cron.some((entry) => entry.name === name);
  return area === "env" ? env[name] !== undefined : true;
}

/** Only for web the files may say what to run. */
function faultsOfMissingCommands(
  { processes = {}, origins = {} }: AppSettings,
  broken: ReadonlySet<string> = new Set(),
): FileFault[] {
  return Object.entries(processes).flatMap(([type, { command }]) => {
    if (command !== undefined || type === "web" || broken.has(`processes.${type}`)) return [];
    const line = Number(origins[`processes.${type}`]?.split(":")[1] ?? 1);
    const problem = `${type} has no command, here or in a Procfile`;
    return [
      { file: "zyndra.yml", line, column: 3, text: type, problem, suggestion: `for example: ${type}: node ${type}.js` },
    ];
  });
}

function unnamedWarnings(own: AppSettings, procfile: OfProcfile | undefined): FileWarning[] {
  if (!own.processes) return [];
  const unnamed = Object.keys(procfile?.processes ?? {}).filter((type) => own.processes![type] === undefined);
  if (unnamed.length === 0) return [];
  const are = unnamed.length === 1 ? "is" : "are";
  return [
    {
      text: `${unnamed.join(", ")} of the Procfile ${are} not among the processes of zyndra.yml: it says all that there are`,
    },
  ];
}

// --- Names beside the right one

/** Nobody else's files are called so. */
const misnamed = /^\.?zyndra\.ya?ml$/i;

function faultsOfNames(names: readonly string[]): FileFault[] {
  const found = names.find((name) => misnamed.test(name));
  if (found === undefined) return [];
  const problem = `${found} is not read: the file is called zyndra.yml`;
  return [{ file: found, line: 1, column: 1, text: "", problem, suggestion: `git mv ${found} zyndra.yml` }];
}

function warningsOfNames(files: AppFiles): FileWarning[] {
  const { names = [], Procfile, "app.json": appJson, "app.yml": appYml } = files;
  const read = appYml === undefined ? undefined : textOf("app.yml", appYml);
  const looksMeant = read !== undefined && "text" in read && /^version:\s*1\s*$/m.test(read.text);
  const isMeant = looksMeant && files["zyndra.yml"] === undefined;
  const expected: [RegExp, string, FileContent | undefined][] = [
    [/^procfile$/i, "Procfile", Procfile],
    [/^app\.json$/i, "app.json", appJson],
  ];
  const others = expected.flatMap(([pattern, right, content]) => {
    const found = content === undefined ? names.find((name) => pattern.test(name) && name !== right) : undefined;
    return found === undefined ? [] : [{ text: `${found} is not read: the file is called ${right}` }];
  });
  return isMeant ? [{ text: "app.yml is not read: the file is called zyndra.yml" }, ...others] : others;
}
