import { type LogLine, plainLine } from "../model/log-line.ts";
import type { Table, View } from "../model/view.ts";
import type { Out, World } from "./world.ts";

const codes = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
};
export type Style = keyof typeof codes;

/** Text in a style, where the terminal has any. */
export function paint(out: Out, style: Style, text: string): string {
  const [on, off] = codes[style];
  return out.colours && text !== "" ? `\x1b[${on}m${text}\x1b[${off}m` : text;
}

/** What a command answers: facts on standard output; warnings and what to type next beside it, out of a pipe's way. */
export function drawView(world: World, view: View): void {
  const { stdout } = world;
  if (view.text !== undefined && view.text !== "") stdout.write(`${printable(stdout, asCalled(world, view.text))}\n`);
  // A pipe gets every byte; what others wrote must not steer a terminal.
  if (view.raw !== undefined) stdout.write(stdout.columns === undefined ? view.raw : printable(stdout, view.raw));
  if (view.fields && view.fields.length > 0) stdout.write(drawFields(stdout, view.fields));
  if (view.table) stdout.write(drawTable(stdout, view.table));
  for (const warning of view.warnings ?? []) drawNote(world, "warning", warning);
  if (view.hint !== undefined) drawNote(world, "hint", view.hint);
}

/** `error: …`, `hint: …` on standard error. */
export function drawNote(world: World, kind: "error" | "hint" | "warning", text: string): void {
  const { stderr } = world;
  stderr.write(
    `${paint(stderr, kind === "error" ? "red" : "yellow", `${kind}:`)} ${printable(stderr, asCalled(world, text))}\n`,
  );
}

/** A line of a deploy's log, coloured by its kind. */
export function drawLogLine(world: World, line: LogLine): string {
  const { stdout } = world;
  const text = printable(
    stdout,
    plainLine({ kind: line.kind, text: line.kind === "output" ? line.text : asCalled(world, line.text) }),
  );
  switch (line.kind) {
    case "intro":
    case "step":
      return paint(stdout, "bold", text);
    case "output":
      return text.includes("\x1b") ? text : paint(stdout, "dim", text);
    case "error":
      return paintStart(stdout, "red", text);
    case "hint":
    case "warning":
      return paintStart(stdout, "yellow", text);
    case "success":
      return paintStart(stdout, "green", text);
    default:
      return text;
  }
}

export type AppLogLine = { at: string; process: string; text: string };

/** A line of an app's log: when, who, what. Another reader than a person gets the whole moment. */
export function drawAppLogLine(out: Out, line: AppLogLine): string {
  const at = new Date(line.at);
  const when = out.columns === undefined ? at.toISOString() : clock(at);
  const text = printable(out, line.text);
  if (line.process === "router") return paint(out, "dim", `${when} ${line.process.padEnd(nameWidth)} ${text}`);
  return `${paint(out, "dim", when)} ${paint(out, colourOf(line.process), line.process.padEnd(nameWidth))} ${text}`;
}

/** Fits `worker.1`; longer names push their own lines only. */
const nameWidth = 8;

/** Numbers as people write them here, with the day where it is not today's. */
function clock(at: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  if (at.toDateString() === new Date().toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

/** A process keeps its colour. */
function colourOf(process: string): Style {
  const colours = ["cyan", "green", "magenta", "yellow", "blue"] as const;
  let sum = 0;
  for (const letter of process) sum = (sum * 31 + letter.codePointAt(0)!) % 9_973;
  return colours[sum % colours.length]!;
}

function paintStart(out: Out, style: Style, text: string): string {
  const colon = text.indexOf(":") + 1;
  return paint(out, style, text.slice(0, colon)) + text.slice(colon);
}

// --- Fields and tables

function drawFields(out: Out, fields: { name: string; value: string }[]): string {
  const width = Math.max(...fields.map((field) => widthOf(field.name))) + 1;
  return fields
    .map(({ name, value }) => {
      const title = paint(out, "dim", pad(name === "" ? "" : `${name}:`, width));
      return `${title} ${broken(out, printable(out, value), width + 1)}\n`;
    })
    .join("");
}

export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** On a terminal a long text goes on in the next line, as far from the left as it began. */
function broken(out: Out, text: string, indent: number): string {
  if (out.columns === undefined || text.includes("\n")) return text;
  return wrap(text, Math.max(leastWidth, out.columns - indent)).join(`\n${" ".repeat(indent)}`);
}

/** Aligned columns without borders; on a terminal no wider than that, where it can be helped. */
export function drawTable(out: Out, table: Table): string {
  if (table.rows.length === 0) return `${printable(out, table.none)}\n`;
  const hasHeader = table.columns.some((column) => column !== "");
  const head = table.columns.map((column) => column.toUpperCase());
  const rows = table.rows.map((row) => table.columns.map((_, index) => oneLine(out, row[index] ?? "")));
  const last = head.length - 1;
  const isSaid = (index: number) => rows.some((row) => row[index] !== "");
  const kept = head
    .map((_, index) => index)
    .filter((index) => isSaid(index) || (head[index] !== "" && !(table.lastBelow && index === last)));
  const all = hasHeader ? [head, ...rows] : rows;
  const pick = (indexes: number[]) => all.map((row) => indexes.map((index) => row[index]!));
  const isBelow = table.lastBelow === true && isSaid(last) && isTooWide(pick(kept), out.columns);
  const shown = pick(isBelow ? kept.slice(0, -1) : kept);
  const widths = fitWidths(shown, out.columns);
  const lines = shown.map((row) =>
    row
      .map((cell, index) => pad(cutTo(cell, widths[index]!), widths[index]!))
      .join("  ")
      .trimEnd(),
  );
  if (hasHeader) lines[0] = paint(out, "dim", lines[0]!);
  const below = (row: string[]) =>
    row[last] === "" ? "" : `\n${belowIndent}${broken(out, row[last]!, belowIndent.length)}`;
  const whole = isBelow
    ? lines.map((line, index) => line + (index === 0 && hasHeader ? "" : below(all[index]!)))
    : lines;
  return `${whole.join("\n")}\n`;
}

const belowIndent = " ".repeat(6);

function isTooWide(rows: string[][], columns: number | undefined): boolean {
  if (columns === undefined) return false;
  return naturalWidths(rows).reduce((sum, width) => sum + width + 2, -2) > columns;
}

function naturalWidths(rows: string[][]): number[] {
  return rows[0]!.map((_, index) => Math.max(...rows.map((row) => widthOf(row[index]!))));
}

/** Narrower than this a cell says nothing. */
const leastWidth = 12;

/** The widest columns give way first; addresses never, since half of one is none. */
function fitWidths(rows: string[][], columns: number | undefined): number[] {
  const widths = naturalWidths(rows);
  if (columns === undefined) return widths;
  const mayShrink = widths.map((_, index) => !rows.some((row) => row[index]!.includes("://")));
  let tooWide = widths.reduce((sum, width) => sum + width, 2 * (widths.length - 1)) - columns;
  while (tooWide > 0) {
    const candidates = widths.flatMap((width, index) => (mayShrink[index] && width > leastWidth ? [index] : []));
    if (candidates.length === 0) break;
    const widest = candidates.reduce((best, index) => (widths[index]! > widths[best]! ? index : best));
    widths[widest]!--;
    tooWide--;
  }
  return widths;
}

function cutTo(cell: string, width: number): string {
  if (widthOf(cell) <= width) return cell;
  let cut = "";
  for (const { segment } of graphemes.segment(cell)) {
    if (widthOf(cut + segment) > width - 1) break;
    cut += segment;
  }
  return `${cut.trimEnd()}…`;
}

function pad(cell: string, width: number): string {
  return cell + " ".repeat(Math.max(0, width - widthOf(cell)));
}

const graphemes = new Intl.Segmenter();
/** What terminals show two cells wide: emoji, and the East Asian wide and full-width letters (Unicode TR 11). */
const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u;

function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += wide.test(segment) ? 2 : 1;
  return width;
}

// --- Text of others

/**
 * Text that others wrote (commits, apps) may hold codes that move the cursor, write into a terminal's title or turn the
 * direction of writing: only colours stay, and only where colours are wanted.
 */
export function printable(out: Out, text: string): string {
  if (!/[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/.test(text)) return text;
  const clean = text
    .replace(/\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)/g, "")
    .replace(/\x1b\[[0-?]*[ -/]*[@-~]/g, (code) => (out.colours && /^\x1b\[[\d;]*m$/.test(code) ? code : ""))
    .replace(/\x1b(?!\[[\d;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, "");
  return clean.includes("\x1b") ? `${clean}\x1b[0m` : clean;
}

function oneLine(out: Out, text: string): string {
  return printable({ ...out, colours: false }, text).replace(/\s+/g, " ");
}

/** Lines that say what to type name the program as it was called. Other words may stand before its name: `git push zyndra main`. */
export function asCalled(world: Pick<World, "calledAs">, text: string): string {
  if (world.calledAs === "zyndra") return text;
  return text.replace(/(^|[`("]|[.,:;] |\n)zyndra (?=[a-z-])/g, `$1${world.calledAs} `);
}
