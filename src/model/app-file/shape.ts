import { clip } from "../names.ts";
import type { FileFault, Place } from "./file-fault.ts";
import { describeNode, type FileNode } from "./file-node.ts";

/**
 * What may stand in one place of a file. The same table reads a file, so that each fault knows its place, and becomes the
 * JSON Schema by which editors help.
 */
export type Shape<Value> = {
  /** Completes "must be …". */
  wants: string;
  /** A right value as it is typed. */
  example: string;
  /** Undefined where it was wrong, which the reading then knows. */
  read(node: FileNode, at: Reading): Value | undefined;
  schema: JsonSchema;
  /** Whether nothing at all says the same as an empty block. */
  mayBeEmpty?: boolean;
};

export type JsonSchema = { [keyword: string]: unknown };

/** What one wrong value is told with: a sentence and what to write instead. */
export type Problem = {
  problem: string;
  suggestion: string /** What stands there must not be repeated. */;
  isSecret?: true;
};

/** One key of a block. */
export type Key<Value> = {
  shape: Shape<Value>;
  /** What it is for, one sentence. */
  about: string;
  /** Names that people know it by from elsewhere: they are understood in suggestions. */
  alsoCalled?: string[];
  required?: true;
};

/** A key of the format that this version does not carry out. */
export type LaterKey = { shape: Shape<unknown>; about: string /** What to do instead. */; instead: string };

/** A walk through one file: where it stands, and what it found. */
export type Reading = {
  file: string;
  /** The keys that led here. */
  path: readonly string[];
  faults: FileFault[];
  /** Where each key stands, by its path: `processes.web.replicas`. */
  places: Map<string, Place>;
  /** The blocks of which a key is wrong, by their path: what they lack is not told as well. */
  broken: Set<string>;
};

export function startReading(file: string): Reading {
  return { file, path: [], faults: [], places: new Map(), broken: new Set() };
}

/** More than anybody mends at once. */
export const mostFaults = 100;

export function addFault(
  at: Reading,
  where: { place: Place; text: string },
  { problem, suggestion, isSecret }: Problem,
): void {
  if (at.faults.length >= mostFaults) return;
  const text = isSecret ? "" : clip(where.text.split("\n")[0]!);
  at.faults.push({ file: at.file, ...where.place, text, problem, suggestion });
}

/** What a place is called in a sentence: its key, or `entry 2 of cron`. */
export function nameOf({ path, file }: Reading): string {
  const last = path.at(-1);
  const index = last === undefined ? null : /^\[(\d+)\]$/.exec(last);
  return index ? `entry ${Number(index[1]) + 1} of ${path.at(-2)}` : (last ?? file);
}

/** Tells that something else stands there than what is wanted. */
export function wrong(node: FileNode, at: Reading, shape: Pick<Shape<unknown>, "wants" | "example">): undefined {
  const name = nameOf(at);
  const isEmpty = node.kind === "scalar" && node.value === null;
  const problem = isEmpty
    ? `${name} is empty: it must be ${shape.wants}`
    : `${name} must be ${shape.wants}, not ${clip(describeNode(node))}`;
  addFault(at, node, { problem, suggestion: exampleOf(at, shape.example) });
}

/** `for example: replicas: 2`; where nothing has a name, as in a list, the value alone. */
function exampleOf(at: Reading, example: string): string {
  const name = at.path.at(-1);
  const isBlock = example.includes("\n");
  if (name === undefined || name.startsWith("[") || isBlock) return `for example: ${example.replaceAll("\n", "; ")}`;
  return `for example: ${name}: ${example}`;
}
