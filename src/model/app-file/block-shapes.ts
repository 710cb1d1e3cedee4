import { clip, nearest } from "../names.ts";
import {
  addFault,
  type JsonSchema,
  type Key,
  type LaterKey,
  mostFaults,
  nameOf,
  type Problem,
  type Reading,
  type Shape,
  wrong,
} from "./shape.ts";

/** A key of a block. */
export const key = <Value>(
  shape: Shape<Value>,
  about: string,
  more: Omit<Key<Value>, "shape" | "about"> = {},
): Key<Value> => ({
  shape,
  about,
  ...more,
});
/** One that must be there. */
export const required = <Value>(shape: Shape<Value>, about: string) => ({ shape, about, required: true }) as const;

/** A key that is known and not carried out yet. */
export const later = (shape: Shape<unknown>, about: string, instead?: string): LaterKey => ({
  shape,
  about,
  instead: instead ?? "remove it, or keep it for later under a name that begins with x-",
});

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
      const meant = new Set<string>();
      for (const { key, keyPlace, value } of node.entries) {
        if (key.startsWith("x-")) continue;
        const inside = { ...at, path: [...at.path, key] };
        const laterKey = Object.hasOwn(later, key) ? later[key] : undefined;
        if (laterKey) {
          const problem = `${key} is not in this version`;
          addFault(at, { place: keyPlace, text: key }, { problem, suggestion: laterKey.instead });
        } else if (Object.hasOwn(keys, key)) {
          at.places.set(inside.path.join("."), keyPlace);
          const read = keys[key]!.shape.read(value, inside);
          if (read !== undefined) values[key] = read;
        } else if (at.faults.length < mostFaults) {
          const name = keyMeant(key, keys, later);
          if (name !== undefined) meant.add(name);
          addFault(at, { place: keyPlace, text: key }, unknownKey(key, name, at, keys, mistaken));
        }
      }
      for (const [name, key] of Object.entries(keys)) {
        if (!key.required || meant.has(name) || node.entries.some((entry) => entry.key === name)) continue;
        const problem = at.path.length === 0 ? `${name} is missing` : `${nameOf(at)} has no ${name}`;
        addFault(at, node, { problem, suggestion: `add ${name}: ${key.shape.example}` });
      }
      if (at.faults.length > before) at.broken.add(at.path.join("."));
      return at.faults.length > before && hasGaps(keys, values) ? undefined : (values as Block<K>);
    },
  };
}

function hasGaps(keys: Keys, values: Record<string, unknown>): boolean {
  return Object.entries(keys).some(([name, key]) => key.required && values[name] === undefined);
}

function keyMeant(key: string, keys: Keys, later: Record<string, LaterKey>): string | undefined {
  const lower = key.toLowerCase();
  const sameThing = Object.entries(keys).find(([name, { alsoCalled = [] }]) =>
    [name.replaceAll("_", ""), ...alsoCalled].includes(lower.replaceAll(/[-_ ]/g, "")),
  )?.[0];
  return sameThing ?? nearest(lower.replaceAll("-", "_"), [...Object.keys(keys), ...Object.keys(later)]);
}

function unknownKey(
  key: string,
  meant: string | undefined,
  at: Reading,
  keys: Keys,
  mistaken: Record<string, string>,
): Problem {
  const problem = `${JSON.stringify(clip(key))} is not known${at.path.length === 0 ? "" : ` in ${nameOf(at)}`}`;
  if (Object.hasOwn(mistaken, key)) return { problem, suggestion: mistaken[key]! };
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
