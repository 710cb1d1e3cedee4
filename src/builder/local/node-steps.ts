import { lstat, mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { NodePlan, SourceTree } from "../../model/detection.ts";
import { nodeVersionMeets } from "../../model/node-versions.ts";
import { BuildFailure } from "./build-failure.ts";
import type { BuildSession } from "./build-session.ts";
import { cacheKey } from "./dependency-cache.ts";
import { removeTree } from "./remove-tree.ts";
import { readSourceText } from "./source-tree.ts";

/** A plan with the programs that carry it out. */
export type NodeTools = {
  /** Installs, and runs scripts. */
  manager: string;
  /** npm itself, which fetches other package managers. Absent where it was not needed. */
  npm?: string;
  /** The folder that was fetched for this app because the machine has no such package manager. */
  fetchedDir?: string;
};

/** The words of the plan: what will be run, in its order. */
export function nodePlanLine(plan: NodePlan, nodeVersion: string): string {
  const meets = plan.enginesNode !== undefined && nodeVersionMeets(nodeVersion, plan.enginesNode) === true;
  const parts = [`Node ${nodeVersion.split(".")[0]}${meets ? " (engines)" : ""}`];
  const run = runWords(plan);
  if (plan.beforeInstallScript) parts.push(`${run} ${plan.beforeInstallScript}`);
  parts.push(plan.installs ? `${installWords(plan)}${plan.lockFile ? ` (${plan.lockFile})` : ""}` : "no dependencies");
  if (plan.buildScript) parts.push(`${run} ${plan.buildScript}`);
  if (plan.prunes) parts.push(pruneWords(plan));
  if (plan.afterPruneScript) parts.push(`${run} ${plan.afterPruneScript}`);
  return parts.join(", ");
}

/** What to say where the app asks for a Node that is not this one. */
export function engineWarning(plan: NodePlan, nodeVersion: string): string | undefined {
  if (plan.enginesNode === undefined) return undefined;
  const meets = nodeVersionMeets(nodeVersion, plan.enginesNode);
  if (meets === undefined)
    return `package.json's engines.node "${plan.enginesNode}" is no version range; Node ${nodeVersion} is used`;
  return meets
    ? undefined
    : `package.json asks for Node ${plan.enginesNode}, this machine has Node ${nodeVersion}: it is used`;
}

/** Installs, builds and prunes a Node app. Answers what it was done with. */
export async function buildNode(
  session: BuildSession,
  plan: NodePlan,
  tree: SourceTree,
  nodeVersion: string,
): Promise<NodeTools | undefined> {
  if (!plan.installs && !plan.buildScript && !plan.beforeInstallScript && !plan.afterPruneScript) return undefined;
  await dropCommitted(session, "node_modules");
  const tools = await findManager(session, plan);
  if (plan.beforeInstallScript) await runScript(session, plan, tools, plan.beforeInstallScript);
  if (plan.installs) await installOrRestore(session, plan, tools, tree, nodeVersion);
  if (plan.buildScript) await runScript(session, plan, tools, plan.buildScript);
  if (plan.prunes) await prune(session, plan, tools);
  if (plan.afterPruneScript) await runScript(session, plan, tools, plan.afterPruneScript);
  return tools;
}

/** What a commit should not hold, and what would be written over or through: removed, and said. */
export async function dropCommitted(session: BuildSession, name: string): Promise<void> {
  const path = join(session.sourceDir, name);
  const facts = await lstat(path).catch(() => undefined);
  if (!facts) return;
  session.write({
    kind: "warning",
    text: `${name} is in the commit and is made anew: put it into .gitignore`,
  });
  await removeTree(path);
}

async function installOrRestore(
  session: BuildSession,
  plan: NodePlan,
  tools: NodeTools,
  tree: SourceTree,
  nodeVersion: string,
): Promise<void> {
  const key = await keyOf(session, plan, tree, nodeVersion);
  if (key && (await session.cache.restore(key, session.sourceDir, session.signal))) {
    session.dependencies = "cached";
    session.write({ kind: "text", text: `dependencies from cache (${plan.lockFile} has not changed)` });
    // These belong to the app, not to its dependencies: what they do may depend on any file of the commit.
    for (const script of plan.lifecycleScripts) await runScript(session, plan, tools, script);
    return;
  }
  await session.run(installWords(plan), [tools.manager, ...installArgs(session, plan)], { env: managerEnv(plan) });
  session.dependencies = "installed";
  if (key) await session.cache.save(key, session.sourceDir, await installedFolders(session.sourceDir), session.signal);
}

/**
 * What decides the content of node_modules. Undefined: something outside the lock file does too, so nothing is kept.
 */
async function keyOf(
  session: BuildSession,
  plan: NodePlan,
  tree: SourceTree,
  nodeVersion: string,
): Promise<string | undefined> {
  if (!plan.lockFile) return undefined;
  const lock = tree.texts.get(plan.lockFile) ?? "";
  // npm links local packages, the others copy them, and no lock file says what is in them.
  if (plan.manager !== "npm" && /\bfile:/.test(lock)) return undefined;
  const managerSettings = Object.entries(session.configVars)
    .filter(([name]) => /^(npm_config_|yarn_|pnpm_)/i.test(name))
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return cacheKey([
    "node",
    plan.manager,
    plan.managerVersion,
    nodeVersion.split(".")[0],
    process.platform,
    process.arch,
    lock,
    ...[".npmrc", ".yarnrc.yml", "pnpm-workspace.yaml"].map((file) => tree.texts.get(file)),
    JSON.stringify(managerSettings),
    ...(await dependencyDeclarations(session.sourceDir)),
  ]);
}

/** What every package.json of the commit (workspaces have several) says of dependencies, so that one that left its lock file behind is noticed. */
async function dependencyDeclarations(sourceDir: string): Promise<string[]> {
  const declarations: string[] = [];
  await eachFolder(sourceDir, "", async (folder, names) => {
    if (!names.has("package.json")) return;
    const path = `${folder}package.json`;
    declarations.push(path, relevantPart(await readSourceText(sourceDir, path)));
  });
  return declarations;
}

function relevantPart(text: string): string {
  try {
    const json = JSON.parse(text) as Record<string, unknown>;
    return JSON.stringify(decidingKeys.map((key) => json[key]));
  } catch {
    return text;
  }
}

const decidingKeys = [
  "dependencies",
  "devDependencies",
  "optionalDependencies",
  "peerDependencies",
  "bundleDependencies",
  "overrides",
  "resolutions",
  "workspaces",
  "pnpm",
  "dependenciesMeta",
];

/** node_modules of the root and of workspaces. */
async function installedFolders(sourceDir: string): Promise<string[]> {
  const folders: string[] = [];
  await eachFolder(sourceDir, "", async (folder, names) => {
    if (names.get("node_modules") === "folder") folders.push(`${folder}node_modules`);
  });
  return folders;
}

const maxFolderDepth = 6;

async function eachFolder(
  root: string,
  folder: string,
  visit: (folder: string, names: Map<string, "file" | "folder" | "other">) => Promise<void>,
): Promise<void> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  const names = new Map(
    entries.map((entry) => [
      entry.name,
      entry.isDirectory() ? ("folder" as const) : entry.isFile() ? ("file" as const) : ("other" as const),
    ]),
  );
  await visit(folder, names);
  if (folder.split("/").length > maxFolderDepth) return;
  for (const [name, kind] of names) {
    if (kind === "folder" && name !== "node_modules" && !name.startsWith("."))
      await eachFolder(root, `${folder}${name}/`, visit);
  }
}

async function prune(session: BuildSession, plan: NodePlan, tools: NodeTools): Promise<void> {
  await session.run(pruneWords(plan), [tools.manager, ...pruneArgs(session, plan)], { env: managerEnv(plan) });
}

async function runScript(session: BuildSession, plan: NodePlan, tools: NodeTools, script: string): Promise<void> {
  await session.run(`${runWords(plan)} ${script}`, [tools.manager, "run", script], { env: managerEnv(plan) });
}

function commandName(plan: NodePlan): "npm" | "pnpm" | "yarn" {
  return plan.manager === "yarn-classic" ? "yarn" : plan.manager;
}

function runWords(plan: NodePlan): string {
  return `${commandName(plan)} run`;
}

function installWords(plan: NodePlan): string {
  return plan.manager === "npm" && plan.lockFile ? "npm ci" : `${commandName(plan)} install`;
}

function pruneWords(plan: NodePlan): string {
  return {
    npm: "npm prune",
    pnpm: "pnpm prune",
    "yarn-classic": "yarn install --production",
    yarn: "yarn workspaces focus --production",
  }[plan.manager];
}

/** Development dependencies are needed for the build, whatever NODE_ENV says; they are pruned afterwards. */
function installArgs(session: BuildSession, plan: NodePlan): string[] {
  const hasLock = plan.lockFile !== undefined;
  switch (plan.manager) {
    case "npm":
      return [hasLock ? "ci" : "install", "--include=dev"];
    case "pnpm":
      // Hard links into the store would let a build change the files of all others.
      return [
        "install",
        hasLock ? "--frozen-lockfile" : "--no-frozen-lockfile",
        "--prod=false",
        ...pnpmStoreArgs(session),
      ];
    case "yarn-classic":
      return ["install", ...(hasLock ? ["--frozen-lockfile"] : []), "--non-interactive", "--production=false"];
    case "yarn":
      return ["install", hasLock ? "--immutable" : "--no-immutable"];
  }
}

function pruneArgs(session: BuildSession, plan: NodePlan): string[] {
  switch (plan.manager) {
    case "npm":
      return ["prune", "--omit=dev", "--ignore-scripts"];
    case "pnpm":
      return ["prune", "--prod", "--ignore-scripts", `--config.store-dir=${pnpmStore(session)}`];
    case "yarn-classic":
      return [
        "install",
        ...(plan.lockFile ? ["--frozen-lockfile"] : []),
        "--non-interactive",
        "--production",
        "--ignore-scripts",
        "--prefer-offline",
      ];
    case "yarn":
      return ["workspaces", "focus", "--all", "--production"];
  }
}

function pnpmStoreArgs(session: BuildSession): string[] {
  return [`--store-dir=${pnpmStore(session)}`, "--package-import-method=copy"];
}

function pnpmStore(session: BuildSession): string {
  return join(session.cacheDir, "pnpm-store");
}

/** A slug is run by Node alone, so newer yarns put their packages where Node looks for them, as older ones do. */
function managerEnv(plan: NodePlan): Record<string, string> {
  return plan.manager === "yarn" ? { YARN_NODE_LINKER: "node-modules", YARN_ENABLE_GLOBAL_CACHE: "true" } : {};
}

async function findManager(session: BuildSession, plan: NodePlan): Promise<NodeTools> {
  if (plan.manager === "npm") {
    const npm = await session.find("npm");
    if (!npm) throw missingNpm("npm");
    return { manager: npm, npm };
  }
  const name = commandName(plan);
  const installed = await session.find(name);
  const asked = plan.managerVersion!;
  if (installed) {
    const version = await session.version([installed, "--version"]);
    if (version?.split(".")[0] === asked.split(".")[0]) return { manager: installed };
  }
  return fetchManager(session, plan, asked);
}

/** Fetches the package manager with npm, once for this app and version. Nothing is installed on the machine. */
async function fetchManager(session: BuildSession, plan: NodePlan, version: string): Promise<NodeTools> {
  const name = commandName(plan);
  const packageName = plan.manager === "yarn" ? "@yarnpkg/cli-dist" : name;
  const dir = join(session.cacheDir, "tools", `${name}@${version}`);
  const program = join(dir, "node_modules", ".bin", name);
  const npm = await session.find("npm");
  if (!(await session.version([program, "--version"]))) {
    if (!npm) throw missingNpm(name);
    session.write({
      kind: "text",
      text: `fetching ${name} ${version}: this machine has ${(await session.find(name)) ? "another version" : "none"}`,
    });
    const unfinished = join(session.workDir, "fetched-manager");
    await mkdir(unfinished, { recursive: true });
    await writeFile(join(unfinished, "package.json"), '{"private": true}\n');
    await session.run(
      `npm install ${packageName}@${version}`,
      [npm, "install", "--no-save", "--no-package-lock", `${packageName}@${version}`],
      { cwd: unfinished, quiet: true },
    );
    await mkdir(join(session.cacheDir, "tools"), { recursive: true });
    await removeTree(dir);
    await rename(unfinished, dir);
  }
  session.addPath(join(dir, "node_modules", ".bin"));
  return { manager: program, npm, fetchedDir: dir };
}

function missingNpm(needed: string): BuildFailure {
  return new BuildFailure({
    headline: "npm is not on this machine",
    detail:
      needed === "npm"
        ? "no npm in the PATH that Zyndra was started with"
        : `${needed} is not there either, and npm would fetch it`,
    hint: "whoever runs Zyndra: install npm (it comes with Node), or start Zyndra with a PATH that has it",
  });
}
