import { lstat } from "node:fs/promises";
import { join } from "node:path";
import type { BuildPlan, WebChoice } from "../../model/detection.ts";
import { parsePackageJson } from "../../model/package-json.ts";
import type { ProcessTypes } from "../../model/process-types.ts";
import { BuildFailure } from "./build-failure.ts";
import { readSourceText } from "./source-tree.ts";

/** What the slug runs, known after the build. */
export type Decided = {
  processTypes: ProcessTypes;
  servesStatic: boolean;
  /** A command, or a script it may call, names pnpm or yarn. */
  callsManager: boolean;
};

/** The process types that the app's files say; `web`, where they leave it open, by the first choice whose file is there now. */
export async function decideProcesses(sourceDir: string, plan: BuildPlan): Promise<Decided> {
  const isOpen = plan.processTypes === undefined || plan.opensWeb;
  const choice = isOpen ? await firstMade(sourceDir, plan.webChoices) : undefined;
  const processTypes = { ...(choice ? { web: { command: commandOf(choice) } } : {}), ...plan.processTypes };
  const commands = [...Object.values(processTypes).map(({ command }) => command), plan.releaseCommand ?? ""].join("\n");
  return {
    processTypes,
    servesStatic: choice?.kind === "static",
    callsManager: await callsManager(sourceDir, plan, commands),
  };
}

async function firstMade(sourceDir: string, choices: WebChoice[]): Promise<WebChoice> {
  for (const choice of choices) {
    if (choice.needsFile === undefined || (await isFile(join(sourceDir, choice.needsFile)))) return choice;
  }
  throw new BuildFailure({
    headline: "the build made nothing that could be served",
    detail: `looked for ${choices.map((choice) => choice.needsFile).join(", ")}`,
    hint: 'add a "start" script to package.json, or a Procfile with a line such as: web: node YOUR_FILE.js',
  });
}

function commandOf(choice: WebChoice): string {
  if (choice.kind === "command") return choice.command;
  return `node .zyndra/static-server.mjs ${choice.folder}${choice.isSinglePage ? " --single-page" : ""}`;
}

/** Scripts of package.json count where a command runs one with npm. */
async function callsManager(sourceDir: string, plan: BuildPlan, commands: string): Promise<boolean> {
  if (!plan.node || plan.node.manager === "npm") return false;
  if (managerWord.test(commands)) return true;
  if (!/\bnpm\b/.test(commands)) return false;
  const parsed = parsePackageJson(await readSourceText(sourceDir, "package.json"));
  return parsed.ok && Object.values(parsed.packageJson.scripts).some((script) => managerWord.test(script));
}

const managerWord = /\b(?:pnpm|yarn)\b/;

async function isFile(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isFile() ?? false;
}
