import type { Cause } from "../../model/cause.ts";

/** From what a process left behind to why it failed, in words. Pure: facts in, sentences out. */
export type CrashFacts = {
  appName: string;
  /** `web` */
  type: string;
  exit: { code: number } | { signal: number };
  /** Its last lines of output, oldest first. */
  lines: string[];
  /** The slug's folder: taken off the paths that are shown. */
  slugDir: string;
  /** The port it was given, if one. */
  port?: number;
};

/** Why a process ended, for a process that should not have. */
export function diagnoseCrash(facts: CrashFacts): Cause {
  const lines = facts.lines.map(withoutColours);
  const finding = findingOf(lines, facts) ?? unknownFinding(lines, facts);
  const headline = finding.headline ?? `${facts.type} crashes at start`;
  return cause(headline, finding.detail, finding.hint, facts.lines);
}

/** `exit 1, Cannot find module 'express' (server.js:3)`: the same in one line, for a process that is down. */
export function crashReason(facts: CrashFacts): string {
  const lines = facts.lines.map(withoutColours);
  const detail = (findingOf(lines, facts) ?? unknownFinding(lines, facts)).detail;
  const words = exitWords(facts.exit);
  return detail.startsWith(words) ? detail : `${words}, ${detail}`;
}

/** `exit 1`, `signal 9` */
export function exitWords(exit: { code: number } | { signal: number }): string {
  return "code" in exit ? `exit ${exit.code}` : `signal ${exit.signal}`;
}

/** What a process did that did not become healthy in time, and did not crash either. */
export type SilenceFacts = {
  appName: string;
  type: string;
  waitedMs: number;
  port: number;
  /** Where it listens; undefined if the machine does not say. */
  listeners: { address: string; port: number }[] | undefined;
  /** What its health path answered last, if it was asked. */
  health?: { path: string; answer: HealthAnswer };
  lines: string[];
};

export type HealthAnswer =
  | { kind: "status"; status: number; body: string }
  | { kind: "silent"; limitMs: number }
  | { kind: "broken"; problem: string };

export function diagnoseSilence(facts: SilenceFacts): Cause {
  const { headline, detail, hint } = silenceFinding(facts);
  return cause(headline, detail, hint, facts.lines);
}

/** The same in half a sentence, while there is still time: `nothing listens on $PORT (20123) yet`. */
export function silenceSoFar(facts: SilenceFacts): string {
  return silenceFinding(facts).headline;
}

function silenceFinding(facts: SilenceFacts): { headline: string; detail?: string; hint?: string } {
  const { type, port, listeners, health } = facts;
  const seconds = `${Math.round(facts.waitedMs / 1000)} s`;
  if (health?.answer.kind === "status") {
    const { status, body } = health.answer;
    return {
      headline: `${type} is not healthy: GET ${health.path} answers ${status}`,
      detail: firstText(body) ?? `${status}, with an empty body`,
      hint:
        status === 404
          ? `${type} has no page at ${health.path}: mend the health path, or answer it with 200`
          : `it must answer 200 within the start's time limit; the log tells more: zyndra logs ${facts.appName}`,
    };
  }
  if (health?.answer.kind === "silent") {
    return {
      headline: `${type} does not answer GET ${health.path}`,
      detail: `it accepts the connection, but nothing comes within ${health.answer.limitMs / 1000} s`,
    };
  }
  if (health?.answer.kind === "broken") {
    return { headline: `${type} breaks off GET ${health.path}`, detail: health.answer.problem };
  }
  const onPort = listeners?.find((listener) => listener.port === port);
  if (onPort) {
    return {
      headline: `${type} listens on ${onPort.address} only`,
      detail: `port ${port} is right, but nothing answers on 127.0.0.1`,
      hint: "listen on 0.0.0.0 (all addresses), not on localhost or one address",
    };
  }
  const elsewhere = listeners?.[0];
  if (elsewhere) {
    return {
      headline: `${type} listens on port ${elsewhere.port}, not on $PORT`,
      detail: `$PORT is ${port} for this process, another number for each`,
      hint: "listen on the port that the environment variable PORT names (Node: process.env.PORT)",
    };
  }
  return {
    headline: `${type} does not listen on $PORT`,
    detail: `it runs, but ${seconds} after its start nothing accepts connections on port ${port}`,
    hint: `a web process must listen on the port that PORT names; one that serves nothing belongs under another name, e.g. worker`,
  };
}

type Finding = { headline?: string; detail: string; hint?: string };
type Rule = (lines: string[], facts: CrashFacts) => Finding | undefined;

/** Asked from top to bottom, the most certain first; the first that knows has the word. */
const rules: Rule[] = [
  nodeOutOfMemory,
  nodeMissingModule,
  pythonMissingModule,
  portTaken,
  missingVariable,
  connectionRefused,
  npmMissingScript,
  nodeError,
  pythonError,
  goPanic,
  commandNotFound,
  notPermitted,
  killed,
  endedAtOnce,
];

function findingOf(lines: string[], facts: CrashFacts): Finding | undefined {
  for (const rule of rules) {
    const finding = rule(lines, facts);
    if (finding) return finding;
  }
  return undefined;
}

function unknownFinding(lines: string[], facts: CrashFacts): Finding {
  const last = lines.findLast((line) => line.trim() !== "");
  const words = exitWords(facts.exit);
  if (!last) return { detail: `${words}, without a word`, hint: `try its command on your own machine first` };
  return { detail: `${words}: ${clipped(last.trim())}` };
}

function nodeOutOfMemory(lines: string[], { type }: CrashFacts): Finding | undefined {
  const line = lines.find((text) => /JavaScript heap out of memory/.test(text));
  return line
    ? {
        headline: `${type} ran out of memory`,
        detail: clipped(line.replace(/^FATAL ERROR: /, "")),
        hint: "NODE_OPTIONS=--max-old-space-size=MB gives Node more, if the machine has it",
      }
    : undefined;
}

// https://nodejs.org/api/errors.html: MODULE_NOT_FOUND (require) and ERR_MODULE_NOT_FOUND (import).
function nodeMissingModule(lines: string[], facts: CrashFacts): Finding | undefined {
  for (const line of lines) {
    const match = /Cannot find (module|package) '([^']+)'(?: imported from (.+))?/.exec(line);
    if (!match) continue;
    const [, what, name = "", importer] = match;
    const place = nodePlace(lines, facts.slugDir) ?? (importer && shortPath(importer.trim(), facts.slugDir));
    const isFile = /^[./]|^file:/.test(name);
    const shown = shortPath(name, facts.slugDir);
    return {
      detail: `Cannot find ${what} '${shown}'${place ? ` (${place})` : ""}`,
      hint: isFile
        ? `${shown} is not in the pushed commit: is it in .gitignore, or written with other capitals?`
        : `it is used but not in package.json: npm install ${packageOf(name)}, commit, push again`,
    };
  }
  return undefined;
}

function nodeError(lines: string[], facts: CrashFacts): Finding | undefined {
  const at = lines.findIndex((line) => /^(Uncaught )?\w*(Error|Exception)( \[\w+\])?: /.test(line));
  if (at < 0 || !lines.some((line) => /^\s+at |^Node\.js v/.test(line))) return undefined;
  const place = nodePlace(lines, facts.slugDir);
  return { detail: `${clipped(lines[at]!)}${place ? ` (${place})` : ""}` };
}

/** `server.js:3`: the line of the customer's own code that Node points at. */
function nodePlace(lines: string[], slugDir: string): string | undefined {
  for (const line of lines) {
    // `/app/server.js:3` stands above a syntax error, `at f (/app/server.js:3:17)` in a stack.
    const match =
      /^(?:file:\/\/)?(\/[^\s()]+):(\d+)$/.exec(line) ??
      /^\s+at (?:.*\()?(?:file:\/\/)?(\/[^()]+?):(\d+):\d+\)?(?: \{)?$/.exec(line);
    if (!match || !isOwnCode(match[1]!, slugDir)) continue;
    return `${shortPath(match[1]!, slugDir)}:${match[2]}`;
  }
  return undefined;
}

function pythonMissingModule(lines: string[], facts: CrashFacts): Finding | undefined {
  for (const line of lines) {
    const match = /^(?:ModuleNotFoundError|ImportError): No module named '?([\w.]+)'?/.exec(line.trim());
    if (!match) continue;
    const name = match[1]!.split(".")[0]!;
    return {
      detail: `No module named '${match[1]}'${placeInBrackets(pythonPlace(lines, facts.slugDir))}`,
      hint: `if it is a package: add ${name} to requirements.txt, commit, push again; if it is yours: is its file in the commit?`,
    };
  }
  return undefined;
}

/** The last line of a traceback says what, the last of its frames in the customer's code where. */
function pythonError(lines: string[], facts: CrashFacts): Finding | undefined {
  const start = lines.findLastIndex((line) =>
    /^(Traceback \(most recent call last\):| {2}File ".*", line \d+)/.test(line),
  );
  if (start < 0) return undefined;
  const message = lines.slice(start + 1).find((line) => /^[A-Za-z_][\w.]*(: .+)?$/.test(line) && !/^\s/.test(line));
  if (!message) return undefined;
  return { detail: `${clipped(message)}${placeInBrackets(pythonPlace(lines, facts.slugDir))}` };
}

function pythonPlace(lines: string[], slugDir: string): string | undefined {
  const frames = lines.flatMap((line) => {
    const match = /^\s*File "([^"]+)", line (\d+)/.exec(line);
    return match && isOwnCode(match[1]!, slugDir) ? [`${shortPath(match[1]!, slugDir)}:${match[2]}`] : [];
  });
  return frames.at(-1);
}

function goPanic(lines: string[], facts: CrashFacts): Finding | undefined {
  const line = lines.find((text) => /^panic: /.test(text));
  if (!line) return undefined;
  const frame = lines.map((text) => /^\s+(\/\S+\.go:\d+)/.exec(text)?.[1]).find((path) => path !== undefined);
  return { detail: `${clipped(line)}${placeInBrackets(frame && shortPath(frame, facts.slugDir))}` };
}

function portTaken(lines: string[], { port }: CrashFacts): Finding | undefined {
  for (const line of lines) {
    if (!/EADDRINUSE|address already in use/i.test(line)) continue;
    const taken = /:(\d{2,5})\b(?!.*:\d)/.exec(line)?.[1] ?? /port (\d{2,5})/i.exec(line)?.[1];
    if (taken && Number(taken) === port) {
      return { detail: `its port ${taken} was taken by another program of this machine`, hint: "try again" };
    }
    return {
      detail: taken ? `port ${taken} is already in use` : clipped(line.trim()),
      hint: "listen on the port that the environment variable PORT names (Node: process.env.PORT); each process has its own",
    };
  }
  return undefined;
}

function missingVariable(lines: string[], { appName }: CrashFacts): Finding | undefined {
  const inPythonEnviron = lines.some((line) => /os\.environ|environ\[|KeyError\(key\) from None/.test(line));
  for (const line of lines) {
    const text = line.trim();
    const name =
      /\b([A-Z][A-Z0-9]*_[A-Z0-9_]+) (?:is|was|must be|has to be|needs to be) (?:not set|required|missing|undefined|unset|empty|set|defined|provided)\b/.exec(
        text,
      )?.[1] ??
      /\b(?:[Mm]issing|[Rr]equired?) (?:the )?(?:required )?env(?:ironment)?(?: variables?| vars?)?:? ["'`]?([A-Z][A-Z0-9_]+)/.exec(
        text,
      )?.[1] ??
      /\b[Ee]nv(?:ironment)? var(?:iable)? ["'`]?([A-Z][A-Z0-9_]+)["'`]? (?:is )?(?:not (?:set|found|defined)|missing|required|undefined)/.exec(
        text,
      )?.[1] ??
      (inPythonEnviron ? /^KeyError: '([A-Z][A-Z0-9_]+)'$/.exec(text)?.[1] : undefined);
    if (name) return { detail: clipped(text), hint: `set it: zyndra config:set ${appName} ${name}=...` };
  }
  return undefined;
}

function connectionRefused(lines: string[]): Finding | undefined {
  for (const line of lines) {
    const match = /connect ECONNREFUSED ((?:127\.0\.0\.1|::1|localhost):\d+)/.exec(line);
    if (match) {
      return {
        detail: `nothing answers at ${match[1]}`,
        hint: "it looks for a database or service on its own machine: give it the real address in a config var",
      };
    }
  }
  return undefined;
}

function npmMissingScript(lines: string[]): Finding | undefined {
  const script = lines.map((line) => /Missing script: "?([\w:-]+)"?/i.exec(line)?.[1]).find((name) => name);
  return script
    ? {
        detail: `package.json has no script "${script}"`,
        hint: `add it under "scripts", or name another command in the Procfile`,
      }
    : undefined;
}

// POSIX sh, 2.8.2: 127 for a command that was not found, 126 for one that was found and cannot be run.
function commandNotFound(lines: string[], { exit }: CrashFacts): Finding | undefined {
  if (!("code" in exit) || exit.code !== 127) return undefined;
  const command = lines.map((line) => /([^\s:]+): (?:command )?not found/.exec(line)?.[1]).findLast((name) => name);
  return {
    detail: command ? `the command ${command} is not found` : "its command is not found (exit 127)",
    hint: command
      ? `is ${command} in the app's dependencies, and not only in those for development?`
      : "is the program in the app's dependencies?",
  };
}

function notPermitted(lines: string[], { exit }: CrashFacts): Finding | undefined {
  if (!("code" in exit) || exit.code !== 126) return undefined;
  const own = lines.find((line) => line.startsWith("zyndra: cannot start"));
  if (own) return { detail: clipped(own.slice("zyndra: ".length)) };
  const file = lines.map((line) => /([^\s:]+): Permission denied/i.exec(line)?.[1]).findLast((name) => name);
  return {
    detail: file ? `${file} may not be executed` : "its command may not be executed (exit 126)",
    hint: `git update-index --chmod=+x ${file ?? "FILE"}, commit, push again`,
  };
}

function killed(_lines: string[], { exit, type }: CrashFacts): Finding | undefined {
  const signal = "signal" in exit ? exit.signal : exit.code > 128 && exit.code < 160 ? exit.code - 128 : 0;
  if (signal === 9) {
    return {
      headline: `${type} was killed`,
      detail: `${exitWords(exit)}: most often the machine was out of memory`,
      hint: "see what it needs on your own machine, or run fewer processes",
    };
  }
  if (signal === 11) return { detail: `${exitWords(exit)}: a segmentation fault, in native code` };
  return undefined;
}

function endedAtOnce(_lines: string[], { exit, type, appName }: CrashFacts): Finding | undefined {
  if (!("code" in exit) || exit.code !== 0) return undefined;
  return {
    headline: `${type} does not stay up`,
    detail: "exit 0: its command ended without an error",
    hint:
      type === "web"
        ? "a process must go on running in the foreground: no daemon, no & at the end"
        : `a process must go on running; one that has nothing to do can be switched off: zyndra ps:scale ${appName} ${type}=0`,
  };
}

function cause(headline: string, detail: string | undefined, hint: string | undefined, lines: string[]): Cause {
  const lastLines = lines.slice(-lastLinesShown);
  return {
    headline: clipped(headline, 79),
    ...(detail ? { detail } : {}),
    ...(hint ? { hint } : {}),
    ...(lastLines.length > 0 ? { lastLines } : {}),
  };
}

const lastLinesShown = 20;

/** Neither a library's nor the runtime's: what the customer can mend. */
function isOwnCode(path: string, slugDir: string): boolean {
  return path.startsWith(`${slugDir}/`) && !/\/(node_modules|site-packages|dist-packages)\//.test(path);
}

function shortPath(path: string, slugDir: string): string {
  const plain = path.replace(/^file:\/\//, "");
  return plain.startsWith(`${slugDir}/`) ? plain.slice(slugDir.length + 1) : plain;
}

/** `@scope/name` of `@scope/name/sub`. */
function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

function placeInBrackets(place: string | undefined): string {
  return place ? ` (${place})` : "";
}

function firstText(body: string): string | undefined {
  const text = body
    .replace(/<(script|style)[\s\S]*?<\/\1>/gi, " ")
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  return text === "" ? undefined : clipped(text, 200);
}

function withoutColours(line: string): string {
  return line.replace(/\x1b\[[0-9;]*m/g, "");
}

function clipped(text: string, length = 200): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
