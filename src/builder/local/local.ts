import { cp, lstat, mkdir, readdir, readFile, stat, statfs, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { UserError } from "../../errors.ts";
import { duration } from "../../model/deploy.ts";
import { type BuildPlan, detect, type SourceTree } from "../../model/detection.ts";
import { slugFolder, slugImage } from "../../model/image.ts";
import type { WriteLine } from "../../model/log-line.ts";
import type { ProcessTypes } from "../../model/process-types.ts";
import { sizeWords } from "../../model/size.ts";
import type { SlugManifest } from "../../model/slug.ts";
import type { Builder, BuildOutcome, BuildRequest } from "../builder.ts";
import { causeOfError, causeOfFullDisk, causeOfTimeout } from "./build-causes.ts";
import { buildEnv } from "./build-env.ts";
import { BuildFailure } from "./build-failure.ts";
import { type BuildSession, openSession } from "./build-session.ts";
import { toolChecks } from "./checks.ts";
import { fullAllowance } from "./command.ts";
import { buildGo, findGo, goPlanLine } from "./go-steps.ts";
import { endProcesses } from "./leftovers.ts";
import { usablePath } from "./machine.ts";
import { buildNode, engineWarning, type NodeTools, nodePlanLine } from "./node-steps.ts";
import { buildPython, findPython, pythonPlanLine, pythonWarning, repointEditables } from "./python-steps.ts";
import { removeTree } from "./remove-tree.ts";
import { findSlug, placeSlug, removeSlug, sizeOf, slugDigest } from "./slugs.ts";
import { readSourceTree } from "./source-tree.ts";
import { type Decided, decideProcesses } from "./web.ts";

export type LocalBuilderOptions = {
  /** The platform's data folder; slugs/, builds/ and build-cache/ below it are this builder's. One file system. */
  dataDir: string;
  /** How long one build may take. */
  buildTimeoutMs: number;
  /** The folder of the Node that builds and runs apps. Default: the one that runs the platform. */
  nodeBinDir?: string;
  /** The PATH on which npm, Python, Go and the like are found. Default: the usual folders of a system. */
  path?: string;
  /** Variables that tools need to reach registries: proxies, certificates, npm_config_registry. */
  passEnv?: Record<string, string>;
  /** An .npmrc that all builds of this machine use, with a registry's address or token. */
  npmrcPath?: string;
  /** A step that prints nothing for so long says what it waits for. */
  silentAfterMs?: number;
  /** With less free disk than this no build begins. */
  minFreeBytes?: number;
};

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const defaultSilentAfterMs = 10_000;
const defaultMinFreeBytes = 256 * 1024 * 1024;

/**
 * Builds slugs on this machine: a folder with the commit's files, its dependencies and what its build made.
 * Builds run as the platform's user and are not isolated from the machine (docs/builder-local.md).
 */
export function createLocalBuilder(options: LocalBuilderOptions): Builder {
  const places = placesIn(options.dataDir);
  const running = new Map<string, RunningBuild>();

  return {
    kind: "local",
    tools: `node ${process.versions.node} in ${options.nodeBinDir ?? dirname(process.execPath)}`,
    checks: toolChecks(options.path ?? defaultPath),

    async build(request, write, signal) {
      signal.throwIfAborted();
      assertIds(request);
      await endEarlierCall(running.get(request.buildId));
      const stop = new AbortController();
      const outcome = buildWithin(options, places, request, write, AbortSignal.any([signal, stop.signal]));
      const entry = { appId: request.appId, stop, ended: outcome.then(ignore, ignore) };
      running.set(request.buildId, entry);
      try {
        return await outcome;
      } finally {
        if (running.get(request.buildId) === entry) running.delete(request.buildId);
      }
    },

    async hasImage(image) {
      return image.startsWith("slug:") && (await findSlug(slugFolder(places.slugs, image))) !== undefined;
    },

    async removeImages(images) {
      for (const image of images) {
        if (image.startsWith("slug:")) await removeSlug(slugFolder(places.slugs, image));
      }
    },

    async removeApp(appId) {
      assertId(appId);
      await Promise.all([...running.values()].filter((build) => build.appId === appId).map(endEarlierCall));
      await endProcesses({ mark: `${appId}/` });
      for (const workDir of await workDirsOf(places, appId)) await removeTree(workDir);
      await removeTree(join(places.caches, appId));
      await removeTree(join(places.slugs, appId));
    },
  };
}

type Places = { slugs: string; builds: string; caches: string };
type RunningBuild = { appId: string; stop: AbortController; ended: Promise<void> };

function placesIn(dataDir: string): Places {
  return { slugs: join(dataDir, "slugs"), builds: join(dataDir, "builds"), caches: join(dataDir, "build-cache") };
}

async function endEarlierCall(build: RunningBuild | undefined): Promise<void> {
  build?.stop.abort(new Error("the build was ended: it was asked for again, or its app was removed"));
  await build?.ended;
}

/** Ids become folder names. */
function assertIds({ appId, buildId }: BuildRequest): void {
  assertId(appId);
  assertId(buildId);
}

function assertId(id: string): void {
  if (!/^[0-9a-zA-Z-]{1,64}$/.test(id)) throw new Error(`${JSON.stringify(id)} is no id`);
}

/** One call of build(): answers a finished slug, or builds it within the time limit, and leaves nothing else behind. */
async function buildWithin(
  options: LocalBuilderOptions,
  places: Places,
  request: BuildRequest,
  write: WriteLine,
  signal: AbortSignal,
): Promise<BuildOutcome> {
  const mark = `${request.appId}/${request.buildId}`;
  const image = slugImage(request.appId, slugDigest(request));
  const slugDir = slugFolder(places.slugs, image);
  const workDir = join(places.builds, request.buildId);
  await endProcesses({ mark });
  await removeTree(workDir);
  const finished = await findSlug(slugDir);
  if (finished) return outcomeOf(image, finished);

  const limitMs = request.settings.build?.timeoutMs ?? options.buildTimeoutMs;
  const limit = AbortSignal.timeout(limitMs);
  const recent = new RecentLines(write);
  const story: BuildStory = {
    options,
    places,
    request,
    image,
    slugDir,
    workDir,
    mark,
    write: recent.write,
    signal: AbortSignal.any([signal, limit]),
    session: undefined,
  };
  try {
    return outcomeOf(image, await buildSlug(story));
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (limit.aborted) return { ok: false, cause: causeOfTimeout(limitMs, story.session?.running, recent.lines) };
    const cause = causeOfError(error);
    if (!cause) throw error;
    return { ok: false, cause };
  } finally {
    await endProcesses({ mark });
    await removeTree(workDir);
  }
}

type BuildStory = {
  options: LocalBuilderOptions;
  places: Places;
  request: BuildRequest;
  image: string;
  slugDir: string;
  workDir: string;
  mark: string;
  write: WriteLine;
  signal: AbortSignal;
  session: BuildSession | undefined;
};

/** From the commit to the slug. */
async function buildSlug(story: BuildStory): Promise<SlugManifest> {
  const { request, signal, write, slugDir } = story;
  const startedAt = performance.now();
  await prepareFolders(story);
  const sourceDir = join(story.workDir, "source");
  await request.unpackSource(sourceDir, signal).catch((error) => {
    // A commit that cannot be unpacked is its author's to mend.
    if (error instanceof UserError)
      throw new BuildFailure({ headline: error.message, ...(error.hint && { hint: error.hint }) });
    throw error;
  });

  const { root, ...said } = request.settings.build ?? {};
  const appDir = await findAppDir(sourceDir, root);
  const session = (story.session = openBuildSession(story, appDir));
  const tree = await readSourceTree(appDir);
  const detected = detect(tree, { ...said, processes: request.settings.processes });
  if (!detected.ok) throw new BuildFailure(detected.cause);
  const tools = await carryOut(session, detected.plan, tree);
  const decided = await decideProcesses(appDir, detected.plan);

  // Whatever the build left running could still write into the slug.
  await endProcesses({ mark: story.mark });
  const carriesManager = decided.callsManager && tools?.fetchedDir !== undefined;
  const finalDir = join(slugDir, root ?? "");
  await finishSlugFiles(session, detected.plan, decided, carriesManager ? tools.fetchedDir : undefined, finalDir);
  write({ kind: "text", text: processLine(decided.processTypes, detected.plan, request.settings) });
  const sizeBytes = await sizeOf(sourceDir, signal);
  const summary = summaryOf(sizeBytes, session.dependencies);
  const manifest = manifestOf(story, detected.plan, decided, carriesManager, { sizeBytes, summary });
  signal.throwIfAborted();
  await placeSlug(sourceDir, slugDir, manifest);
  write({ kind: "text", text: `built in ${duration(performance.now() - startedAt)}, ${summary}` });
  return manifest;
}

/** The folder of the commit that is built: a real one, since its files are read by the platform itself. */
async function findAppDir(sourceDir: string, root = ""): Promise<string> {
  let dir = sourceDir;
  for (const name of root.split("/").filter((part) => part !== "")) {
    dir = join(dir, name);
    const facts = await lstat(dir).catch(() => undefined);
    if (name === ".." || !facts?.isDirectory()) {
      const detail = facts?.isSymbolicLink() ? "it is a symbolic link" : "the commit has no such folder";
      throw new BuildFailure({ headline: `there is no folder ${root} to build`, detail, hint: "mend build.root" });
    }
  }
  return dir;
}

async function prepareFolders({ options, places, request, workDir }: BuildStory): Promise<void> {
  const cacheDir = join(places.caches, request.appId);
  for (const dir of [places.slugs, places.builds, places.caches]) await mkdir(dir, { recursive: true, mode: 0o700 });
  await removeAbandoned(places, request.appId, options.buildTimeoutMs);
  await refuseFullDisk(options);
  if (request.skipCache || request.settings.build?.cache === false) await removeTree(cacheDir);
  await mkdir(cacheDir, { recursive: true, mode: 0o700 });
  await mkdir(workDir, { mode: 0o700 });
  await writeFile(join(workDir, appIdFile), request.appId, { mode: 0o600 });
  for (const name of ["source", "home", "tmp"]) await mkdir(join(workDir, name), { mode: 0o700 });
}

function openBuildSession(
  { options, places, request, workDir, mark, write, signal }: BuildStory,
  sourceDir: string,
): BuildSession {
  const cacheDir = join(places.caches, request.appId);
  const vars = { ...request.settings.build?.args, ...request.env };
  const nodeBinDir = options.nodeBinDir ?? dirname(process.execPath);
  const env = buildEnv({
    configVars: vars,
    passEnv: options.passEnv ?? {},
    appName: request.appName,
    commit: request.commit,
    mark,
    pathDirs: [nodeBinDir],
    machinePath: usablePath(options.path ?? defaultPath),
    homeDir: join(workDir, "home"),
    tmpDir: join(workDir, "tmp"),
    cacheDir,
    npmrcPath: options.npmrcPath,
  });
  return openSession({
    sourceDir,
    workDir,
    cacheDir,
    configVars: vars,
    nodeBinDir,
    env,
    write,
    signal,
    allowance: fullAllowance(),
    silentAfterMs: options.silentAfterMs ?? defaultSilentAfterMs,
  });
}

/** Says the plan, then does it. */
async function carryOut(session: BuildSession, plan: BuildPlan, tree: SourceTree): Promise<NodeTools | undefined> {
  const nodeVersion = plan.node ? await nodeVersionIn(session) : "";
  const python = plan.python ? await findPython(session, plan.python) : undefined;
  const go = plan.go ? await findGo(session) : undefined;

  const lines = [
    ...(plan.node ? [nodePlanLine(plan.node, nodeVersion)] : []),
    ...(plan.python && python ? [pythonPlanLine(plan.python, python)] : []),
    ...(plan.go && go ? [goPlanLine(plan.go, go)] : []),
  ];
  if (lines.length === 0) {
    const isStatic = plan.processTypes === undefined;
    lines.push(`${isStatic ? "static files" : "no known language"}: nothing to install or build`);
  }
  const warnings = [
    ...plan.warnings,
    ...(plan.node ? [engineWarning(plan.node, nodeVersion)] : []),
    ...(plan.python && python ? [pythonWarning(plan.python, python)] : []),
  ].filter((warning) => warning !== undefined);
  for (const text of lines) session.write({ kind: "text", text });
  for (const text of warnings) session.write({ kind: "warning", text });

  const tools = plan.node ? await buildNode(session, plan.node, tree, nodeVersion) : undefined;
  if (plan.python && python) await buildPython(session, plan.python, python, tree);
  if (plan.go && go) await buildGo(session, plan.go, go);
  return tools;
}

async function nodeVersionIn(session: BuildSession): Promise<string> {
  const node = join(session.nodeBinDir, "node");
  const version = await session.version([node, "--version"]);
  if (!version) throw new Error(`${node} does not run: it is the Node that builds and runs apps`);
  return version;
}

const ownFolder = ".zyndra";
const staticServerFile = new URL("./static-server.mjs", import.meta.url);

/** Puts into the slug what it needs to run: the server of a static site, a package manager that its commands call. */
async function finishSlugFiles(
  session: BuildSession,
  plan: BuildPlan,
  decided: Decided,
  managerDir: string | undefined,
  slugDir: string,
): Promise<void> {
  const { sourceDir } = session;
  const ownDir = join(sourceDir, ownFolder);
  await removeTree(ownDir);
  if (decided.servesStatic) {
    await mkdir(ownDir, { mode: 0o755 });
    await writeFile(join(ownDir, "static-server.mjs"), await readFile(staticServerFile), { flag: "wx", mode: 0o644 });
  }
  if (managerDir) await cp(managerDir, join(ownDir, "tools"), { recursive: true, verbatimSymlinks: true });
  if (plan.python) await repointEditables(sourceDir, slugDir);
}

/** `zyndra.yml: web, clock; Procfile: worker, release`; what detection has found with its command. */
function processLine(
  processTypes: ProcessTypes,
  plan: BuildPlan,
  { hooks, origins = {} }: BuildRequest["settings"],
): string {
  const fileOf = (path: string) => origins[path]?.split(":")[0] ?? "Procfile";
  const detected = Object.entries(processTypes).filter(([type]) => !plan.processTypes?.[type]);
  const said = Object.keys(plan.processTypes ?? {}).map((type) => ({
    type,
    file: fileOf(`processes.${type}.command`),
  }));
  if (hooks?.release ?? plan.releaseCommand) said.push({ type: "release", file: fileOf("hooks.release") });
  return [
    ...detected.map(([type, { command }]) => `${type}: ${command}`),
    ...[...Map.groupBy(said, ({ file }) => file)].map(
      ([file, types]) => `${file}: ${types.map(({ type }) => type).join(", ")}`,
    ),
  ].join("; ");
}

function manifestOf(
  { request, options }: BuildStory,
  plan: BuildPlan,
  decided: Decided,
  carriesManager: boolean,
  built: { sizeBytes: number; summary: string },
): SlugManifest {
  const root = request.settings.build?.root;
  return {
    formatVersion: 1,
    buildId: request.buildId,
    commit: request.commit,
    ...(root === undefined ? {} : { root }),
    processTypes: decided.processTypes,
    ...(plan.releaseCommand === undefined ? {} : { releaseCommand: plan.releaseCommand }),
    pathDirs: [
      ...(plan.python ? [".venv/bin"] : []),
      ...(plan.node ? binFolders(root) : []),
      ...(plan.go ? ["bin"] : []),
      ...(carriesManager ? [`${ownFolder}/tools/node_modules/.bin`] : []),
      options.nodeBinDir ?? dirname(process.execPath),
    ],
    env: {
      LANG: "C.UTF-8",
      ...(plan.node ? { NODE_ENV: "production" } : {}),
      ...(plan.python ? { PYTHONUNBUFFERED: "1" } : {}),
    },
    ...built,
  };
}

/** Programs of the app's packages; those of a workspace lie in a folder above. */
function binFolders(root = ""): string[] {
  const above = root.split("/").filter((part) => part !== "");
  return ["", ...above].map((_, level) => `${"../".repeat(level)}node_modules/.bin`);
}

function outcomeOf(image: string, { processTypes, releaseCommand, sizeBytes, summary }: SlugManifest): BuildOutcome {
  return {
    ok: true,
    image,
    processTypes,
    ...(releaseCommand === undefined ? {} : { releaseCommand }),
    sizeBytes,
    summary,
  };
}

const appIdFile = "app-id";

async function workDirsOf(places: Places, appId: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir(places.builds).catch(() => [])) {
    const owner = await readFile(join(places.builds, name, appIdFile), "utf8").catch(() => undefined);
    if (owner === appId) found.push(join(places.builds, name));
  }
  return found;
}

/** Work folders of builds that a killed platform began and nobody asked for again: older than any build may get. */
async function removeAbandoned(places: Places, appId: string, buildTimeoutMs: number): Promise<void> {
  for (const workDir of await workDirsOf(places, appId)) {
    const begunAtMs = (await stat(join(workDir, appIdFile)).catch(() => undefined))?.mtimeMs ?? Date.now();
    if (Date.now() - begunAtMs > 2 * buildTimeoutMs + 60_000) await removeTree(workDir);
  }
}

async function refuseFullDisk({ dataDir, minFreeBytes = defaultMinFreeBytes }: LocalBuilderOptions): Promise<void> {
  const { bavail, bsize } = await statfs(dataDir);
  const freeBytes = bavail * bsize;
  if (freeBytes < minFreeBytes)
    throw new BuildFailure(
      causeOfFullDisk(`${sizeWords(freeBytes)} are free, a build needs ${sizeWords(minFreeBytes)}`),
    );
}

/** Hands lines on and remembers the newest of the customer's own. */
class RecentLines {
  readonly lines: string[] = [];
  readonly write: WriteLine;

  constructor(write: WriteLine) {
    this.write = (line) => {
      if (line.kind === "output" && this.lines.push(line.text) > 20) this.lines.shift();
      write(line);
    };
  }
}

function summaryOf(sizeBytes: number, dependencies: BuildSession["dependencies"]): string {
  const size = sizeWords(sizeBytes);
  return dependencies === "none"
    ? size
    : `${size}, dependencies ${dependencies === "cached" ? "from cache" : "installed"}`;
}

function ignore(): void {}
