import {
  isAlias,
  isCollection,
  isMap,
  isScalar,
  Lexer,
  type Node,
  type Pair,
  parseDocument,
  type YAMLError,
} from "yaml";
import { clip } from "../names.ts";
import type { FileFault, Place } from "./file-fault.ts";
import { type FileEntry, type FileNode, placesIn } from "./file-node.ts";

/** Without a root it could not be read at all; with one, faults are what else is wrong in it. */
export type ParsedFile = { root?: FileNode; faults: FileFault[] };

/** The parser calls itself for each level; V8 ends the whole process where its stack runs out within a regular expression. */
const deepestNesting = 60;
/** Aliases of aliases make a small file huge ("billion laughs"); no app's file has a tenth of this. */
const mostNodes = 20_000;
/** Nobody reads more, and each costs time; what comes after them is not looked at. */
const mostFaults = 50;
/** What follows a syntax error is mostly its consequence. */
const mostSyntaxFaults = 5;

/** Reads a YAML text with the places of all that stands in it. Duplicate keys, aliases and merge keys are judged here. */
export function parseYaml(file: string, text: string): ParsedFile {
  const placeOf = placesIn(text);
  const fault = (offset: number, problem: string, suggestion: string, shown = ""): FileFault => ({
    file,
    ...placeOf(offset),
    text: clip(shown),
    problem,
    suggestion,
  });
  const tooDeepAt = findTooDeep(text);
  if (tooDeepAt !== undefined) {
    const problem = `it is nested more than ${deepestNesting} levels deep`;
    return { faults: [fault(tooDeepAt, problem, "no app's settings are: is this the right file?")] };
  }
  const document = parseDocument(text, { uniqueKeys: false, prettyErrors: false });
  const broken = [...document.errors, ...document.warnings];
  if (broken.length > 0) return { faults: syntaxFaults(broken, text, fault) };
  if (document.contents === null) return { root: emptyNode(placeOf(0)), faults: [] };
  const converting: Converting = {
    text,
    placeOf,
    anchors: new Map(),
    open: new Set(),
    nodes: 0,
    isTooMuch: false,
    faults: [],
    fault,
  };
  const root = convert(converting, document.contents as Node);
  return { root, faults: converting.faults };
}

// --- Depth

/** Where nesting becomes too deep, found without calling itself; undefined where it does not. */
function findTooDeep(text: string): number | undefined {
  let flowDepth = 0;
  let marksOfLine = 0;
  let offset = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") flowDepth++;
    else if (token === "]" || token === "}") flowDepth = Math.max(0, flowDepth - 1);
    else if (token === "\n" || token === "\r\n") marksOfLine = 0;
    // `- - -` nests within one line; blocks below each other are as deep as their lines are indented.
    else if (flowDepth === 0 && (token === "-" || token === "?" || token === ":")) marksOfLine++;
    if (flowDepth > deepestNesting || marksOfLine > deepestNesting) return Math.min(offset, text.length);
    if (!/^[\x02\x18\x1f\ufeff]$/.test(token)) offset += token.length;
  }
  return undefined;
}

// --- Syntax

type MakeFault = (offset: number, problem: string, suggestion: string, shown?: string) => FileFault;

function syntaxFaults(errors: YAMLError[], text: string, fault: MakeFault): FileFault[] {
  const faults: FileFault[] = [];
  // What is wrong in a line is told once, so that thousands in one line cost no more than one.
  let toldUntil = -1;
  for (const error of errors) {
    const offset = Math.min(error.pos[0], text.length);
    if (offset <= toldUntil || faults.length === mostSyntaxFaults) continue;
    faults.push(fault(offset, ...syntaxWords(error, text, offset)));
    const end = text.indexOf("\n", offset);
    toldUntil = end === -1 ? text.length : end;
  }
  return faults;
}

function syntaxWords({ code, message }: YAMLError, text: string, offset: number): [string, string, string] {
  const line = lineAt(text, offset);
  const typed = line.trim();
  switch (code) {
    case "TAB_AS_INDENT":
      return ["a tab stands where spaces indent", "write two spaces instead", typed];
    case "BLOCK_AS_IMPLICIT_KEY":
      return ['a second ": " stands in this line', `put the value in quotes: ${quotedValue(typed)}`, typed];
    case "MULTILINE_IMPLICIT_KEY":
      return [`${JSON.stringify(clip(typed))} is no key and value`, "a line looks like this: key: value", typed];
    case "MISSING_CHAR":
      if (/quote/.test(message)) return ["a quote is not closed", "close it, in the same line", typed];
      return [`${JSON.stringify(clip(typed))} has no colon`, "a line looks like this: key: value", typed];
    case "BAD_SCALAR_START":
      return [
        `a value cannot begin with ${text[offset]}`,
        `put it in quotes: ${quotedValue(typed)}`,
        text[offset] ?? "",
      ];
    case "BAD_DQ_ESCAPE":
      return [`in double quotes, ${text.slice(offset, offset + 2)} means nothing`, "use single quotes", typed];
    case "MULTIPLE_DOCS":
      return ["a second document begins here", "the file is one document: remove the line --- or ...", typed];
    case "BAD_INDENT":
      return /\[|\]|\{|\}|flow/i.test(message)
        ? ["a [ or { is not closed", "close it, or indent what belongs into it", typed]
        : [
            "it is indented differently from the lines it belongs to",
            "give lines that belong together the same indent",
            typed,
          ];
    case "TAG_RESOLVE_FAILED":
      return [`${typed.match(/![^\s,]*/)?.[0] ?? "this tag"} is not known`, "remove it: tags are not used here", typed];
    case "UNEXPECTED_TOKEN":
      return [
        `${JSON.stringify(clip(typed))} is not expected here`,
        "look at the line before it, and at its indent",
        typed,
      ];
    default:
      return [`it is no YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`, "mend this line", typed];
  }
}

function lineAt(text: string, offset: number): string {
  const start = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", offset);
  return text.slice(start, end === -1 ? undefined : end);
}

/** `key: "value: with colon"` of a line as it was typed. */
function quotedValue(typed: string): string {
  const [, key, value] = /^([^:]*:\s+)(.*)$/.exec(typed) ?? [];
  if (key === undefined || value === undefined) return JSON.stringify(clip(typed));
  return clip(`${key}'${value.replaceAll("'", "''")}'`, 100);
}

// --- From the parser's nodes to ours

type Converting = {
  text: string;
  placeOf(offset: number): Place;
  /** What an alias means at this point of the file. */
  anchors: Map<string, Node>;
  /** Those that are being converted: one that is met again contains itself. */
  open: Set<Node>;
  nodes: number;
  /** It has been told that aliases make too much of the file. */
  isTooMuch: boolean;
  faults: FileFault[];
  fault: MakeFault;
};

function convert(at: Converting, node: Node | null): FileNode {
  const [start, end] = node?.range ?? [0, 0];
  const place = at.placeOf(start);
  if (at.faults.length >= mostFaults) return emptyNode(place);
  const text = at.text.slice(start, end);
  if (node === null || ++at.nodes > mostNodes || at.open.has(node)) {
    if (node !== null) refuseExpansion(at, start);
    return emptyNode(place);
  }
  if (isAlias(node)) {
    const meant = at.anchors.get(node.source);
    if (meant) return convert(at, meant);
    at.faults.push(at.fault(start, `nothing before it is called &${node.source}`, "name an anchor of this file", text));
    return emptyNode(place);
  }
  if (node.anchor !== undefined) at.anchors.set(node.anchor, node);
  if (isScalar(node)) return { kind: "scalar", value: plainValue(node.value, text), place, text };
  if (!isCollection(node)) throw new Error(`a YAML node of kind ${(node as Node).constructor.name}`);
  at.open.add(node);
  try {
    return isMap(node)
      ? { kind: "map", entries: entriesOf(at, node.items as YamlPair[]), place, text }
      : { kind: "list", items: node.items.map((item) => convert(at, item as Node | null)), place, text };
  } finally {
    at.open.delete(node);
  }
}

type YamlPair = Pair<Node, Node | null>;

function entriesOf(at: Converting, pairs: YamlPair[]): FileEntry[] {
  const entries = new Map<string, FileEntry>();
  const merged: FileNode[] = [];
  for (const pair of pairs) {
    if (at.faults.length >= mostFaults) break;
    const keyAt = pair.key.range?.[0] ?? 0;
    if (!isScalar(pair.key)) {
      at.faults.push(at.fault(keyAt, "a key is one word here", "a line looks like this: key: value"));
      continue;
    }
    if (pair.key.anchor !== undefined) at.anchors.set(pair.key.anchor, pair.key);
    const keyPlace = at.placeOf(keyAt);
    const value = convert(at, pair.value);
    if (pair.value === null) value.place = keyPlace;
    if (pair.key.source === "<<" && pair.key.type === "PLAIN") {
      merged.push(value);
      continue;
    }
    const key = keyText(pair.key.value, pair.key.source);
    const before = entries.get(key);
    if (before) {
      const problem = `${JSON.stringify(clip(key))} is already in line ${before.keyPlace.line}`;
      at.faults.push(at.fault(keyAt, problem, "keep one of them", key));
    } else {
      entries.set(key, { key, keyPlace, value });
    }
  }
  for (const value of merged) mergeInto(at, entries, value);
  return [...entries.values()];
}

/** `<<: *base`: what the block says itself wins over what it takes from another (https://yaml.org/type/merge.html). */
function mergeInto(at: Converting, entries: Map<string, FileEntry>, value: FileNode): void {
  const blocks = value.kind === "list" ? value.items : [value];
  for (const block of blocks) {
    if (block.kind !== "map") {
      const suggestion = "for example: <<: *base, with &base at the block that is meant";
      const problem = "<< takes the keys of another block";
      at.faults.push({ ...at.fault(0, problem, suggestion, block.text), ...block.place });
      continue;
    }
    for (const entry of block.entries) if (!entries.has(entry.key)) entries.set(entry.key, entry);
  }
}

function refuseExpansion(at: Converting, offset: number): void {
  if (at.isTooMuch) return;
  at.isTooMuch = true;
  at.faults.push(at.fault(offset, expansionProblem, "write out what is meant"));
}

const expansionProblem = `its aliases make more than ${mostNodes.toLocaleString("en")} values of it, or one contains itself`;

function plainValue(value: unknown, text: string): string | number | boolean | null {
  if (value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return value;
  return text;
}

function keyText(value: unknown, source: string | undefined): string {
  return typeof value === "string" ? value : (source ?? String(value));
}

function emptyNode(place: Place): FileNode {
  return { kind: "scalar", value: null, place, text: "" };
}
