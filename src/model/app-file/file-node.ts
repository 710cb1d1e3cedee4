import type { Place } from "./file-fault.ts";

/** What stands in a file, with its place. Aliases and merge keys are resolved: an anchored part keeps the place of its anchor. */
export type FileNode = { place: Place; text: string } & (
  | { kind: "map"; entries: FileEntry[] }
  | { kind: "list"; items: FileNode[] }
  | { kind: "scalar"; value: string | number | boolean | null }
);

export type FileEntry = { key: string; keyPlace: Place; value: FileNode };

/** Answers the line and column of offsets into a text. */
export function placesIn(text: string): (offset: number) => Place {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (starts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - starts[low]! + 1 };
  };
}

/** What a node is, as it stands in "…, not a list". */
export function describeNode(node: FileNode): string {
  if (node.kind !== "scalar") return node.kind === "map" ? "a block of keys" : "a list";
  if (node.value === null) return "nothing";
  return typeof node.value === "string" ? JSON.stringify(node.value) : node.text;
}
