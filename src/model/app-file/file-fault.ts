import type { Cause } from "../cause.ts";

/** Something wrong in one of an app's own files, where it stands, and what to write instead. */
export type FileFault = Place & {
  /** `zyndra.yml`, or with the folder it lies in: `apps/shop/Procfile`. */
  file: string;
  /** What stands there; empty where it must not be repeated, or where something is missing. */
  text: string;
  /** One sentence without a full stop. */
  problem: string;
  suggestion: string;
};

/** Both count from 1; a column is a UTF-16 unit, as editors have it. */
export type Place = { line: number; column: number };

/** `zyndra.yml:12:5` */
export function placeOf({ file, line, column }: FileFault): string {
  return `${file}:${line}:${column}`;
}

/** A fault in one line. */
export function faultLine(fault: FileFault): string {
  return `${placeOf(fault)}: ${fault.problem}; ${fault.suggestion}`;
}

/** As many as a person reads. */
const mostShown = 20;

/** What a deploy fails with whose commit has such faults: all of them at once. */
export function causeOfFaults(faults: readonly FileFault[]): Cause {
  const first = faults[0]!;
  const files = [...new Set(faults.map(({ file }) => file))];
  const count = faults.length === 1 ? "a fault" : `${faults.length} faults`;
  const detail = `${placeOf(first)}: ${first.problem}`;
  const headline = `${files.join(" and ")} ${files.length === 1 ? "has" : "have"} ${count}`;
  if (faults.length === 1) return { headline, detail, hint: first.suggestion };
  const lines = faults.map(faultLine);
  return {
    headline,
    detail,
    hint: "mend them, commit, push again; zyndra validate finds them before a push",
    lastLines:
      lines.length <= mostShown
        ? lines
        : [...lines.slice(0, mostShown - 1), `and ${lines.length - mostShown + 1} more: zyndra validate`],
  };
}

/** Faults in the order of a reader; the same one is told once, however many aliases lead to it. */
export function inOrder(faults: readonly FileFault[]): FileFault[] {
  const distinct = new Map(faults.map((fault) => [`${placeOf(fault)} ${fault.problem}`, fault]));
  const files = [...new Set(faults.map(({ file }) => file))];
  return [...distinct.values()].sort(
    (left, right) =>
      files.indexOf(left.file) - files.indexOf(right.file) || left.line - right.line || left.column - right.column,
  );
}
