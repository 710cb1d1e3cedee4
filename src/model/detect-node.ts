import type { Cause } from "./cause.ts";
import type { LanguageDetected, NodePackageManager, NodePlan, SourceTree, WebChoice } from "./detection.ts";
import { type PackageJson, parsePackageJson } from "./package-json.ts";

/** Finds out how a Node app is installed, built and started. Undefined: there is no package.json. */
export function detectNode(tree: SourceTree): LanguageDetected<NodePlan> | undefined {
  const text = tree.texts.get("package.json");
  if (text === undefined) return undefined;
  const parsed = parsePackageJson(text);
  if (!parsed.ok) return parsed;
  const { packageJson } = parsed;
  const chosen = chooseManager(tree, packageJson);
  if (!chosen.ok) return chosen;

  const { manager, managerVersion, lockFile } = chosen;
  const { scripts } = packageJson;
  const hasWorkspaces = packageJson.hasWorkspaces || tree.paths.has("pnpm-workspace.yaml");
  const lifecycleScripts = lifecycleNames.filter((name) => scripts[name] !== undefined);
  const installs =
    packageJson.hasDependencies || packageJson.hasDevDependencies || hasWorkspaces || lifecycleScripts.length > 0;
  const buildScript = ["heroku-postbuild", "build"].find((name) => scripts[name] !== undefined);

  const plan: NodePlan = {
    manager,
    managerVersion,
    lockFile,
    installs,
    lifecycleScripts,
    beforeInstallScript: scripts["heroku-prebuild"] === undefined ? undefined : "heroku-prebuild",
    buildScript,
    afterPruneScript: scripts["heroku-cleanup"] === undefined ? undefined : "heroku-cleanup",
    // Package managers cannot all prune the development dependencies of workspaces; what they leave does no harm.
    prunes: packageJson.hasDevDependencies && !hasWorkspaces,
    hasWorkspaces,
    enginesNode: packageJson.enginesNode,
  };
  return {
    ok: true,
    plan,
    webChoices: webChoices(tree, packageJson, buildScript !== undefined),
    warnings: installs && !lockFile ? [warningWithoutLock(tree, manager)] : [],
    noWeb: {
      detail:
        'package.json has no "start" and no "build" script, and there is no server.js, index.js, app.js or index.html',
      hint: 'add to package.json: "scripts": {"start": "node YOUR_FILE.js"}, or a Procfile with a line such as: web: node YOUR_FILE.js',
    },
  };
}

/** https://docs.npmjs.com/cli/using-npm/scripts#life-cycle-operation-order; pnpm and yarn run the same ones for the root. */
const lifecycleNames = ["preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare"];

type Chosen =
  | { ok: true; manager: NodePackageManager; managerVersion?: string; lockFile?: string }
  | { ok: false; cause: Cause };

const lockFiles = ["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock"] as const;
const toolOfLock = {
  "package-lock.json": "npm",
  "npm-shrinkwrap.json": "npm",
  "pnpm-lock.yaml": "pnpm",
  "yarn.lock": "yarn",
} as const;

/** package.json's `packageManager` decides (`pnpm@10.4.1`, as Corepack reads it), else the one lock file, else npm. */
function chooseManager(tree: SourceTree, packageJson: PackageJson): Chosen {
  const asked = /^(npm|pnpm|yarn)(?:@(\d+(?:\.\d+){0,2}))?/.exec(packageJson.packageManager ?? "");
  const present = lockFiles.filter((file) => tree.paths.has(file));
  const tools = [...new Set(present.map((file) => toolOfLock[file]))];
  if (!asked && tools.length > 1) return { ok: false, cause: causeOfTwoLocks(present) };

  const tool = (asked?.[1] as "npm" | "pnpm" | "yarn" | undefined) ?? tools[0] ?? "npm";
  const lockFile = present.find((file) => toolOfLock[file] === tool);
  const version = asked?.[2];
  const lockText = lockFile ? (tree.texts.get(lockFile) ?? "") : "";
  if (tool === "npm") return { ok: true, manager: "npm", lockFile };
  if (tool === "pnpm") return { ok: true, manager: "pnpm", managerVersion: version ?? pnpmOfLock(lockText), lockFile };
  const isClassic = version
    ? version.startsWith("1")
    : !/^__metadata:/m.test(lockText) && !tree.paths.has(".yarnrc.yml");
  return isClassic
    ? { ok: true, manager: "yarn-classic", managerVersion: version ?? "1", lockFile }
    : { ok: true, manager: "yarn", managerVersion: version ?? "4", lockFile };
}

function causeOfTwoLocks(present: string[]): Cause {
  return {
    headline: "two lock files of different package managers",
    detail: `${present.join(" and ")} are both in the commit`,
    hint: `keep the one you use (git rm ${present.at(-1)}), or name the tool in package.json: "packageManager": "npm@11"`,
  };
}

/** The major version that reads a lock file without rewriting it: 9.0 is pnpm 9 and newer, 6.x pnpm 8, 5.x pnpm 7. */
function pnpmOfLock(lockText: string): string {
  const format = /^lockfileVersion:\s*['"]?(\d+)/m.exec(lockText)?.[1];
  if (format === "5") return "7";
  if (format === "6") return "8";
  return "10";
}

function warningWithoutLock(tree: SourceTree, manager: NodePackageManager): string {
  if (tree.paths.has("bun.lock") || tree.paths.has("bun.lockb")) {
    return "bun's lock file is not read: npm chooses versions anew at each build";
  }
  const command = manager === "npm" ? "npm install" : manager === "pnpm" ? "pnpm install" : "yarn install";
  return `no lock file: each build chooses versions anew; run ${command} and commit the lock file`;
}

/** What may be `web`, best first. What a build script makes is looked for after the build. */
function webChoices(tree: SourceTree, packageJson: PackageJson, builds: boolean): WebChoice[] {
  const { scripts } = packageJson;
  if (scripts.start !== undefined) return [{ kind: "command", command: startCommand(scripts) }];

  const files = [packageJson.main, "server.js", "server.mjs", "server.cjs", "index.js", "index.mjs", "app.js"];
  const commands = [...new Set(files.map(normalFile))]
    .filter((file) => file !== undefined)
    .filter((file) => tree.paths.has(file) || (builds && file === normalFile(packageJson.main)))
    .map((file): WebChoice => ({ kind: "command", command: `node ${quoted(file)}`, needsFile: file }));
  // index.html beside a build script is the source of a site (Vite and its kin), whatever else lies there.
  const outputs = builds ? builtFolders.map(builtSite) : [];
  return builds && tree.paths.has("index.html") ? [...outputs, ...commands] : [...commands, ...outputs];
}

/** Where builds of static sites put their files, by how common it is: Vite, Create React App, Next's export, Hugo-like tools, Eleventy. */
export const builtFolders = ["dist", "build", "out", "public", "_site"];

function builtSite(folder: string): WebChoice {
  return { kind: "static", folder, isSinglePage: true, needsFile: `${folder}/index.html` };
}

/**
 * What `start` says is run as it is, without npm in between: signals reach the app, and nothing waits in memory beside it.
 * Where npm does more than that (pre and post scripts, its variables), npm runs it.
 */
function startCommand(scripts: Record<string, string>): string {
  const needsNpm =
    scripts.prestart !== undefined ||
    scripts.poststart !== undefined ||
    /npm_|[\r\n]/.test(scripts.start!) ||
    scripts.start!.trim() === "";
  return needsNpm ? "npm start" : scripts.start!.trim();
}

function normalFile(file: string | undefined): string | undefined {
  const clean = file?.replace(/^(\.\/)+/, "");
  return clean && !clean.startsWith("/") && !clean.split("/").includes("..") ? clean : undefined;
}

function quoted(file: string): string {
  return /^[\w./-]+$/.test(file) ? file : `'${file.replaceAll("'", "'\\''")}'`;
}
