import type { Cause } from "./cause.ts";
import { detectGo } from "./detect-go.ts";
import { builtFolders, detectNode } from "./detect-node.ts";
import { detectPython } from "./detect-python.ts";
import type { ProcessTypes } from "./process-types.ts";
import { parseProcfile } from "./procfile.ts";

/** The files of a commit as far as detection reads them. Paths are relative, with slashes; folders end with one. */
export type SourceTree = {
  /** Every path down to three folders deep. */
  paths: ReadonlySet<string>;
  /** The texts of those files that detection reads; see `isReadByDetection`. */
  texts: ReadonlyMap<string, string>;
};

/** What a build will do, decided before any of it is done. Pure data: one builder runs it, another writes a Dockerfile of it. */
export type BuildPlan = {
  node?: NodePlan;
  python?: PythonPlan;
  go?: GoPlan;
  /** The process types whose commands the app's files say. */
  processTypes?: ProcessTypes;
  /** The files name `web` without saying what it runs: it is chosen as without them, beside the others. */
  opensWeb?: true;
  releaseCommand?: string;
  /** Where nothing says what `web` runs: the first of these whose file is there after the build. */
  webChoices: WebChoice[];
  warnings: string[];
};

export type WebChoice =
  | { kind: "command"; command: string; needsFile?: string }
  /** A folder of files, served as they are. A single-page app answers unknown pages with its index.html. */
  | { kind: "static"; folder: string; isSinglePage: boolean; needsFile: string };

export type NodePlan = {
  manager: NodePackageManager;
  /** The version of the package manager that the app asks for or its lock file was written by. Absent: what is there. */
  managerVersion?: string;
  lockFile?: string;
  /** False where there is nothing to install. */
  installs: boolean;
  /** Scripts of the app's own package.json that its package manager runs around an install, in their order. */
  lifecycleScripts: string[];
  beforeInstallScript?: string;
  buildScript?: string;
  afterPruneScript?: string;
  prunes: boolean;
  hasWorkspaces: boolean;
  enginesNode?: string;
};
export type NodePackageManager = "npm" | "pnpm" | "yarn-classic" | "yarn";

export type PythonPlan = {
  /** How dependencies are installed: pip -r, uv sync, pip install of the project itself, the list in pyproject.toml, or none. */
  installs: "requirements" | "uv-lock" | "project" | "pyproject-list" | "nothing";
  /** `3.12`, as .python-version or runtime.txt ask. */
  askedVersion?: string;
  /** Django: collect static files after the install. */
  collectsStatic: boolean;
};

export type GoPlan = {
  /** What `go build` is given, and the binaries that come of it in bin/. */
  packages: string;
  binaries: string[];
};

/** What the app's files say that detection need not find out. */
export type SaidOfBuild = {
  builder?: "auto" | "static" | undefined;
  output?: string | undefined;
  /** All process types; one without a command is to be found. */
  processes?: Record<string, { command?: string }> | undefined;
};

export type Detected = { ok: true; plan: BuildPlan } | { ok: false; cause: Cause };

/**
 * Decides how a commit is built and run.
 *
 * Languages: each of package.json (Node), requirements.txt, pyproject.toml and the like (Python), go.mod (Go) that is there is installed
 * and built, in this order. `web`: the Procfile's word; else the first of Node, Python, Go, static files that knows one.
 * A Procfile that names only `release:` leaves the process types to detection. What the app's files say of processes wins.
 */
export function detect(tree: SourceTree, said: SaidOfBuild = {}): Detected {
  if (said.builder === "static") return detectStatic(tree, said.output);
  const procfile = procfileOf(tree);
  if (!procfile.ok) return procfile;
  const { releaseCommand } = procfile.procfile;
  const processTypes = said.processes ? withCommands(said.processes) : procfile.procfile.processTypes;
  const opensWeb = said.processes?.web !== undefined && said.processes.web.command === undefined;
  const hasTypes = Object.keys(processTypes).length > 0;

  const node = detectNode(tree);
  if (node && !node.ok) return node;
  const python = detectPython(tree);
  if (python && !python.ok) return python;
  const go = detectGo(tree);
  if (go && !go.ok) return go;

  const webChoices = [
    ...(node?.webChoices ?? []),
    ...(python?.webChoices ?? []),
    ...(go?.webChoices ?? []),
    ...staticChoices(tree),
  ];
  const plan: BuildPlan = {
    ...(node ? { node: node.plan } : {}),
    ...(python ? { python: python.plan } : {}),
    ...(go ? { go: go.plan } : {}),
    ...(hasTypes ? { processTypes } : {}),
    ...(hasTypes && opensWeb ? { opensWeb } : {}),
    ...(releaseCommand === undefined ? {} : { releaseCommand }),
    webChoices,
    warnings: [...(node?.warnings ?? []), ...(python?.warnings ?? []), ...(go?.warnings ?? [])],
  };
  if ((!hasTypes || opensWeb) && webChoices.length === 0)
    return { ok: false, cause: causeWithoutWeb(tree, node, python, go) };
  return { ok: true, plan: withoutNeedlessNode(plan, tree) };
}

/** What a build script of package.json makes, if there is one, and a folder that is served. */
function detectStatic(tree: SourceTree, output: string | undefined): Detected {
  const node = detectNode(tree);
  if (node && !node.ok) return node;
  const builds = node?.plan.buildScript !== undefined;
  const folders = output === undefined ? [...(builds ? builtFolders : []), ".", "public"] : [output];
  return {
    ok: true,
    plan: {
      ...(builds ? { node: node!.plan } : {}),
      webChoices: folders.map((folder) => ({
        kind: "static",
        folder,
        isSinglePage: builds,
        needsFile: folder === "." ? "index.html" : `${folder}/index.html`,
      })),
      warnings: builds ? node!.warnings : [],
    },
  };
}

function withCommands(processes: NonNullable<SaidOfBuild["processes"]>): ProcessTypes {
  return Object.fromEntries(
    Object.entries(processes).flatMap(([type, { command }]) => (command === undefined ? [] : [[type, { command }]])),
  );
}

/** What one language's detection answers: its plan, and what it would start as `web`. */
export type LanguageDetected<Plan> =
  | { ok: true; plan: Plan; webChoices: WebChoice[]; warnings: string[]; noWeb?: { detail: string; hint: string } }
  | { ok: false; cause: Cause };

function procfileOf(tree: SourceTree): ReturnType<typeof parseProcfile> {
  const text = tree.texts.get("Procfile");
  return text === undefined ? { ok: true, procfile: { processTypes: {} } } : parseProcfile(text);
}

/** Files that are served as they lie in the commit. */
function staticChoices(tree: SourceTree): WebChoice[] {
  return [".", "public"]
    .map(
      (folder): WebChoice => ({
        kind: "static",
        folder,
        isSinglePage: false,
        needsFile: folder === "." ? "index.html" : `${folder}/index.html`,
      }),
    )
    .filter((choice) => tree.paths.has(choice.needsFile!));
}

/** A package.json beside a plain static site is for the editor's tools: nothing of it is needed to serve the files. */
function withoutNeedlessNode(plan: BuildPlan, tree: SourceTree): BuildPlan {
  const first = plan.webChoices[0];
  const servesAsIs = first?.kind === "static" && !first.isSinglePage && tree.paths.has(first.needsFile);
  if (!servesAsIs || plan.processTypes || plan.node?.buildScript || plan.python || plan.go) return plan;
  const { node: _, ...rest } = plan;
  return { ...rest, warnings: [] };
}

function causeWithoutWeb(
  tree: SourceTree,
  node: LanguageDetected<NodePlan> | undefined,
  python: LanguageDetected<PythonPlan> | undefined,
  go: LanguageDetected<GoPlan> | undefined,
): Cause {
  for (const [language, detected] of [
    ["Node", node],
    ["Python", python],
    ["Go", go],
  ] as const) {
    if (!detected?.ok) continue;
    const { detail, hint } = detected.noWeb ?? { detail: "nothing says what to run", hint: procfileHint };
    return { headline: `nothing says how to start this ${language} app`, detail, hint };
  }
  return causeOfNothing(tree);
}

const procfileHint = "add a file named Procfile with a line such as: web: ./start-it --port $PORT";

function causeOfNothing(tree: SourceTree): Cause {
  const rootNames = [...tree.paths].filter((path) => !path.slice(0, -1).includes("/")).sort();
  const shown = rootNames.slice(0, 12).join(", ") + (rootNames.length > 12 ? ", …" : "");
  return {
    headline: "found nothing to build",
    detail: `looked for ${lookedFor.join(", ")}; the commit has ${rootNames.length === 0 ? "no files" : shown}`,
    hint: hintOfNothing(tree),
  };
}

const lookedFor = ["Procfile", "package.json", "requirements.txt", "pyproject.toml", "go.mod", "index.html"];

/** By these files one tells languages that are not built here. */
const otherLanguages: Record<string, { language: string; start: string }> = {
  Gemfile: { language: "Ruby", start: "ruby app.rb" },
  "composer.json": { language: "PHP", start: "php -S 0.0.0.0:$PORT -t public" },
  "pom.xml": { language: "Java", start: "java -jar app.jar" },
  "build.gradle": { language: "Java", start: "java -jar app.jar" },
  "build.gradle.kts": { language: "Kotlin", start: "java -jar app.jar" },
  "build.sbt": { language: "Scala", start: "java -jar app.jar" },
  "mix.exs": { language: "Elixir", start: "mix run --no-halt" },
  "Cargo.toml": { language: "Rust", start: "cargo run --release" },
};

function hintOfNothing(tree: SourceTree): string {
  if (tree.paths.has("Dockerfile")) {
    return "Dockerfiles are not built on this machine itself: add a Procfile with a line such as: web: ./start-it --port $PORT";
  }
  const other = Object.entries(otherLanguages).find(([file]) => tree.paths.has(file))?.[1];
  if (other) {
    return `${other.language} is not built here: a Procfile alone runs what the machine has, with a line such as: web: ${other.start}`;
  }
  const [nearest] = [...tree.paths]
    .map((path) =>
      /^((?:[^/]+\/)*[^/]+)\/(package\.json|requirements\.txt|pyproject\.toml|go\.mod|Procfile|index\.html)$/.exec(
        path,
      ),
    )
    .filter((match) => match !== null)
    .sort(([, left], [, right]) => left!.split("/").length - right!.split("/").length || (left! < right! ? -1 : 1));
  if (nearest) {
    const [, folder, file] = nearest;
    return `${file} is in ${folder}/: a zyndra.yml with the two lines "version: 1" and "build: { root: ${folder} }" names the folder`;
  }
  return procfileHint;
}

/** Whether detection reads the text of this file, so that whoever gathers a SourceTree knows what to read. */
export function isReadByDetection(path: string): boolean {
  return (
    rootTexts.has(path) ||
    /^[^/]+\.(py|go)$/.test(path) ||
    /^cmd\/[^/]+\/[^/]+\.go$/.test(path) ||
    /^[^/]+\/(settings|wsgi)\.py$/.test(path)
  );
}

const rootTexts = new Set([
  "Procfile",
  "package.json",
  "package-lock.json",
  "npm-shrinkwrap.json",
  "pnpm-lock.yaml",
  "yarn.lock",
  "pnpm-workspace.yaml",
  ".npmrc",
  ".yarnrc.yml",
  "requirements.txt",
  "pyproject.toml",
  "runtime.txt",
  ".python-version",
  "go.mod",
]);
