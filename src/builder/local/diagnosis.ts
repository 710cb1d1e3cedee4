import type { Cause } from "../../model/cause.ts";
import { clip } from "../../model/names.ts";

/** What is known of a command that failed. */
export type FailedCommand = {
  /** As the log calls it: `npm run build`. */
  label: string;
  /** The exit code, 128 + the signal's number where a signal ended it. */
  exitCode: number;
  /** The newest lines it printed, oldest first. */
  lastLines: string[];
};

const shownLines = 20;

/**
 * Why a command of a build failed, in words. The first finding that fits says what is wrong and what to do; without one the exit code
 * and the likeliest line stand for themselves.
 */
export function diagnose(failed: FailedCommand): Cause {
  const text = failed.lastLines.join("\n");
  for (const find of findings) {
    const found = find(text, failed);
    if (found) return causeOf(failed, found);
  }
  return causeOf(failed, { detail: likeliestLine(failed.lastLines) });
}

type Finding = { headline?: string; detail?: string; hint?: string };
type Find = (text: string, failed: FailedCommand) => Finding | undefined;

function causeOf(failed: FailedCommand, found: Finding): Cause {
  return {
    headline: clip(found.headline ?? `${failed.label} failed (exit ${failed.exitCode})`, 80),
    ...(found.detail ? { detail: clip(found.detail, 300) } : {}),
    ...(found.hint ? { hint: found.hint } : {}),
    ...(failed.lastLines.length > 0 ? { lastLines: failed.lastLines.slice(-shownLines) } : {}),
  };
}

/** In the order of certainty: what the machine lacks, then what the package managers say, then compilers, then Node. */
const findings: Find[] = [
  (text) =>
    matched(text, /ENOSPC|No space left on device|no space left on device/, () => ({
      headline: "the disk of this machine is full",
      hint: "free space on it (old releases and caches lie in the data folder), then push again",
    })),
  (text, { label, exitCode }) =>
    /JavaScript heap out of memory/.test(text)
      ? {
          headline: `${label} ran out of memory`,
          detail: "JavaScript heap out of memory",
          hint: "zyndra config:set APP NODE_OPTIONS=--max-old-space-size=2048 (in MB), then push again",
        }
      : exitCode === 137
        ? {
            headline: `${label} was killed (exit 137)`,
            detail: "SIGKILL: most likely this machine ran out of memory",
            hint: "give the machine more memory or swap, or let the build use less",
          }
        : undefined,
  (text) =>
    matched(
      text,
      /\b(EUSAGE|npm ci.*can only install packages when your package\.json and.*are in sync|ERR_PNPM_(?:\w+_)?OUTDATED_LOCKFILE|Your lockfile needs to be updated|YN0028)/,
      (hit) => {
        const tool = /PNPM/.test(hit[0]) ? "pnpm" : /lockfile needs|YN0028/.test(hit[0]) ? "yarn" : "npm";
        const file = { npm: "package-lock.json", pnpm: "pnpm-lock.yaml", yarn: "yarn.lock" }[tool];
        const detail =
          lineWith(text, /^npm (?:error|ERR!) (?:Missing|Invalid): |\(lockfile: .*manifest: /) ??
          lineWith(text, /specifiers in the lockfile|frozen-lockfile|would have been modified/);
        return {
          headline: `${file} does not match package.json`,
          detail: withoutPrefix(detail),
          hint: `${tool} install, commit ${file}, push again`,
        };
      },
    ),
  (text) =>
    matched(text, /code ERESOLVE/, () => ({
      headline: "npm cannot meet all peer dependencies",
      detail: withoutPrefix(
        lineWith(text, /^npm (?:error|ERR!) peer /) ?? lineWith(text, /ERESOLVE (?:could not|unable)/),
      ),
      hint: "npm install shows the conflict at your desk; solve it there, or commit a file .npmrc with legacy-peer-deps=true",
    })),
  (text) =>
    matched(text, /code EBADENGINE|ERR_PNPM_UNSUPPORTED_ENGINE|The engine "node" is incompatible/, () => ({
      headline: "a package does not take this Node version",
      detail: withoutPrefix(lineWith(text, /Not compatible|Unsupported engine|is incompatible|Required:/)),
      hint: "use a version of the package that does, or take engine-strict out of .npmrc",
    })),
  (text) =>
    matched(text, /(?:code E404|ERR_PNPM_FETCH_404)/, () => ({
      headline: "a package is not in the registry",
      detail: withoutPrefix(lineWith(text, /404 .*(?:Not Found|is not in)|'.*' is not in/)),
      hint: "is its name right? A private package needs its registry and token in .npmrc; the token as a config var",
    })),
  (text) =>
    matched(text, /code E40[13]|ERR_PNPM_FETCH_40[13]/, () => ({
      headline: "the registry refuses a package without credentials",
      detail: withoutPrefix(lineWith(text, /40[13] /)),
      hint: "commit an .npmrc that reads the token from a variable, and set it: zyndra config:set APP NPM_TOKEN=…",
    })),
  (text) =>
    matched(text, /code EINTEGRITY|ERR_PNPM_TARBALL_INTEGRITY/, () => ({
      headline: "a package is not the one that the lock file names",
      detail: withoutPrefix(lineWith(text, /integrity/i)),
      hint: "push with -o skip-cache; if that does not help, make the lock file anew and commit it",
    })),
  (text) =>
    matched(
      text,
      /ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ERR_SOCKET_TIMEOUT|network is unreachable|Temporary failure in name resolution|NewConnectionError|dial tcp .*(?:timeout|no such host|refused)/,
      (hit) =>
        registryCalled(text)
          ? {
              headline: "the package registry cannot be reached",
              detail: lineWith(text, new RegExp(escaped(hit[0]))),
              hint: "is this machine's network up? Then push again: nothing has changed for the app",
            }
          : undefined,
    ),
  (text) =>
    matched(text, /Missing script: "?([^"\n]+)"?|ERR_PNPM_NO_SCRIPT|Command "?([\w:-]+)"? not found/, (hit) => ({
      headline: `package.json has no script ${hit[1] ?? hit[2] ?? "of that name"}`.trim(),
      detail: withoutPrefix(hit[0]),
      hint: "add it to the scripts in package.json, commit, push again",
    })),
  (text) =>
    matched(
      text,
      /No matching distribution found for ([^\s]+)|Could not find a version that satisfies the requirement ([^\s]+)/,
      (hit) => ({
        headline: `pip finds no ${hit[1] ?? hit[2]} for this Python`,
        detail: hit[0],
        hint: "is the name right, and is there such a version for the Python that the plan names?",
      }),
    ),
  (text) =>
    matched(text, /ensurepip is not (?:available|installed)|No module named (?:venv|ensurepip)/, () => ({
      headline: "this machine's Python cannot make virtual environments",
      detail: "python3 -m venv fails: its package venv is not installed",
      hint: "on Debian and Ubuntu: apt install python3-venv",
    })),
  (text) =>
    matched(
      text,
      /ResolutionImpossible|Cannot install .* because these package versions have conflicting dependencies/,
      () => ({
        headline: "pip cannot meet all requirements together",
        detail: lineWith(text, /conflicting dependencies|Cannot install/),
        hint: "loosen one of the versions in requirements.txt",
      }),
    ),
  (text) =>
    matched(
      text,
      /^(?:\.\/)?(\S+\.(?:[cm]?[jt]sx?|vue|svelte))[(:](\d+)[,:](\d+)\)?\s*[-:]?\s*error (TS\d+: .*)$/m,
      (hit) => ({
        detail: `${hit[1]}:${hit[2]} ${hit[4]}`,
        hint: `mend ${hit[1]} line ${hit[2]}, commit, push again`,
      }),
    ),
  (text) =>
    matched(
      text,
      /(?:[Ff]ailed to resolve import|Could not resolve|Can't resolve|Module not found: Error: Can't resolve) ["']([^"'\n]+)["'](?: (?:from|in) ["']([^"'\n]+)["'])?/,
      (hit) => missingModule(hit[1]!, hit[0]),
    ),
  (text) => matched(text, /Cannot find (?:module|package) '([^'\n]+)'/, (hit) => missingModule(hit[1]!, hit[0])),
  (text) =>
    matched(text, /ModuleNotFoundError: No module named '([^'\n]+)'/, (hit) => ({
      detail: hit[0],
      hint: `${hit[1]!.split(".")[0]} is used but not installed: add it to requirements.txt, commit, push again`,
    })),
  (text, failed) => {
    if (!failed.label.startsWith("go ")) return undefined;
    const missing = /no required module provides package ([^\s;:]+)|missing go\.sum entry for/.exec(text);
    if (missing)
      return {
        headline: "go.mod and go.sum do not name all that is used",
        detail: missing[0],
        hint: "go mod tidy, commit go.mod and go.sum, push again",
      };
    return matched(text, /^(?:\.\/|vet: )?(\S+\.go):(\d+)(?::\d+)?: (.*)$/m, (hit) => ({
      detail: `${hit[1]}:${hit[2]} ${hit[3]}`,
      hint: `mend ${hit[1]} line ${hit[2]}, commit, push again`,
    }));
  },
  (text) =>
    matched(
      text,
      /(?:sh: (?:\d+: |line \d+: )?|command not found: )([\w./-]+)(?:: (?:command )?not found)?$/m,
      (hit, all) =>
        /not found/.test(all)
          ? {
              detail: `${hit[1]}: not found`,
              hint: `${hit[1]} is called but not installed: add the package that brings it to the dependencies, commit, push again`,
            }
          : undefined,
    ),
  (text) =>
    matched(text, /^(?:\s*)((?:Syntax|Type|Reference|Range)Error: .*)$/m, (hit) => {
      const place = /^(?:file:\/\/)?(\S+?\.[cm]?[jt]sx?):(\d+)$/m.exec(text);
      return { detail: place ? `${hit[1]} (${place[1]!.split("/").at(-1)}:${place[2]})` : hit[1] };
    }),
];

function matched(
  text: string,
  pattern: RegExp,
  tell: (hit: RegExpExecArray, line: string) => Finding | undefined,
): Finding | undefined {
  const hit = pattern.exec(text);
  if (!hit) return undefined;
  const start = text.lastIndexOf("\n", hit.index) + 1;
  const end = text.indexOf("\n", hit.index);
  return tell(hit, text.slice(start, end === -1 ? undefined : end));
}

function missingModule(specifier: string, sentence: string): Finding {
  if (/^[./~@#]\/|^\.|^\//.test(specifier)) {
    return {
      detail: sentence,
      hint: "no such file in the commit: is it added to git, and is its name written the same way, capitals too?",
    };
  }
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  return { detail: sentence, hint: `it is used but not in package.json: npm install ${name}, commit, push again` };
}

function registryCalled(text: string): boolean {
  return /npm (?:error|ERR!)|ERR_PNPM|YN00|registry|pip|urllib3|HTTPSConnectionPool|go: |dial tcp/.test(text);
}

function lineWith(text: string, pattern: RegExp): string | undefined {
  return text
    .split("\n")
    .find((line) => pattern.test(line))
    ?.trim();
}

function withoutPrefix(line: string | undefined): string | undefined {
  return line?.replace(/^(?:npm (?:error|ERR!)|error|ERR_PNPM_\w+|➤ YN\d+: │|-)\s+/, "").trim();
}

/** The line a reader would look at first: the last that speaks of an error, else the last one at all. */
function likeliestLine(lines: string[]): string | undefined {
  const speaking = lines.filter(
    (line) =>
      /\b(error|failed|fatal|exception|cannot|unable)\b/i.test(line) &&
      !/^\s*at /.test(line) &&
      !/^npm (?:error|ERR!) (?:A complete log|Lifecycle script|workspace|location|code|path|command)/.test(line),
  );
  return (speaking.at(-1) ?? lines.at(-1))?.trim();
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
