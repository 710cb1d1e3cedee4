import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { BuildFailure } from "../builder/local/build-failure.ts";
import { readSourceTree } from "../builder/local/source-tree.ts";
import { UserError } from "../errors.ts";
import { causeOfFaults, type FileFault, placeOf } from "../model/app-file/file-fault.ts";
import { zyndraYmlSchemaText } from "../model/app-file/json-schema.ts";
import { type AppFiles, type ReadAppFiles, readAppFiles } from "../model/app-file/read-app-files.ts";
import { secretIn } from "../model/app-file/secret-literals.ts";
import { type AppSettings, saidFormation } from "../model/app-settings.ts";
import type { Cause } from "../model/cause.ts";
import { detect } from "../model/detection.ts";
import { type Explained, explain } from "../model/explain.ts";
import { effectiveFormation, type ProcessTypes } from "../model/process-types.ts";
import { readAppFolder, topOf } from "./app-folder.ts";
import { type Call, exactly, takeFlags } from "./call.ts";
import { drawNote, drawTable, paint, printable } from "./draw.ts";
import { exitCodes, type World } from "./world.ts";

const usage = "validate [FOLDER | FILE] [--schema]";

/** `validate`: what a push would refuse of an app's own files, all at once, or what it would make of them. */
export async function validate({ world, words, asJson }: Call): Promise<number> {
  const { words: plain, flags } = takeFlags(words, { schema: "switch" });
  const [named] = exactly(plain, 0, flags.schema ? 0 : 1, usage);
  if (flags.schema) {
    world.stdout.write(zyndraYmlSchemaText());
    return exitCodes.ok;
  }
  const folder = await findFolder(world, named);
  const files = await readAppFolder(folder);
  const read = readAppFiles(files);
  const found = read.ok ? await findProcesses(folder, read.settings) : undefined;
  const isWell = read.ok && found !== undefined && "types" in found;
  if (asJson) world.stdout.write(`${JSON.stringify(asData(read, found), null, 2)}\n`);
  else if (!read.ok) drawFaults(world, folder, files, read.faults);
  else drawRead(world, files, read, found!);
  return isWell ? exitCodes.ok : exitCodes.failed;
}

/** @throws UserError not_found where nothing is there */
async function findFolder(world: World, named: string | undefined): Promise<string> {
  if (named === undefined) return topOf(world.cwd);
  const path = resolve(world.cwd, named);
  const facts = await stat(path).catch(() => undefined);
  if (!facts) throw new UserError("not_found", `there is no folder or file ${named}`, `usage: zyndra ${usage}`);
  if (facts.isDirectory()) return path;
  if (!["zyndra.yml", "Procfile", "app.json"].includes(basename(path))) {
    throw new UserError("bad_input", `${named} is not read by Zyndra`, "it reads zyndra.yml, Procfile and app.json");
  }
  return dirname(path);
}

// --- What would run

type FoundProcesses = { types: ProcessTypes; isCertain: boolean } | { cause: Cause };

/** What the files leave open is found as a build would find it; what a build makes is not there yet. */
async function findProcesses(folder: string, settings: AppSettings): Promise<FoundProcesses> {
  try {
    const tree = await readSourceTree(join(folder, settings.build?.root ?? ""));
    const detected = detect(tree, { ...settings.build, processes: settings.processes });
    if (!detected.ok) return detected;
    const { plan } = detected;
    const isOpen = plan.processTypes === undefined || plan.opensWeb;
    const choice = isOpen ? plan.webChoices[0] : undefined;
    const web = choice?.kind === "static" ? `serves the files of ${choice.folder}` : choice?.command;
    const isCertain = choice?.needsFile === undefined || tree.paths.has(choice.needsFile);
    return { types: { ...(web ? { web: { command: web } } : {}), ...plan.processTypes }, isCertain };
  } catch (error) {
    if (error instanceof BuildFailure) return { cause: error.reason };
    throw error;
  }
}

/** Like config:explain, without what only a server knows. */
function explainFiles(settings: AppSettings, types: ProcessTypes, isCertain: boolean): Explained[] {
  const rows = explain({
    settings,
    processTypes: types,
    formation: effectiveFormation(types, {}, saidFormation(settings)),
    releaseCommand: null,
    scaledBy: {},
    config: Object.entries(settings.env ?? {}).map(([name, rule]) => ({
      name,
      value: envWords(rule),
      from: settings.origins?.[`env.${name}`] ?? "",
    })),
  });
  return rows
    .filter(({ key, from }) => from !== "default" || key.startsWith("processes."))
    .map((row) => (row.from === "detected" && !isCertain ? { ...row, from: "detected, if a build makes it" } : row));
}

function envWords(rule: NonNullable<AppSettings["env"]>[string]): string {
  if (rule.value !== undefined) return rule.sync ? `${rule.value} (always)` : rule.value;
  if (rule.generateBytes !== undefined) return `(made once of ${rule.generateBytes} random bytes)`;
  if (rule.from !== undefined) return `(${rule.from})`;
  return rule.required ? "(must be set)" : rule.expected ? "(should be set)" : "(may be set)";
}

// --- How it looks

function asData(read: ReadAppFiles, found: FoundProcesses | undefined): object {
  if (!read.ok) return { ok: false, faults: read.faults, warnings: [] };
  const { settings } = read;
  const warnings = read.warnings.map(({ text }) => text);
  if (!found || "cause" in found) return { ok: false, faults: [], cause: found?.cause, warnings, settings };
  return { ok: true, faults: [], warnings, settings, values: explainFiles(settings, found.types, found.isCertain) };
}

function drawRead(world: World, files: AppFiles, read: ReadAppFiles & { ok: true }, found: FoundProcesses): void {
  const { stdout } = world;
  const there = (["zyndra.yml", "Procfile", "app.json"] as const).filter((name) => files[name] !== undefined);
  stdout.write(`${there.length === 0 ? "no zyndra.yml, Procfile or app.json" : `${there.join(", ")}: no faults`}\n`);
  for (const { text } of read.warnings) drawNote(world, "warning", text);
  if ("cause" in found) {
    const { headline, detail, hint } = found.cause;
    drawNote(world, "error", detail === undefined ? headline : `${headline}: ${detail}`);
    if (hint !== undefined) drawNote(world, "hint", hint);
    return;
  }
  const rows = explainFiles(read.settings, found.types, found.isCertain).map(({ key, value, from }) => [
    key,
    value,
    from,
  ]);
  stdout.write(`\n${drawTable(stdout, { columns: ["KEY", "VALUE", "FROM"], rows, none: "" })}`);
}

/** Each fault with its line and a mark below it. */
function drawFaults(world: World, folder: string, files: AppFiles, faults: FileFault[]): void {
  const { stdout } = world;
  for (const fault of faults) {
    stdout.write(`${paint(stdout, "bold", placeOf(fault))}: ${printable(stdout, fault.problem)}\n`);
    for (const line of excerpt(fault, lineOf(files, fault))) stdout.write(`${printable(stdout, line)}\n`);
    stdout.write(`  ${printable(stdout, fault.suggestion)}\n\n`);
  }
  drawNote(world, "error", `${causeOfFaults(faults).headline} (in ${folder})`);
}

function lineOf(files: AppFiles, { file, line }: FileFault): string {
  const content = files[basename(file) as "zyndra.yml"];
  if (content === undefined || (typeof content === "object" && "unreadable" in content)) return "";
  return (
    Buffer.from(content as Uint8Array)
      .toString("utf8")
      .split(/\r\n|\n/)[line - 1] ?? ""
  );
}

const widestLine = 100;

function excerpt({ column, text }: FileFault, line: string): string[] {
  // A secret need not stand in another log too.
  if (line.trim() === "" || column > widestLine || secretIn(line) !== undefined) return [];
  const shown = line.replaceAll("\t", " ").slice(0, widestLine);
  const length = Math.max(1, Math.min(text.length, shown.length - column + 1));
  return [`    ${shown}`, `    ${" ".repeat(column - 1)}${"^".repeat(length)}`];
}
