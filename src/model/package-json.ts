import type { Cause } from "./cause.ts";
import { jsonSuggestion } from "./json-suggestion.ts";

/** What the builder reads of a package.json; everything else in it is npm's business. */
export type PackageJson = {
  name?: string;
  version?: string;
  main?: string;
  packageManager?: string;
  enginesNode?: string;
  scripts: Record<string, string>;
  hasDependencies: boolean;
  hasDevDependencies: boolean;
  hasWorkspaces: boolean;
};

export type ParsedPackageJson = { ok: true; packageJson: PackageJson } | { ok: false; cause: Cause };

/** Reads a package.json as far as a build needs it. What is wrong is told with its line. */
export function parsePackageJson(text: string): ParsedPackageJson {
  const clean = text.replace(/^\uFEFF/, "");
  let json: unknown;
  try {
    json = JSON.parse(clean);
  } catch {
    return brokenJson(clean);
  }
  if (!isObject(json)) return broken(1, "it is no JSON object", 'the smallest one is {"private": true}');
  const scripts = json.scripts ?? {};
  if (!isObject(scripts)) return broken(lineOfKey(clean, "scripts"), '"scripts" is no object', scriptsExample);
  for (const [name, command] of Object.entries(scripts)) {
    if (typeof command === "string") continue;
    return broken(lineOfKey(clean, name), `the script "${name}" is no text`, scriptsExample);
  }
  return { ok: true, packageJson: packageJsonOf(json, scripts as Record<string, string>) };
}

const scriptsExample = 'scripts look like this: "scripts": {"start": "node server.js"}';

function packageJsonOf(json: Record<string, unknown>, scripts: Record<string, string>): PackageJson {
  const engines = isObject(json.engines) ? json.engines : {};
  return {
    name: textOf(json.name),
    version: textOf(json.version),
    main: textOf(json.main),
    packageManager: textOf(json.packageManager),
    enginesNode: textOf(engines.node),
    scripts,
    hasDependencies:
      isFilled(json.dependencies) || isFilled(json.optionalDependencies) || isFilled(json.peerDependencies),
    hasDevDependencies: isFilled(json.devDependencies),
    hasWorkspaces: isFilled(json.workspaces),
  };
}

function brokenJson(text: string): ParsedPackageJson {
  const offset = Math.min(jsonErrorOffset(text), text.trimEnd().length);
  const line = text.slice(0, offset).split("\n").length;
  const shown = text.split("\n")[line - 1]!.trim().slice(0, 80);
  if (/^(<{7}|={7}|>{7})/m.test(text)) {
    return broken(`${line}`, "it holds the marks of an unfinished merge", "solve the merge, commit, push again");
  }
  const fact =
    text.trim() === "" ? "it is empty" : offset >= text.trimEnd().length ? endsEarly : `it is no JSON at: ${shown}`;
  const column = offset - (text.lastIndexOf("\n", offset - 1) + 1) + 1;
  return broken(`${line}:${column}`, fact, `${jsonSuggestion(text, offset)}; then commit, push again`);
}

const endsEarly = "it ends too early: a bracket is not closed";

function broken(place: string | number, fact: string, hint: string): ParsedPackageJson {
  return {
    ok: false,
    cause: { headline: "package.json has a fault", detail: `package.json:${place}: ${fact}`, hint },
  };
}

function lineOfKey(text: string, key: string): number {
  const offset = text.indexOf(JSON.stringify(key));
  return offset === -1 ? 1 : text.slice(0, offset).split("\n").length;
}

/**
 * Where a text stops being JSON (RFC 8259). The engine's own message names the place for some mistakes only, so
 * the text is read once more, by its tokens.
 */
export function jsonErrorOffset(text: string): number {
  const token =
    /[ \t\r\n]*(?:([{}[\],:])|("(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?))/y;
  const open: ("{" | "[")[] = [];
  let expected: "value" | "value or end" | "key" | "key or end" | "colon" | "comma or end" | "nothing" = "value";
  for (;;) {
    const start = token.lastIndex;
    const match = token.exec(text);
    if (!match) return start + /^[ \t\r\n]*/.exec(text.slice(start))![0].length;
    const at = token.lastIndex - match[0].trimStart().length;
    const [, mark, string] = match;
    if (mark === ":" && expected === "colon") expected = "value";
    else if (mark === "," && expected === "comma or end") expected = open.at(-1) === "{" ? "key" : "value";
    else if (string !== undefined && expected.startsWith("key")) expected = "colon";
    else if ((mark === "{" || mark === "[") && expected.startsWith("value")) {
      open.push(mark);
      expected = mark === "{" ? "key or end" : "value or end";
    } else if (
      (mark === "}" || mark === "]") &&
      expected.endsWith("or end") &&
      open.at(-1) === (mark === "}" ? "{" : "[")
    ) {
      open.pop();
      expected = open.length === 0 ? "nothing" : "comma or end";
    } else if (mark === undefined && expected.startsWith("value"))
      expected = open.length === 0 ? "nothing" : "comma or end";
    else return at;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isFilled(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
