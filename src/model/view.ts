/** What a command answers with, for people: no colours, no chat blocks; each door draws it its own way. */
export type View = {
  /** One or more sentences. */
  text?: string;
  /** Facts for a program to read: written to a pipe or file exactly as they are. */
  raw?: string;
  fields?: { name: string; value: string }[];
  table?: Table;
  /** What to type next. */
  hint?: string;
  /** What went differently from what one may expect, e.g. a value too short to be masked. */
  warnings?: string[];
};

export type Table = {
  columns: string[];
  rows: string[][];
  /** Shown instead of an empty table. */
  none: string;
  /** Where there is no room for all, the last column comes whole, on lines of its own below its row. */
  lastBelow?: true;
};
