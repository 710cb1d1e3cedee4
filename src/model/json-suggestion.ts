/** What to do where a text stops being JSON. */
export function jsonSuggestion(text: string, offset: number): string {
  const before = text.slice(0, offset).trimEnd();
  if (text.trim() === "") return "write {} or remove the file";
  if (/[\]}]/.test(text[offset] ?? "") && before.endsWith(",")) return "remove the comma before it";
  if (text[offset] === "/" || text[offset] === "#") return "JSON has no comments: remove it";
  if (text[offset] === "'") return "use double quotes";
  if (/["\]}\w]$/.test(before) && /["{[]/.test(text[offset] ?? "")) return "a comma is missing before it";
  return "an editor that knows JSON shows the place";
}
