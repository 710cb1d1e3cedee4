import { chmod, lstat, mkdir, readdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import type { PythonPlan, SourceTree } from "../../model/detection.ts";
import { BuildFailure } from "./build-failure.ts";
import type { BuildSession } from "./build-session.ts";
import { cacheKey } from "./dependency-cache.ts";
import { dropCommitted } from "./node-steps.ts";
import { removeTree } from "./remove-tree.ts";
import { readSourceText } from "./source-tree.ts";

export type Python = { program: string; version: string };

const venv = ".venv";

/** The Python that an app asks for, where the machine has it; else the machine's own. */
export async function findPython(session: BuildSession, plan: PythonPlan): Promise<Python> {
  const names = [...(plan.askedVersion ? [`python${plan.askedVersion}`] : []), "python3", "python"];
  for (const name of names) {
    const program = await session.find(name);
    const version = program ? await session.version([program, "--version"]) : undefined;
    if (program && version?.startsWith("3.")) return { program, version };
  }
  throw new BuildFailure({
    headline: "Python is not on this machine",
    detail: "no python3 in the PATH that Zyndra was started with",
    hint: "whoever runs Zyndra: install python3 with its venv module (Debian and Ubuntu: apt install python3-venv)",
  });
}

export function pythonPlanLine(plan: PythonPlan, python: Python): string {
  const isAsked = plan.askedVersion !== undefined && isVersion(python, plan.askedVersion);
  const parts = [`Python ${minorOf(python)}${isAsked ? " (asked for)" : ""}`, installWords[plan.installs]];
  if (plan.collectsStatic) parts.push("manage.py collectstatic");
  return parts.join(", ");
}

export function pythonWarning(plan: PythonPlan, python: Python): string | undefined {
  if (plan.askedVersion === undefined || isVersion(python, plan.askedVersion)) return undefined;
  return `the app asks for Python ${plan.askedVersion}, this machine has Python ${python.version}: it is used`;
}

/** Installs a Python app's dependencies into a virtual environment inside the slug. */
export async function buildPython(
  session: BuildSession,
  plan: PythonPlan,
  python: Python,
  tree: SourceTree,
): Promise<void> {
  await dropCommitted(session, venv);
  const key = await keyOf(session, plan, python, tree);
  if (key && (await session.cache.restore(key, session.sourceDir, session.signal))) {
    session.dependencies = "cached";
    session.write({ kind: "text", text: `dependencies from cache (${deciding[plan.installs]} has not changed)` });
  } else {
    const needsPip = installsSomething(plan, tree);
    // Bringing pip into the environment takes most of the time and room.
    await session.run("python3 -m venv", [
      python.program,
      "-I",
      "-m",
      "venv",
      ...(needsPip ? [] : ["--without-pip"]),
      venv,
    ]);
    if (needsPip) await install(session, plan);
    await makeRelocatable(join(session.sourceDir, venv));
    if (key) await session.cache.save(key, session.sourceDir, [venv], session.signal);
  }
  session.addPath(join(session.sourceDir, venv, "bin"));
  if (plan.collectsStatic && session.configVars.DISABLE_COLLECTSTATIC !== "1") {
    await session.run("manage.py collectstatic", [venvPython(session), "manage.py", "collectstatic", "--noinput"]);
  }
}

/** An install of the app itself may note the folder it was built in; the slug lies in another one. */
export async function repointEditables(sourceDir: string, slugDir: string): Promise<void> {
  for (const libDir of await readdir(join(sourceDir, venv, "lib")).catch(() => [])) {
    const packages = join(sourceDir, venv, "lib", libDir, "site-packages");
    for (const name of await readdir(packages).catch(() => [])) {
      if (name.endsWith(".pth") || /^__editable__.*\.py$/.test(name))
        await replaceInFile(join(packages, name), sourceDir, slugDir);
    }
  }
}

const installWords: Record<PythonPlan["installs"], string> = {
  requirements: "pip install -r requirements.txt",
  "uv-lock": "uv sync (uv.lock)",
  project: "pip install .",
  "pyproject-list": "pip install (pyproject.toml)",
  nothing: "no dependencies",
};

const deciding: Record<PythonPlan["installs"], string> = {
  requirements: "requirements.txt",
  "uv-lock": "uv.lock",
  project: "pyproject.toml",
  "pyproject-list": "pyproject.toml",
  nothing: "nothing",
};

function installsSomething(plan: PythonPlan, tree: SourceTree): boolean {
  if (plan.installs !== "requirements") return plan.installs !== "nothing";
  return !isEmptyList(tree.texts.get("requirements.txt") ?? "");
}

async function install(session: BuildSession, plan: PythonPlan): Promise<void> {
  // -I: a file of the app named secrets.py or queue.py must not stand in for the module that pip means.
  const pip = [venvPython(session), "-I", "-m", "pip", "install", "--progress-bar=off"] as const;
  switch (plan.installs) {
    case "nothing":
      return;
    case "requirements":
      await session.run("pip install", [...pip, "-r", "requirements.txt"]);
      break;
    case "project":
      await session.run("pip install .", [...pip, "."]);
      break;
    case "pyproject-list": {
      const listed = join(session.workDir, "requirements.txt");
      await session.run("reading pyproject.toml", [venvPython(session), "-I", "-c", printDependencies, listed]);
      if (isEmptyList(await readFile(listed, "utf8"))) return;
      await session.run("pip install", [...pip, "-r", listed]);
      break;
    }
    case "uv-lock":
      await session.run(
        "uv sync",
        [await findUv(session), "sync", "--frozen", "--no-dev", "--no-editable", "--no-progress"],
        {
          env: {
            UV_PROJECT_ENVIRONMENT: join(session.sourceDir, venv),
            UV_PYTHON: venvPython(session),
            UV_PYTHON_DOWNLOADS: "never",
            UV_LINK_MODE: "copy",
          },
        },
      );
      break;
  }
  session.dependencies = "installed";
}

/** pip carries a TOML reader for the Pythons (before 3.11) that have none. */
const printDependencies = `
import sys
try:
    import tomllib
except ImportError:
    from pip._vendor import tomli as tomllib
with open("pyproject.toml", "rb") as file:
    dependencies = tomllib.load(file).get("project", {}).get("dependencies", [])
with open(sys.argv[1], "w") as file:
    file.write("\\n".join(dependencies) + "\\n")
`;

/** uv of the machine, or one fetched with pip once for this app. */
async function findUv(session: BuildSession): Promise<string> {
  const installed = await session.find("uv");
  if (installed) return installed;
  const dir = join(session.cacheDir, "tools", "uv");
  const program = join(dir, "bin", "uv");
  if (await session.version([program, "--version"])) return program;
  session.write({ kind: "text", text: "fetching uv: this machine has none" });
  const unfinished = join(session.workDir, "fetched-uv");
  await session.run(
    "pip install uv",
    [venvPython(session), "-m", "pip", "install", "--quiet", "--progress-bar=off", "--target", unfinished, "uv"],
    { cwd: session.workDir },
  );
  await mkdir(dirname(dir), { recursive: true });
  await removeTree(dir);
  await rename(unfinished, dir);
  return program;
}

/**
 * What decides the content of the virtual environment. Undefined: files of the commit are installed too, so nothing is
 * kept; nothing is kept either where there is nothing to install, since an empty environment is made faster.
 */
async function keyOf(
  session: BuildSession,
  plan: PythonPlan,
  python: Python,
  tree: SourceTree,
): Promise<string | undefined> {
  const declared = await declarationsOf(session, plan, tree);
  if (!declared) return undefined;
  const pipSettings = Object.entries(session.configVars)
    .filter(([name]) => /^(PIP|UV)_/.test(name))
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return cacheKey([
    "python",
    plan.installs,
    python.version,
    await realpath(python.program),
    process.arch,
    JSON.stringify(pipSettings),
    ...declared,
  ]);
}

async function declarationsOf(
  session: BuildSession,
  plan: PythonPlan,
  tree: SourceTree,
): Promise<string[] | undefined> {
  const pyproject = tree.texts.get("pyproject.toml") ?? "";
  switch (plan.installs) {
    case "requirements": {
      const files = await requirementFiles(session.sourceDir);
      return files && !files.every(([, text]) => isEmptyList(text)) ? files.flat() : undefined;
    }
    case "pyproject-list":
      return [pyproject];
    case "uv-lock":
      return /^\[build-system\]/m.test(pyproject)
        ? undefined
        : [pyproject, await readSourceText(session.sourceDir, "uv.lock")];
    default:
      return undefined;
  }
}

/** requirements.txt and the files it names with -r and -c. Undefined: one of them names files of the commit, or cannot be read safely. */
async function requirementFiles(sourceDir: string): Promise<[path: string, text: string][] | undefined> {
  const files = new Map<string, string>();
  const open = ["requirements.txt"];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (files.has(path)) continue;
    if (files.size >= 50 || path.startsWith("..") || !(await isPlainFile(sourceDir, path))) return undefined;
    const text = await readSourceText(sourceDir, path);
    if (/^\s*(?:-e\b|--editable\b|\.|\/|file:)|@\s*file:/m.test(text)) return undefined;
    files.set(path, text);
    for (const match of text.matchAll(/^\s*(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)/gm))
      open.push(posix.join(posix.dirname(path), match[1]!));
  }
  return [...files];
}

/** Whether a file, and each folder above it, is what it seems to be and no link. */
async function isPlainFile(root: string, path: string): Promise<boolean> {
  const parts = path.split("/");
  for (let depth = 1; depth <= parts.length; depth++) {
    const facts = await lstat(join(root, ...parts.slice(0, depth))).catch(() => undefined);
    if (!(depth === parts.length ? facts?.isFile() : facts?.isDirectory())) return false;
  }
  return true;
}

/**
 * Scripts of a virtual environment begin with the path of its Python, and slugs move (from the work folder, out of the
 * cache). So they find it beside themselves, in a line that is shell and Python at once. `activate` cannot, and goes.
 */
async function makeRelocatable(venvDir: string): Promise<void> {
  const bin = join(venvDir, "bin");
  for (const entry of await readdir(bin, { withFileTypes: true })) {
    const file = join(bin, entry.name);
    if (!entry.isFile()) continue;
    if (/^activate/i.test(entry.name)) {
      await rm(file);
      continue;
    }
    const text = await readFile(file, "latin1");
    const first = /^#!(.*)\n/.exec(text.slice(0, 1_024));
    const isOurs = first?.[1]?.startsWith(bin) || (first?.[1] === "/bin/sh" && text.slice(0, 2_048).includes(bin));
    if (!first || !isOurs) continue;
    // pip writes paths that are too long for a #! line as a small shell script of three lines.
    const body =
      first[1] === "/bin/sh" ? text.slice(text.indexOf("' '''\n") + "' '''\n".length) : text.slice(first[0].length);
    await writeFile(file, `${relocatableStart}${body}`, "latin1");
    await chmod(file, 0o755);
  }
}

const relocatableStart = `#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")"/python "$0" "$@"
' '''
`;

async function replaceInFile(file: string, from: string, to: string): Promise<void> {
  if (!(await lstat(file)).isFile()) return;
  const text = await readFile(file, "utf8");
  if (!text.includes(from)) return;
  await rm(file);
  await writeFile(file, text.replaceAll(from, to));
}

function isEmptyList(text: string): boolean {
  return text.split("\n").every((line) => /^\s*(?:#.*)?$/.test(line));
}

function venvPython(session: BuildSession): string {
  return join(session.sourceDir, venv, "bin", "python");
}

function minorOf(python: Python): string {
  return python.version.split(".").slice(0, 2).join(".");
}

function isVersion(python: Python, asked: string): boolean {
  return python.version === asked || python.version.startsWith(`${asked}.`);
}
