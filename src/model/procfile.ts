import type { Cause } from "./cause.ts";
import { clip } from "./names.ts";
import { type ProcessTypes, processTypePattern } from "./process-types.ts";

/** What a Procfile says. `release` is no process type: it runs once, before the new release serves. */
export type Procfile = { processTypes: ProcessTypes; releaseCommand?: string };

export type ParsedProcfile = { ok: true; procfile: Procfile } | { ok: false; cause: Cause };

const maxCommandLength = 4_096;
const maxProcessTypes = 30;
const example = "a line looks like this: web: node server.js";

/** One wrong line. `column` counts from 1. */
export type ProcfileFault = { line: number; column: number; text: string; fact: string; hint: string };

/**
 * Reads a Procfile (https://devcenter.heroku.com/articles/procfile): one `type: command` a line. Blank lines and lines
 * that begin with `#` are skipped. What is wrong is told with its line.
 */
export function parseProcfile(text: string): ParsedProcfile {
  const { faults, lines: _, ...procfile } = readProcfile(text);
  const [first] = faults;
  return first ? { ok: false, cause: causeOfFault(first) } : { ok: true, procfile };
}

/** The same with all that is wrong, and with the line of each process type and of `release`. */
export function readProcfile(text: string): Procfile & { faults: ProcfileFault[]; lines: Record<string, number> } {
  const processTypes: ProcessTypes = {};
  let releaseCommand: string | undefined;
  const seenAt = new Map<string, number>();
  const faults: ProcfileFault[] = [];

  for (const [index, rawLine] of text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .entries()) {
    const line = rawLine.trim();
    const number = index + 1;
    if (line === "" || line.startsWith("#")) continue;

    const colon = line.indexOf(":");
    const type = line.slice(0, colon).trim();
    const command = line.slice(colon + 1).trim();
    const problem =
      colon === -1
        ? { fact: `"${clip(line)}" has no colon`, hint: example }
        : (problemOfLine(type, command) ?? problemOfRepeat(type, seenAt.get(type)));
    if (problem) {
      const column = rawLine.length - rawLine.trimStart().length + 1;
      faults.push({ line: number, column, text: clip(line), ...problem });
      continue;
    }
    seenAt.set(type, number);
    if (type === "release") releaseCommand = command;
    else processTypes[type] = { command };
  }

  if (faults.length === 0) faults.push(...problemsOfNumber(seenAt));
  const lines = Object.fromEntries(seenAt);
  return { processTypes, ...(releaseCommand === undefined ? {} : { releaseCommand }), faults, lines };
}

/** That it names nothing, or too much. */
function problemsOfNumber(seenAt: Map<string, number>): ProcfileFault[] {
  if (seenAt.size === 0) return [{ line: 1, column: 1, text: "", fact: "it names no process", hint: example }];
  if (seenAt.size <= maxProcessTypes) return [];
  const type = [...seenAt.keys()][maxProcessTypes]!;
  const fact = `it names more than ${maxProcessTypes} process types`;
  return [{ line: seenAt.get(type)!, column: 1, text: type, fact, hint: "remove some" }];
}

type Problem = { fact: string; hint: string };

function problemOfLine(type: string, command: string): Problem | undefined {
  if (!processTypePattern.test(type)) return problemOfType(type);
  if (command === "") return { fact: `"${type}" has no command`, hint: example };
  if (command.length > maxCommandLength) {
    return {
      fact: `the command of "${type}" is longer than ${maxCommandLength} characters`,
      hint: "put it into a script and name the script",
    };
  }
  if (/[\x00-\x08\x0b-\x1f\x7f]/.test(command)) {
    return { fact: `the command of "${type}" holds a control character`, hint: "write the line anew as plain text" };
  }
  return undefined;
}

function problemOfType(type: string): Problem {
  const asTyped = clip(type);
  if (processTypePattern.test(type.toLowerCase())) {
    return { fact: `"${asTyped}" is written with capitals`, hint: `write ${type.toLowerCase()}:` };
  }
  return {
    fact: `"${asTyped}" is no process type`,
    hint: "a process type has 1 to 30 lower-case letters, digits, hyphens and underscores and starts with a letter",
  };
}

function problemOfRepeat(type: string, firstLine: number | undefined): Problem | undefined {
  if (firstLine === undefined) return undefined;
  return {
    fact: `"${type}" is already in line ${firstLine}`,
    hint: "keep one of them, or give the other a name of its own",
  };
}

function causeOfFault({ line, text, fact, hint }: ProcfileFault): Cause {
  const headline = text === "" ? "Procfile is empty" : `Procfile line ${line} is wrong`;
  return { headline, detail: `Procfile:${line}: ${fact}`, hint };
}
