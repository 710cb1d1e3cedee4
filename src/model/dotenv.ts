import { configNamePattern, reservedBecause, valueFault } from "./config-vars.ts";

/** What a `.env` file says. Lines are counted from 1; no fault and no warning shows a value. */
export type Dotenv = {
  vars: Record<string, string>;
  /** What makes the file unusable. */
  faults: string[];
  /** What was read otherwise than some would expect. */
  warnings: string[];
};

/**
 * Reads the format that dotenv programs share and `config:export` writes: `NAME=value` lines, `export ` before them or not;
 * comments on lines of their own or after a space; values bare, in 'single' quotes or backticks as they are, or in "double"
 * quotes with the escapes of a shell and \n, \r, \t. Quoted values may have several lines. Nothing is put in place of a `$`.
 */
export function parseDotenv(text: string): Dotenv {
  const scan: Scan = { text: text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n"), at: 0, line: 1 };
  const found: Dotenv = { vars: {}, faults: [], warnings: [] };
  const lineOf = new Map<string, number>();
  while (scan.at < scan.text.length) {
    const { line } = scan;
    const entry = readEntry(scan);
    if (entry === "nothing") continue;
    const fault = typeof entry === "string" ? entry : faultOf(entry);
    if (fault !== undefined) found.faults.push(`line ${line}: ${fault}`);
    else takeEntry(entry as Entry, line, lineOf, found);
  }
  return found;
}

function takeEntry({ name, value, hasDollar }: Entry, line: number, lineOf: Map<string, number>, found: Dotenv): void {
  const warn = (sentence: string) => found.warnings.push(`line ${line}: ${sentence}`);
  const reserved = reservedBecause(name);
  if (reserved !== undefined) {
    warn(`${name} is left out: ${reserved}`);
    return;
  }
  const before = lineOf.get(name);
  if (before !== undefined) warn(`${name} stands on line ${before} as well; the later one holds`);
  if (hasDollar) warn(`the $ in ${name} is taken as it is`);
  lineOf.set(name, line);
  found.vars[name] = value;
}

/** Writes vars so that `parseDotenv` reads them back exactly, and, but for carriage returns, a shell does too. */
export function formatDotenv(vars: Record<string, string>): string {
  return Object.entries(vars)
    .map(([name, value]) => `${name}=${quoted(value)}\n`)
    .join("");
}

/** Lines for a shell to read: `eval "$(zyndra config:export shop --reveal --format shell)"`. */
export function formatShell(vars: Record<string, string>): string {
  return Object.entries(vars)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'\n`)
    .join("");
}

function quoted(value: string): string {
  if (/^[\w.:/@%+,=-]*$/.test(value)) return value;
  if (!/['\r]/.test(value)) return `'${value}'`;
  return `"${value.replace(/[\\"$`]/g, "\\$&").replaceAll("\r", "\\r")}"`;
}

type Scan = { text: string; at: number; line: number };
type Entry = {
  name: string;
  value: string;
  /** It stands where other programs would put something in its place: in a bare value, or in double quotes. */
  hasDollar: boolean;
};

function faultOf({ name, value }: Entry): string | undefined {
  // The name is not shown: it may be part of a value of several lines whose quotes were forgotten.
  if (!configNamePattern.test(name)) return "what stands before the = is no config var's name";
  return valueFault(name, value);
}

/** Reads one line, or as many as a quoted value has; answers a sentence where it cannot. */
function readEntry(scan: Scan): Entry | "nothing" | (string & {}) {
  const { text, at } = scan;
  const end = endOfLine(text, at);
  const said = text.slice(at, end);
  if (/^\s*(#|$)/.test(said)) return moveTo(scan, end, "nothing");
  const sign = said.indexOf("=");
  if (sign < 0) return moveTo(scan, end, "this is no NAME=VALUE");
  const name = said
    .slice(0, sign)
    .trimStart()
    .replace(/^export\s+/, "")
    .trimEnd();
  const bare = said.slice(sign + 1);
  if (!/^\s*["'`]/.test(bare)) return moveTo(scan, end, { name, ...readBare(bare) });
  const word = readQuoted(text, end - bare.trimStart().length);
  if (!word) return moveTo(scan, end, "a quote begins here that is never closed");
  const wordEnd = endOfLine(text, word.end);
  const isAlone = /^\s*(#.*)?$/.test(text.slice(word.end, wordEnd));
  if (!isAlone) return moveTo(scan, end, "something stands after the closing quote");
  return moveTo(scan, wordEnd, { name, value: word.value, hasDollar: word.hasDollar });
}

/** To the end of the line, or to a comment. */
function readBare(text: string): { value: string; hasDollar: boolean } {
  const comment = text.search(/\s#/);
  const value = (comment < 0 ? text : text.slice(0, comment)).trim();
  return { value, hasDollar: isReplacedElsewhere(value) };
}

/** Goes on behind the end of a line; hands back what was found. */
function moveTo<Found>(scan: Scan, end: number, found: Found): Found {
  scan.line += scan.text.slice(scan.at, end).split("\n").length;
  scan.at = end + 1;
  return found;
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end < 0 ? text.length : end;
}

/** Quoted pieces that follow each other are one value, as in a shell: 'it'\''s'. Undefined where one is not closed. */
function readQuoted(text: string, start: number): { value: string; end: number; hasDollar: boolean } | undefined {
  let value = "";
  let hasDollar = false;
  let at = start;
  for (;;) {
    const quote = text[at];
    if (quote === "\\" && /['"]/.test(text[at + 1] ?? "")) {
      value += text[at + 1];
      at += 2;
    } else if (quote === '"') {
      const piece = /"((?:[^"\\]|\\[\s\S])*)"/y;
      piece.lastIndex = at;
      const inside = piece.exec(text)?.[1];
      if (inside === undefined) return undefined;
      hasDollar ||= isReplacedElsewhere(inside.replace(/\\[\s\S]/g, ""));
      value += inside.replace(/\\([\s\S])/g, unescaped);
      at = piece.lastIndex;
    } else if (quote === "'" || quote === "`") {
      const end = text.indexOf(quote, at + 1);
      if (end < 0) return undefined;
      value += text.slice(at + 1, end);
      at = end + 1;
    } else {
      return { value, end: at, hasDollar };
    }
  }
}

const escapes: Record<string, string> = {
  n: "\n",
  r: "\r",
  t: "\t",
  "\n": "",
  '"': '"',
  "'": "'",
  "\\": "\\",
  $: "$",
  "`": "`",
};

/** What a backslash says in double quotes; before other letters it is one itself. */
function unescaped(whole: string, letter: string): string {
  return escapes[letter] ?? whole;
}

function isReplacedElsewhere(text: string): boolean {
  return /\$[A-Za-z_{(]/.test(text);
}
