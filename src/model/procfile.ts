import type { Cause } from "./cause.ts";
import { clip } from "./names.ts";
import { type ProcessTypes, processTypePattern } from "./process-types.ts";

/** What a Procfile says. `release` is no process type: it runs once, before the new release serves. */
export type Procfile = { processTypes: ProcessTypes; releaseCommand?: string };

export type ParsedProcfile = { ok: true; procfile: Procfile } | { ok: false; cause: Cause };

const maxCommandLength = 4_096;
const maxProcessTypes = 30;
const example = "a line looks like this: web: node server.js";

/**
 * Reads a Procfile (https://devcenter.heroku.com/articles/procfile): one `type: command` a line. Blank lines and lines
 * that begin with `#` are skipped. What is wrong is told with its line.
 */
export function parseProcfile(text: string): ParsedProcfile {
  const processTypes: ProcessTypes = {};
  let releaseCommand: string | undefined;
  const seenAt = new Map<string, number>();

  for (const [index, rawLine] of text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .entries()) {
    const line = rawLine.trim();
    const number = index + 1;
    if (line === "" || line.startsWith("#")) continue;

    const colon = line.indexOf(":");
    if (colon === -1) return broken(number, `"${clip(line)}" has no colon`, example);
    const type = line.slice(0, colon).trim();
    const command = line.slice(colon + 1).trim();
    const problem = problemOfLine(type, command) ?? problemOfRepeat(type, seenAt.get(type));
    if (problem) return broken(number, problem.fact, problem.hint);

    seenAt.set(type, number);
    if (type === "release") releaseCommand = command;
    else processTypes[type] = { command };
  }

  if (seenAt.size === 0) return empty();
  if (seenAt.size > maxProcessTypes) {
    return broken(
      seenAt.get([...seenAt.keys()][maxProcessTypes]!)!,
      `it names more than ${maxProcessTypes} process types`,
      "remove some",
    );
  }
  return { ok: true, procfile: releaseCommand === undefined ? { processTypes } : { processTypes, releaseCommand } };
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

function broken(line: number, fact: string, hint: string): ParsedProcfile {
  return {
    ok: false,
    cause: { headline: `Procfile line ${line} is wrong`, detail: `Procfile:${line}: ${fact}`, hint },
  };
}

function empty(): ParsedProcfile {
  return {
    ok: false,
    cause: { headline: "Procfile is empty", detail: "Procfile:1: it names no process", hint: example },
  };
}
