/** A value that must not be seen, and the name that stands in its place. */
export type Secret = { name: string; value: string };

/** Hides secrets in a text, or in a stream of chunks that may cut a secret anywhere. */
export type Masker = {
  /** Hides secrets in a text that is complete in itself, such as a line. Keeps nothing. */
  mask(text: string): string;
  /** Takes the next chunk of a stream; answers what can be shown by now. Keeps back only what may be the beginning of a secret. */
  push(chunk: string): string;
  /** The end of the stream: answers what was kept back. */
  flush(): string;
};

const minLength = 8;

/** Values that are no secrets though they are long enough; hiding them would make logs unreadable. Below 8 characters all are shown. */
const plainWords = new Set([
  "127.0.0.1",
  "development",
  "disabled",
  "en_us.utf-8",
  "localhost",
  "postgres",
  "postgresql",
  "production",
  "undefined",
]);

/** Whether a value is hidden wherever it appears. `config:set` tells of those that are not. */
export function isMaskable(value: string): boolean {
  const trimmed = value.trim();
  return trimmed.length >= minLength && !plainWords.has(trimmed.toLowerCase());
}

/**
 * Makes a masker that puts `[NAME hidden]` in place of every value, as it is and in the forms in which programs print it:
 * base64 at any offset, URL-encoded, JSON-escaped, shell-quoted, and line by line.
 */
export function createMasker(secrets: Secret[]): Masker {
  const patterns = patternsOf(secrets);
  if (patterns.length === 0) return { mask: (text) => text, push: (chunk) => chunk, flush: () => "" };
  const search = createSearch(patterns);
  let kept = "";
  let hiddenLength = 0;

  /** Shows the kept text up to `end`, and keeps the rest. */
  const show = (end: number): string => {
    if (end === 0) return "";
    const regions = regionsIn(search, kept, hiddenLength);
    let shown = "";
    let at = 0;
    hiddenLength = 0;
    for (const region of regions) {
      if (region.start >= end) break;
      shown += kept.slice(at, region.start);
      if (region.name !== undefined) shown += `[${region.name} hidden]`;
      at = Math.min(region.end, end);
      hiddenLength = Math.max(0, region.end - end); // The rest of what was announced just now is hidden, whatever follows.
    }
    shown += kept.slice(at, end);
    kept = kept.slice(end);
    return shown;
  };

  return {
    mask: (text) => {
      let shown = "";
      let at = 0;
      for (const region of regionsIn(search, text, 0)) {
        shown += `${text.slice(at, region.start)}[${region.name} hidden]`;
        at = region.end;
      }
      return shown + text.slice(at);
    },
    push: (chunk) => {
      kept += chunk;
      return show(search.findBeginning(kept));
    },
    flush: () => show(kept.length),
  };
}

/** A stretch that is hidden under one name; without a name where that was shown with an earlier chunk. */
type Region = { start: number; end: number; name: string | undefined };

/** Secrets that overlap make one region, or the rest of the second would be seen. */
function regionsIn(search: Search, text: string, hiddenLength: number): Region[] {
  const regions: Region[] = hiddenLength > 0 ? [{ start: 0, end: hiddenLength, name: undefined }] : [];
  search.forEachMatch(text, (start, pattern) => {
    const end = start + pattern.text.length;
    const last = regions.at(-1);
    if (last !== undefined && start < last.end) last.end = Math.max(last.end, end);
    else regions.push({ start, end, name: pattern.name });
  });
  return regions;
}

// ---- the search

type Pattern = { text: string; name: string };

type Search = {
  /** Calls back for every position, in order, where a pattern stands; with the longest of them. */
  forEachMatch(text: string, found: (start: number, pattern: Pattern) => void): void;
  /** Where the longest ending of a text starts that may be the beginning of a pattern; the text's length if none may. */
  findBeginning(text: string): number;
};

const tableSize = 1 << 16;

/**
 * The search of Wu and Manber (TR 94-17, "A fast algorithm for multi-pattern searching", 1994): a table tells for the three
 * characters under the end of a window how far it can move on without missing a pattern. With patterns of at least eight
 * characters most of a text is never looked at, and the number of patterns hardly matters.
 */
function createSearch(patterns: Pattern[]): Search {
  const windowLength = Math.min(...patterns.map(({ text }) => text.length));
  const maxLength = Math.max(...patterns.map(({ text }) => text.length));
  const longestFirst = patterns.toSorted((a, b) => b.text.length - a.text.length);
  const steps = new Uint8Array(tableSize).fill(Math.min(windowLength - 2, 255));
  for (const { text } of patterns) {
    for (let last = 2; last < windowLength; last++) {
      const at = blockBefore(text, last);
      steps[at] = Math.min(steps[at]!, windowLength - 1 - last);
    }
  }
  const byWindowEnd = Map.groupBy(longestFirst, ({ text }) => blockBefore(text, windowLength - 1));
  const byBeginning = Map.groupBy(patterns, ({ text }) => blockBefore(text, 2));
  const isBeginning = new Uint8Array(tableSize); // Asked for many characters, so it must be quicker than the map.
  for (const block of byBeginning.keys()) isBeginning[block] = 1;
  const isInside = new Uint8Array(tableSize);
  for (const { text } of patterns) {
    for (let last = 2; last < text.length; last++) isInside[blockBefore(text, last)] = 1;
  }
  const shortBeginnings = new Set(patterns.flatMap(({ text }) => [text.slice(0, 1), text.slice(0, 2)]));

  const mayBegin = (text: string, start: number): boolean => {
    const rest = text.length - start;
    if (rest < 3) return shortBeginnings.has(text.slice(start));
    const block = blockBefore(text, start + 2);
    if (isBeginning[block] === 0) return false;
    const ending = text.slice(start);
    return byBeginning.get(block)!.some((pattern) => pattern.text.length > rest && pattern.text.startsWith(ending));
  };

  return {
    forEachMatch: (text, found) => {
      let last = windowLength - 1;
      while (last < text.length) {
        const step = steps[blockBefore(text, last)]!;
        if (step === 0) {
          const start = last - windowLength + 1;
          const candidates = byWindowEnd.get(blockBefore(text, last));
          const match = candidates?.find((pattern) => text.startsWith(pattern.text, start));
          if (match) found(start, match);
        }
        last += Math.max(step, 1);
      }
    },
    findBeginning: (text) => {
      // Most lines end in what stands in no pattern, so that all but the last two characters need no look.
      const endsInside = text.length > 2 && isInside[blockBefore(text, text.length - 1)] === 1;
      const longest = endsInside ? maxLength - 1 : 2;
      for (let start = Math.max(0, text.length - longest); start < text.length; start++) {
        if (mayBegin(text, start)) return start;
      }
      return text.length;
    },
  };
}

/** A number for the three characters that end at `last`. */
function blockBefore(text: string, last: number): number {
  const mixed = (text.charCodeAt(last - 2) * 0x9e5) ^ (text.charCodeAt(last - 1) * 0x47) ^ text.charCodeAt(last);
  return mixed & (tableSize - 1);
}

// ---- the forms in which a value is printed

function patternsOf(secrets: Secret[]): Pattern[] {
  const named = new Map<string, string>();
  for (const { name, value } of secrets) {
    if (!isMaskable(value)) continue;
    for (const form of formsOf(value)) if (!named.has(form)) named.set(form, name);
  }
  return [...named].map(([text, name]) => ({ text, name }));
}

function formsOf(value: string): Set<string> {
  const texts = new Set([value, value.trim(), ...linesOf(value), ...passwordIn(value)]);
  const forms = new Set<string>();
  for (const text of texts) {
    for (const form of [text, ...urlForms(text), ...jsonForms(text), ...base64Forms(text)]) forms.add(form);
    forms.add(text.replaceAll("'", `'\\''`)); // As a shell that traces its commands quotes it.
  }
  for (const line of wrappedBase64(value)) forms.add(line);
  return new Set([...forms].filter((form) => form.length >= minLength));
}

/** A key of several lines is printed line by line. What every such file begins and ends with is no secret. */
function linesOf(value: string): string[] {
  if (!/[\r\n]/.test(value)) return [];
  const lines = value.split(/[\r\n]+/).map((line) => line.trim());
  return lines.filter((line) => isMaskable(line) && !/^-----(BEGIN|END) [A-Z0-9 ]+-----$/.test(line));
}

/** Programs print the parts of a connection URL, too. */
function passwordIn(value: string): string[] {
  const [, raw] = /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s:@]*:([^/?#\s]+)@/i.exec(value) ?? [];
  if (raw === undefined) return [];
  return [raw, decoded(raw)].filter((password) => isMaskable(password));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Encoders differ in what they leave as it is, how they write a space, and in the case of their digits. */
function urlForms(text: string): string[] {
  const wellFormed = text.toWellFormed();
  const encoded = encodeURIComponent(wellFormed);
  const strict = encoded.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  const asForm = new URLSearchParams([["", wellFormed]]).toString().slice(1);
  const forms = [encoded, strict, asForm, encodeURI(wellFormed)].flatMap((form) => [form, form.replaceAll("%2F", "/")]);
  return forms.flatMap((form) => [form, form.replace(/%[0-9A-F]{2}/g, (octet) => octet.toLowerCase())]);
}

/** As it stands inside a JSON string, with or without escaped slashes or other alphabets, and in a JSON text inside another. */
function jsonForms(text: string): string[] {
  const inside = (json: string) => JSON.stringify(json).slice(1, -1);
  const once = inside(text);
  const escapes = (digit: "x" | "X") => (character: string) => {
    const code = character.charCodeAt(0).toString(16).padStart(4, "0");
    return `\\u${digit === "X" ? code.toUpperCase() : code}`;
  };
  const ascii = [once.replace(/[^\0-\x7f]/g, escapes("x")), once.replace(/[^\0-\x7f]/g, escapes("X"))];
  return [once, once.replaceAll("/", "\\/"), ...ascii, inside(once)];
}

/**
 * What base64 makes of the value wherever it stands in a longer text: the bits before it shift it in one of three ways. The
 * characters at both ends that also hold bits of the neighbours are left out.
 */
function base64Forms(text: string): string[] {
  const bytes = Buffer.from(text, "utf8");
  return [0, 1, 2].flatMap((before) => {
    const encoded = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64");
    const inner = encoded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    return [inner, inner.replaceAll("+", "-").replaceAll("/", "_")];
  });
}

/** The lines that `base64` (76 characters) and `openssl` (64) make of a long value. */
function wrappedBase64(value: string): string[] {
  const bytes = Buffer.from(value, "utf8");
  const encoded = bytes.toString("base64").slice(0, Math.floor((bytes.length * 8) / 6));
  return [76, 64].flatMap((width) =>
    encoded.length > width ? (encoded.match(new RegExp(`.{1,${width}}`, "g")) ?? []) : [],
  );
}
