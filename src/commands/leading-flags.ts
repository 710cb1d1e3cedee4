/** Where the next word stands that is neither a flag nor the value of one that holds for all commands. */
export function nextPlain(words: readonly string[], from: number): number {
  let at = from;
  while (/^-[^-]|^--./.test(words[at] ?? "")) at += /^(-a|--app|--server)$/.test(words[at]!) ? 2 : 1;
  return at;
}

/** Flags that stand before the command, `-a shop ps`, and the words from the command on. */
export function splitLeading(words: readonly string[]): { leading: string[]; words: string[] } {
  const command = nextPlain(words, 0);
  // Flags alone are no line: the first of them is what is complained about.
  if (command >= words.length) return { leading: [], words: [...words] };
  return { leading: words.slice(0, command), words: words.slice(command) };
}
