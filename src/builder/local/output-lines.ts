import { StringDecoder } from "node:string_decoder";

/** Longer lines are cut: minified code in an error message is no help to anyone. */
const maxLineLength = 1_000;
/** How much of a line that does not end is kept in memory. */
const maxPendingLength = 64 * 1024;

/**
 * Splits what a tool prints at its newlines. The lines come raw; `plainText` makes them fit to be read, which takes longer than
 * splitting and is not worth it for lines that nobody will see. Memory stays bounded whatever is printed.
 */
export class OutputLines {
  readonly #decoder = new StringDecoder("utf8");
  readonly #onLine: (text: string) => void;
  #pending = "";

  constructor(onLine: (text: string) => void) {
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    const parts = (this.#pending + this.#decoder.write(chunk)).split("\n");
    this.#pending = parts.pop()!;
    for (const part of parts) this.#onLine(part);
    if (this.#pending.length > maxPendingLength) this.#shortenPending();
  }

  /** The last line may come without a newline. */
  end(): void {
    const last = this.#pending + this.#decoder.end();
    this.#pending = "";
    if (last !== "") this.#onLine(last);
  }

  /** A line without end is a progress bar (only its newest state counts) or noise (only its beginning does). */
  #shortenPending(): void {
    const newest = this.#pending.lastIndexOf("\r", this.#pending.length - 2);
    this.#pending = newest === -1 ? this.#pending.slice(0, 2 * maxLineLength) : this.#pending.slice(newest);
    if (this.#pending.length > maxPendingLength) this.#pending = this.#pending.slice(0, 2 * maxLineLength);
  }
}

/**
 * One line as a reader without a terminal should see it: what a carriage return overwrites left out, escape sequences and control
 * characters removed, a long line cut.
 */
export function plainText(line: string): string {
  const withoutEscapes = line.replace(escapeSequence, "");
  const states = withoutEscapes.split("\r").filter((state) => state.trim() !== "");
  const clean = (states.at(-1) ?? "")
    .replaceAll("\t", "    ")
    .replace(/[\x00-\x1f\x7f-\x9f]/g, "")
    .trimEnd();
  return clean.length <= maxLineLength
    ? clean
    : `${clean.slice(0, maxLineLength)}… (${clean.length - maxLineLength} more characters)`;
}

/** ECMA-48: CSI sequences (colours, cursor), OSC and other strings up to their end (titles, links), two-character escapes. */
const escapeSequence =
  /\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]/g;

/** Keeps the newest lines of a command, for a failure's cause. */
export class LastLines {
  readonly #lines: string[] = [];
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(rawLine: string): void {
    this.#lines.push(rawLine.length > 4 * maxLineLength ? plainText(rawLine) : rawLine);
    if (this.#lines.length > 2 * this.#capacity) this.#lines.splice(0, this.#capacity);
  }

  /** As they may be read, blank ones left out. */
  all(): string[] {
    return this.#lines
      .map(plainText)
      .filter((line) => line !== "")
      .slice(-this.#capacity);
  }
}
