import { execFile } from "node:child_process";
import type { Check, Finding } from "../../checks.ts";
import { findProgram, usablePath, versionOf } from "./machine.ts";

/** The tools of this machine that builds use. What is not there is missed only by apps that need it. */
export function toolChecks(path: string): Check[] {
  const usable = usablePath(path);
  return [
    { name: "npm", look: () => lookAtNpm(usable) },
    { name: "python", look: () => lookAtPython(usable) },
    { name: "go", look: () => lookAtGo(usable) },
  ];
}

async function lookAtNpm(path: string): Promise<Finding> {
  const found = await toolOn(path, "npm", ["--version"]);
  if (found) return { verdict: "ok", text: `npm ${found.version} (${found.program})` };
  return {
    verdict: "warning",
    text: "there is no npm: Node apps with dependencies cannot be built here",
    hint: "on Debian: apt-get install npm",
  };
}

async function lookAtPython(path: string): Promise<Finding> {
  const found = await toolOn(path, "python3", ["--version"]);
  if (!found)
    return {
      verdict: "warning",
      text: "there is no python3: Python apps cannot be built here",
      hint: "on Debian: apt-get install python3-venv",
    };
  // Debian has the two modules apart from Python itself.
  const hasVenv = await runs(found.program, ["-c", "import venv, ensurepip"], path);
  if (hasVenv) return { verdict: "ok", text: `Python ${found.version} with venv (${found.program})` };
  return {
    verdict: "warning",
    text: `Python ${found.version} is here without venv: Python apps cannot be built`,
    hint: "on Debian: apt-get install python3-venv",
  };
}

async function lookAtGo(path: string): Promise<Finding> {
  const found = await toolOn(path, "go", ["version"]);
  if (found) return { verdict: "ok", text: `Go ${found.version} (${found.program})` };
  return { verdict: "ok", text: "not installed; only Go apps need it" };
}

async function toolOn(
  path: string,
  name: string,
  args: string[],
): Promise<{ program: string; version: string } | undefined> {
  const program = await findProgram(name, path);
  const version = program && (await versionOf([program, ...args], { PATH: path, GOTOOLCHAIN: "local" }, "/"));
  return program && version ? { program, version } : undefined;
}

function runs(program: string, args: string[], path: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(program, args, { env: { PATH: path }, cwd: "/", timeout: 10_000 }, (error) => resolve(error === null));
  });
}
