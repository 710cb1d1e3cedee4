import { z } from "zod";

/** The one rule for an app's name: it becomes a host name, a git path and a folder-free key (RFC 1123 label, 30 at most). */
export const appNamePattern = /^[a-z](?:[a-z0-9-]{0,28}[a-z0-9])?$/;

/** Names that the platform's own addresses use, or that would mislead. */
const reservedNames = new Set(["api", "admin", "git", "localhost", "setup", "status", "www", "zyndra"]);

export const appNameRule =
  "an app's name has 1 to 30 lower-case letters, digits and hyphens, starts with a letter and does not end with a hyphen";

export const AppName = z
  .string({ error: "what is the app to be called?" })
  .regex(appNamePattern, { error: (issue) => `"${clip(String(issue.input))}" is not a good name: ${appNameRule}` })
  .refine((name) => !reservedNames.has(name), {
    error: (issue) => `"${String(issue.input)}" is a name that Zyndra keeps for itself: choose another`,
  });

/** Shortens what a user typed before it is shown back. */
export function clip(text: string, length = 60): string {
  // Control characters, and those that change the direction of what follows, would garble a terminal.
  const clean = text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "?");
  // A cut may fall into a pair of code units; half a character is none, and PostgreSQL takes no such text.
  return (clean.length <= length ? clean : `${clean.slice(0, length - 1)}…`).toWellFormed();
}

/** The nearest of `words` to `word`, where it is near enough to be what was meant; else undefined. */
export function nearest(word: string, words: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of words) {
    const distance = editDistance(word, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** What is said of a name that no app has, with the nearest of those there are. */
export function noAppCalled(name: string, names: Iterable<string>): string {
  const near = nearest(name, names);
  return `no app is called "${clip(name)}"${near === undefined ? "" : `. Did you mean ${near}?`}`;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function editDistance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)];
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      row[j] = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + same);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1);
      }
    }
    rows.push(row);
  }
  return rows[from.length]![to.length]!;
}
