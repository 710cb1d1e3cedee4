import type { UserError } from "../../errors.ts";

const longestLine = 2_000;

/**
 * A line as a pusher's terminal may have it: valid text, no control sequence but colours (git 2.55 shows all others as
 * they are), of what a progress bar overwrote only the last state.
 */
export function cleanLine(text: string): string {
  // By hand: /[\r\n]+$/ tries each of them in a long text as the first one of its end.
  let end = text.length;
  while (text[end - 1] === "\r" || text[end - 1] === "\n") end--;
  const clean = text
    .slice(text.lastIndexOf("\r", end - 1) + 1, end)
    .toWellFormed()
    .replace(/\u0000/g, "")
    .replace(/\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?/g, "")
    .replace(/\x1b\[([0-9;]*)m/g, "\u0000$1m")
    .replace(/\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[@-_]?/g, "")
    .replace(/[\x01-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, "")
    .replace(/\u0000([0-9;]*)m/g, "\x1b[$1m")
    .replace(/\u0000/g, "");
  return clean.length <= longestLine ? clean : `${clean.slice(0, longestLine - 1).toWellFormed()}…`;
}

/** A reason as it stands in the parentheses of `! [remote rejected] main -> main (…)`. */
export function cleanReason(text: string): string {
  const lines = text.split(/[\r\n]+/).map((line) => line.trim());
  const clean = cleanLine(lines.join(" ").replace(/\x1b\[[0-9;]*m/g, "")).trim();
  return clean.length <= 300 ? clean : `${clean.slice(0, 299).toWellFormed()}…`;
}

/** A refusal as lines: git colours the words in front of them. */
export function refusalLines(error: UserError): string[] {
  return [`error: ${error.message}`, ...(error.hint ? [`hint: ${error.hint}`] : [])].map(cleanLine);
}

/** A refusal in one line, for the places that have no room for two. */
export function refusalSentence(error: UserError): string {
  if (!error.hint) return error.message;
  const end = /[.!?]$/.test(error.message) ? "" : ".";
  return `${error.message}${end} ${error.hint}`;
}
