import { clip, nearest } from "../names.ts";
import type { FileFault, Place } from "./file-fault.ts";
import { describeNode, type FileNode } from "./file-node.ts";
import { durationMeant, durationText, parseDuration, sizePattern } from "./quantities.ts";

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
};

export function startReading(file: string): Reading {
  return { file, path: [], faults: [], places: new Map() };
}

/** More than anybody mends at once. */
const mostFaults = 100;

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
function nameOf({ path, file }: Reading): string {
  const last = path.at(-1);
  const index = last === undefined ? null : /^\[(\d+)\]$/.exec(last);
  return index ? `entry ${Number(index[1]) + 1} of ${path.at(-2)}` : (last ?? file);
}

function wrong(node: FileNode, at: Reading, shape: Pick<Shape<unknown>, "wants" | "example">): undefined {
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

// --- Scalars

type TextRule = {
  wants: string;
  example: string;
  check?: (text: string) => Problem | undefined;
  schema?: JsonSchema;
};

const longestText = 4_096;

export function text({ wants, example, check, schema = {} }: TextRule): Shape<string> {
  return {
    wants,
    example,
    schema: { type: "string", ...schema },
    read(node, at) {
      if (node.kind !== "scalar" || node.value === null) return wrong(node, at, { wants, example });
      if (typeof node.value !== "string") {
        const problem = `${nameOf(at)} must be ${wants}; ${node.text} is a ${typeof node.value}`;
        addFault(at, node, { problem, suggestion: `if it is meant, put it in quotes: "${node.text}"` });
        return undefined;
      }
      return checked(node, node.value, at, check);
    },
  };
}

/** A value of an environment: what was typed, quotes aside, also where YAML sees a number or a truth in it. */
export function plainValue({ wants, example, check }: Omit<TextRule, "schema">): Shape<string> {
  return {
    wants,
    example,
    schema: { type: ["string", "number", "boolean"] },
    read(node, at) {
      if (node.kind !== "scalar" || node.value === null) return wrong(node, at, { wants, example });
      return checked(node, typeof node.value === "string" ? node.value : node.text, at, check);
    },
  };
}

function checked(node: FileNode, value: string, at: Reading, check: TextRule["check"]): string | undefined {
  const name = nameOf(at);
  if (value.length > longestText) {
    const problem = `${name} is longer than ${longestText} characters`;
    addFault(at, node, { problem, suggestion: "put it into a file of its own, and name the file" });
    return undefined;
  }
  const problem = check?.(value);
  if (problem) addFault(at, node, problem);
  return problem ? undefined : value;
}

export function choice<const Word extends string>(words: readonly Word[], later: readonly string[] = []): Shape<Word> {
  const wants = words.length === 1 ? words[0]! : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
  return {
    wants,
    example: words[0]!,
    schema: { enum: [...words] },
    read(node, at) {
      const word = node.kind === "scalar" ? node.value : undefined;
      const found = words.find((each) => each === word);
      if (found !== undefined) return found;
      if (typeof word === "string" && later.includes(word)) {
        const problem = `${nameOf(at)}: ${word} is not in this version`;
        addFault(at, node, { problem, suggestion: `write ${wants}, or remove the line` });
        return undefined;
      }
      const meant = typeof word === "string" ? nearest(word, words) : undefined;
      if (meant === undefined) return wrong(node, at, { wants, example: words[0]! });
      const problem = `${nameOf(at)} must be ${wants}, not ${JSON.stringify(clip(word as string))}`;
      addFault(at, node, { problem, suggestion: `did you mean ${meant}?` });
    },
  };
}

export function wholeNumber(least: number, most: number, example: number): Shape<number> {
  const wants = `a whole number from ${least} to ${most}`;
  return {
    wants,
    example: String(example),
    schema: { type: "integer", minimum: least, maximum: most },
    read(node, at) {
      const value = node.kind === "scalar" ? node.value : undefined;
      if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
      return wrong(node, at, { wants, example: String(example) });
    },
  };
}

/** Exactly this value. `instead` says what to do where it is another one. */
export function only<const Value extends string | number | boolean>(value: Value, instead: string): Shape<Value> {
  return {
    wants: String(value),
    example: String(value),
    schema: { const: value },
    read(node, at) {
      if (node.kind === "scalar" && node.value === value) return value;
      const problem = `${nameOf(at)} must be ${value}, not ${clip(describeNode(node))}`;
      addFault(at, node, { problem, suggestion: instead });
    },
  };
}

export const truth: Shape<boolean> = {
  wants: "true or false",
  example: "true",
  schema: { type: "boolean" },
  read(node, at) {
    if (node.kind === "scalar" && typeof node.value === "boolean") return node.value;
    const said = node.kind === "scalar" ? String(node.value).toLowerCase() : "";
    // What YAML 1.1 took for one.
    const meant = { yes: "true", on: "true", y: "true", no: "false", off: "false", n: "false" }[said];
    const problem = `${nameOf(at)} must be true or false, not ${clip(describeNode(node))}`;
    addFault(at, node, { problem, suggestion: `write ${nameOf(at)}: ${meant ?? "true"}` });
  },
};

/** A time with its unit, as milliseconds. */
export function durationShape(leastMs: number, mostMs: number, example: string): Shape<number> {
  const range = `from ${durationText(leastMs)} to ${durationText(mostMs)}`;
  const wants = `a time with its unit ${range}`;
  return {
    wants,
    example,
    schema: { type: "string", pattern: "^(\\d+(\\.\\d+)?(ms|s|m|h|d))+$", examples: [example] },
    read(node, at) {
      const name = nameOf(at);
      const typed = node.kind === "scalar" && node.value !== null ? String(node.value) : undefined;
      if (typed === undefined) return wrong(node, at, { wants, example });
      if (/^\d+(\.\d+)?$/.test(typed)) {
        const problem = `${name} has no unit: ${typed} of what?`;
        addFault(at, node, { problem, suggestion: `write ${typed}s, ${typed}m or ${typed}h` });
        return undefined;
      }
      const ms = parseDuration(typed);
      if (ms !== undefined && ms >= leastMs && ms <= mostMs) return ms;
      const problem = ms === undefined ? `${JSON.stringify(clip(typed))} is no time` : `${name} must be ${range}`;
      const meant = durationMeant(typed);
      const suggestion =
        ms === undefined && meant !== undefined ? `write ${name}: ${meant}` : `for example: ${name}: ${example}`;
      addFault(at, node, { problem, suggestion });
    },
  };
}

export function sizeShape(example: string): Shape<string> {
  const wants = "a size with its unit";
  return text({
    wants,
    example,
    check: (size) =>
      sizePattern.test(size)
        ? undefined
        : {
            problem: `${JSON.stringify(clip(size))} is no size`,
            suggestion: `Ki, Mi, Gi or Ti, for example: ${example}`,
          },
    schema: { pattern: sizePattern.source },
  });
}

// --- Blocks and lists

type Keys = Record<string, Key<unknown>>;
type ValueOf<K> = K extends Key<infer Value> ? Value : never;
type Block<K extends Keys> = {
  [Name in keyof K as K[Name] extends { required: true } ? Name : never]: ValueOf<K[Name]>;
} & {
  [Name in keyof K as K[Name] extends { required: true } ? never : Name]?: ValueOf<K[Name]>;
};

type BlockRule = {
  later?: Record<string, LaterKey>;
  /** Keys that are not known here but are often written, and what to write instead. */
  mistaken?: Record<string, string>;
  example: string;
  mayBeEmpty?: boolean;
};

/** A block of known keys. Keys that begin with `x-` are nobody's. */
export function block<K extends Keys>(keys: K, rule: BlockRule): Shape<Block<K>> {
  const { later = {}, mistaken = {}, example } = rule;
  const wants = "a block of keys";
  return {
    wants,
    example,
    mayBeEmpty: rule.mayBeEmpty,
    schema: blockSchema(keys, rule),
    read(node, at) {
      if (rule.mayBeEmpty && node.kind === "scalar" && node.value === null) return {} as Block<K>;
      if (node.kind !== "map") return wrong(node, at, { wants, example });
      const values: Record<string, unknown> = {};
      const before = at.faults.length;
      for (const { key, keyPlace, value } of node.entries) {
        if (key.startsWith("x-")) continue;
        const inside = { ...at, path: [...at.path, key] };
        const laterKey = Object.hasOwn(later, key) ? later[key] : undefined;
        if (laterKey) {
          laterKey.shape.read(value, inside);
          const problem = `${key} is not in this version`;
          addFault(at, { place: keyPlace, text: key }, { problem, suggestion: laterKey.instead });
        } else if (Object.hasOwn(keys, key)) {
          at.places.set(inside.path.join("."), keyPlace);
          const read = keys[key]!.shape.read(value, inside);
          if (read !== undefined) values[key] = read;
        } else if (at.faults.length < mostFaults) {
          addFault(at, { place: keyPlace, text: key }, unknownKey(key, at, keys, later, mistaken));
        }
      }
      for (const [name, key] of Object.entries(keys)) {
        if (!key.required || node.entries.some((entry) => entry.key === name)) continue;
        const problem = at.path.length === 0 ? `${name} is missing` : `${nameOf(at)} has no ${name}`;
        addFault(at, node, { problem, suggestion: `add ${name}: ${key.shape.example}` });
      }
      return at.faults.length > before && hasGaps(keys, values) ? undefined : (values as Block<K>);
    },
  };
}

function hasGaps(keys: Keys, values: Record<string, unknown>): boolean {
  return Object.entries(keys).some(([name, key]) => key.required && values[name] === undefined);
}

function unknownKey(
  key: string,
  at: Reading,
  keys: Keys,
  later: Record<string, LaterKey>,
  mistaken: Record<string, string>,
): Problem {
  const problem = `${JSON.stringify(clip(key))} is not known${at.path.length === 0 ? "" : ` in ${nameOf(at)}`}`;
  if (Object.hasOwn(mistaken, key)) return { problem, suggestion: mistaken[key]! };
  const lower = key.toLowerCase();
  const sameThing = Object.entries(keys).find(([name, { alsoCalled = [] }]) =>
    [name.replaceAll("_", ""), ...alsoCalled].includes(lower.replaceAll(/[-_ ]/g, "")),
  )?.[0];
  const meant = sameThing ?? nearest(lower.replaceAll("-", "_"), [...Object.keys(keys), ...Object.keys(later)]);
  if (meant !== undefined) return { problem, suggestion: `did you mean ${meant}?` };
  return { problem, suggestion: `known here: ${Object.keys(keys).join(", ")}; what begins with x- is left alone` };
}

function blockSchema(keys: Keys, { later = {}, mayBeEmpty }: BlockRule): JsonSchema {
  const required = Object.keys(keys).filter((name) => keys[name]!.required);
  const properties = {
    ...Object.fromEntries(
      Object.entries(keys).map(([name, { shape, about }]) => [name, { description: about, ...shape.schema }]),
    ),
    ...Object.fromEntries(
      Object.entries(later).map(([name, { about, instead }]) => [
        name,
        // An editor that knows `errorMessage` shows it; all others refuse the key by `not`.
        { description: `Not in this version: ${about}`, not: {}, errorMessage: `not in this version: ${instead}` },
      ]),
    ),
  };
  return {
    type: mayBeEmpty ? ["object", "null"] : "object",
    properties,
    patternProperties: { "^x-": true },
    additionalProperties: false,
    ...(required.length > 0 ? { required } : {}),
  };
}

export type NameRule = { pattern: RegExp; check(name: string): Problem | undefined };

/** Values by names that the app's author chooses. Names that begin with `x-` are nobody's. */
export function named<Value>(
  { pattern, check }: NameRule,
  value: Shape<Value>,
  { wants, example, most = 200 }: { wants: string; example: string; most?: number },
): Shape<Record<string, Value>> {
  return {
    wants,
    example,
    schema: {
      type: "object",
      patternProperties: { "^x-": true, [`^(?!x-)${pattern.source.replace(/^\^/, "")}`]: value.schema },
      additionalProperties: false,
    },
    read(node, at) {
      if (node.kind !== "map") return wrong(node, at, { wants, example });
      const entries = node.entries.filter(({ key }) => !key.startsWith("x-"));
      if (entries.length > most) {
        const problem = `${nameOf(at)} has more than ${most} entries`;
        addFault(at, node, { problem, suggestion: "remove some" });
        return undefined;
      }
      const values: [string, Value][] = [];
      for (const { key, keyPlace, value: valueNode } of entries) {
        const inside = { ...at, path: [...at.path, key] };
        at.places.set(inside.path.join("."), keyPlace);
        const problem = check(key);
        if (problem) addFault(at, { place: keyPlace, text: key }, problem);
        const read = value.read(valueNode, inside);
        if (read !== undefined && !problem) values.push([key, read]);
      }
      return Object.fromEntries(values);
    },
  };
}

export function list<Value>(of: Shape<Value>, most = 100): Shape<Value[]> {
  const wants = "a list";
  const example = `[${of.example}]`;
  return {
    wants,
    example,
    schema: { type: "array", items: of.schema, maxItems: most },
    read(node, at) {
      if (node.kind !== "list") return wrong(node, at, { wants, example });
      if (node.items.length > most) {
        addFault(at, node, { problem: `${nameOf(at)} has more than ${most} entries`, suggestion: "remove some" });
        return undefined;
      }
      return node.items.flatMap((item, index) => {
        const inside = { ...at, path: [...at.path, `[${index}]`] };
        at.places.set(inside.path.join("."), item.place);
        const read = of.read(item, inside);
        return read === undefined ? [] : [read];
      });
    },
  };
}

/** A short form or a block; a list may have a short form too. */
export function either<Short, Long>(short: Shape<Short>, long: Shape<Long>): Shape<Short | Long> {
  const wants = `${short.wants} or ${long.wants}`;
  return {
    wants,
    example: short.example,
    schema: { anyOf: [short.schema, long.schema] },
    read(node, at): Short | Long | undefined {
      const isEmpty = node.kind === "scalar" && node.value === null;
      if (node.kind === "map" || (isEmpty && long.mayBeEmpty)) return long.read(node, at);
      if (node.kind === "scalar" && !isEmpty) return short.read(node, at);
      return wrong(node, at, { wants, example: short.example });
    },
  };
}

/** What this version does not look into. */
export const anything: Shape<true> = { wants: "anything", example: "…", schema: {}, read: () => true };
