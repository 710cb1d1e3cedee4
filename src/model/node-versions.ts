/**
 * Whether a Node version meets a range as package.json's `engines.node` writes it: `>=20`, `^22.3`, `20.x || 22.x`,
 * `18 - 22`, `*` (https://docs.npmjs.com/cli/configuring-npm/package-json#engines, https://semver.org/#spec-item-11).
 * Answers undefined for a text that is no range. Pre-releases are not told apart: Node's `engines` do not use them.
 */
export function nodeVersionMeets(version: string, range: string): boolean | undefined {
  const actual = numbersOf(version);
  if (actual?.length !== 3) return undefined;
  let met = false;
  for (const alternative of range.split("||")) {
    const bounds = boundsOf(alternative.trim());
    if (!bounds) return undefined;
    if (bounds.every((bound) => holds(actual, bound))) met = true;
  }
  return met;
}

type Bound = { from?: number[]; below?: number[] };

function boundsOf(comparators: string): Bound[] | undefined {
  const hyphen = /^(\S+)\s+-\s+(\S+)$/.exec(comparators);
  if (hyphen) {
    const from = numbersOf(hyphen[1]!);
    const to = numbersOf(hyphen[2]!);
    return from && to ? [{ from: filled(from), below: after(to) }] : undefined;
  }
  const bounds: Bound[] = [];
  const words = comparators.replace(/(<=|>=|<|>|=|\^|~>?)\s+/g, "$1").split(/[\s,]+/);
  for (const word of words.filter((part) => part !== "")) {
    const bound = boundOf(word);
    if (!bound) return undefined;
    bounds.push(bound);
  }
  return bounds;
}

function boundOf(word: string): Bound | undefined {
  const match = /^(<=|>=|<|>|=|\^|~>?)?(.+)$/.exec(word);
  if (!match) return undefined;
  const numbers = numbersOf(match[2]!);
  if (!numbers) return undefined;
  switch (match[1]) {
    case ">=":
      return { from: filled(numbers) };
    case ">":
      return { from: numbers.length === 0 ? [Number.POSITIVE_INFINITY, 0, 0] : after(numbers) };
    case "<":
      return { below: filled(numbers) };
    case "<=":
      return { below: after(numbers) };
    case "^":
      return { from: filled(numbers), below: after(numbers.slice(0, caretWidth(numbers))) };
    case "~":
    case "~>":
      return { from: filled(numbers), below: after(numbers.slice(0, 2)) };
    default:
      return { from: filled(numbers), below: after(numbers) };
  }
}

/** How many of the numbers a caret keeps: up to the first that is not zero. */
function caretWidth(numbers: number[]): number {
  const first = numbers.findIndex((part) => part !== 0);
  return first === -1 ? numbers.length : first + 1;
}

/** `v20.1.x` → [20, 1]; `*` → []; a text that is no version → undefined. */
function numbersOf(text: string): number[] | undefined {
  const match = /^[v=]*(\*|[xX]|\d+)(?:\.(\*|[xX]|\d+))?(?:\.(\*|[xX]|\d+))?(?:[-+][\w.+-]*)?$/.exec(text);
  if (!match) return undefined;
  const numbers: number[] = [];
  for (const part of match.slice(1)) {
    if (part === undefined || !/^\d+$/.test(part)) break;
    numbers.push(Number(part));
  }
  return numbers;
}

function filled(numbers: number[]): number[] {
  return [numbers[0] ?? 0, numbers[1] ?? 0, numbers[2] ?? 0];
}

/** The first version that is not covered any more: after 20.1 comes 20.2.0, after nothing (`*`) comes nothing. */
function after(numbers: number[]): number[] {
  if (numbers.length === 0) return [Number.POSITIVE_INFINITY, 0, 0];
  return filled([...numbers.slice(0, -1), numbers.at(-1)! + 1]);
}

function holds(version: number[], bound: Bound): boolean {
  if (bound.from && compare(version, bound.from) < 0) return false;
  return !bound.below || compare(version, bound.below) < 0;
}

function compare(one: number[], other: number[]): number {
  for (let i = 0; i < 3; i++) {
    if (one[i] !== other[i]) return one[i]! < other[i]! ? -1 : 1;
  }
  return 0;
}
