import { type Checked, runChecks, type Verdict, worstOf } from "../checks.ts";
import { UserError } from "../errors.ts";
import { type Call, exactly, takeFlags } from "./call.ts";
import { folderChecks } from "./doctor/folder.ts";
import { machineChecks } from "./doctor/machine.ts";
import { examineServer } from "./doctor/server.ts";
import { hostChecks } from "./doctor/tools.ts";
import { asCalled, paint, printable, type Style } from "./draw.ts";
import { isThisMachine } from "./settings.ts";
import { findServer, type Where } from "./where.ts";
import { exitCodes, type World } from "./world.ts";

type Group = { title: string; findings: Checked[] };

/**
 * `doctor`: looks at this machine, this folder, the server and, where one may, its parts; says of each whether it is in
 * order, and what to do where it is not.
 */
export async function examine({ world, words, asJson }: Call): Promise<number> {
  exactly(takeFlags(words, {}).words, 0, 0, "doctor");
  const where = await findServerIfAny(world);
  const looks = Promise.all([
    runChecks(machineChecks(world)),
    runChecks(folderChecks(world, where)),
    where && examineServer(world, where.server),
  ]);
  const [machine, folder, server] = await world.waiting.during("all answers", looks);
  const groups: Group[] = [
    { title: "This machine", findings: machine },
    { title: "This folder", findings: folder },
    ...(server && where ? [{ title: where.server.url, findings: server.findings }] : []),
    ...(server?.platform ? [{ title: "Its parts", findings: server.platform }] : []),
  ];
  // What a Zyndra of this machine needs is told by that itself, where it runs and may be asked.
  if (!server?.platform && mayRunHere(where)) {
    groups.push({ title: "What a Zyndra on this machine needs", findings: await runChecks(hostChecks(world)) });
  }
  const all = groups.flatMap(({ findings }) => findings);
  if (asJson) world.stdout.write(`${JSON.stringify(asData(groups), null, 2)}\n`);
  else draw(world, groups, all);
  return worstOf(all) === "fault" ? exitCodes.failed : exitCodes.ok;
}

/** Nobody logged in, and settings that cannot be read, are told by a look of their own. @throws UserError bad_input */
async function findServerIfAny(world: World): Promise<Where | undefined> {
  try {
    return await findServer(world);
  } catch (error) {
    if (error instanceof UserError && error.code !== "bad_input") return undefined;
    throw error;
  }
}

function mayRunHere(where: Where | undefined): boolean {
  if (where === undefined) return true;
  return isThisMachine(new URL(where.server.url).hostname);
}

function asData(groups: Group[]): object[] {
  return groups.flatMap(({ title, findings }) => findings.map((finding) => ({ group: title, ...finding })));
}

const styles: Record<Verdict, Style> = { ok: "green", warning: "yellow", fault: "red" };
const verdictWidth = "warning".length;

function draw(world: World, groups: Group[], all: Checked[]): void {
  const { stdout } = world;
  const nameWidth = Math.max(...all.map(({ check }) => check.length));
  const indent = " ".repeat(2 + verdictWidth + 2 + nameWidth + 2);
  for (const { title, findings } of groups) {
    stdout.write(`${paint(stdout, "bold", printable(stdout, title))}\n`);
    for (const { verdict, check, text, hint } of findings) {
      const mark = paint(stdout, styles[verdict], verdict) + " ".repeat(verdictWidth - verdict.length);
      stdout.write(`  ${mark}  ${check.padEnd(nameWidth)}  ${printable(stdout, asCalled(world, text))}\n`);
      if (hint !== undefined)
        stdout.write(`${indent}${paint(stdout, "yellow", "hint:")} ${printable(stdout, asCalled(world, hint))}\n`);
    }
    stdout.write("\n");
  }
  stdout.write(`${summary(all)}\n`);
}

function summary(all: Checked[]): string {
  const count = (verdict: Verdict) => all.filter((finding) => finding.verdict === verdict).length;
  const counted = (number: number, word: string) =>
    number === 0 ? [] : [`${number} ${word}${number === 1 ? "" : "s"}`];
  const said = [...counted(count("fault"), "fault"), ...counted(count("warning"), "warning")];
  return said.length === 0 ? "All of it is in order." : `${said.join(", ")}.`;
}
