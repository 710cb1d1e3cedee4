import type { AppLogLine } from "./draw.ts";

/** The last lines that were shown, so that a log which is read again from some lines before goes on where it was. */
export type LineMemory = {
  /** Whether a line is to be shown; it is remembered then. */
  isNew(line: AppLogLine): boolean;
  /** From now on lines come again that may have been shown. */
  startAgain(): void;
  /** How many lines to ask for now: as many as were wanted first, later so many that they reach back to what was shown. */
  reachBack(wanted: number): number;
};

const rememberedLines = 2_000;
/** As many as the server sends at most. */
const askedLines = 10_000;

export function openMemory(): LineMemory {
  /** Lines as shown, oldest first. */
  const shown: { key: string; atMs: number }[] = [];
  /** How often each remembered line may still come again. */
  let expected = new Map<string, number>();
  /** While what comes again has not reached the first remembered line; holds the moment of the newest. */
  let before: number | undefined;

  return {
    isNew(line) {
      const key = `${line.at} ${line.process} ${line.text}`;
      const atMs = Date.parse(line.at);
      const times = expected.get(key) ?? 0;
      if (times > 0) {
        expected.set(key, times - 1);
        before = undefined;
        return false;
      }
      // It stands before all that is remembered: it was shown long ago, or not asked for.
      if (before !== undefined && atMs <= before) return false;
      before = undefined;
      shown.push({ key, atMs });
      if (shown.length > rememberedLines) shown.shift();
      return true;
    },
    startAgain() {
      expected = new Map();
      for (const { key } of shown) expected.set(key, (expected.get(key) ?? 0) + 1);
      before = shown.length === 0 ? undefined : Math.max(...shown.map(({ atMs }) => atMs));
    },
    reachBack: (wanted) => (shown.length === 0 ? wanted : askedLines),
  };
}
