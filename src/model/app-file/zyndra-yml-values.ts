import { ConfigName, configNamePattern, maxConfigValueBytes } from "../config-vars.ts";
import { scheduleFault } from "../cron.ts";
import { clip, nearest } from "../names.ts";
import { processTypePattern } from "../process-types.ts";
import type { NameRule } from "./block-shapes.ts";
import { plainValue, text } from "./scalar-shapes.ts";
import { secretIn } from "./secret-literals.ts";
import type { Problem, Shape } from "./shape.ts";

/** What stands for the app's name in a line to type. */
export const app = "APP";

export const command = text({
  wants: "a command",
  example: "node server.js",
  check: (line) => commandProblem(line),
});

export function commandProblem(line: string): Problem | undefined {
  if (line.trim() === "") return { problem: "the command is empty", suggestion: "for example: node server.js" };
  const secret = secretIn(line);
  return secret ? secretProblem("the command holds", secret) : undefined;
}

function secretProblem(where: string, secret: string): Problem {
  return {
    problem: `${where} ${secret}: no secrets in the repository`,
    suggestion: `take it back, change it where it is from, then: zyndra config:set ${app} NAME=VALUE`,
    isSecret: true,
  };
}

/** A folder below the repository's own. */
export const folder = (example: string) =>
  text({
    wants: "a folder of the repository",
    example,
    check: (path) => (relativeFolder(path) === undefined ? folderProblem(path, example) : undefined),
  });

/** `./apps/shop/` as `apps/shop`; undefined for what does not lie below the repository's folder. */
export function relativeFolder(path: string): string | undefined {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const isOutside = path.startsWith("/") || parts.includes("..") || /[\x00-\x1f\\]/.test(path) || path.length > 400;
  return isOutside ? undefined : parts.join("/");
}

function folderProblem(path: string, example: string): Problem {
  const problem = `${JSON.stringify(clip(path))} is no folder of the repository`;
  return { problem, suggestion: `a relative path without "..", for example: ${example}` };
}

export const httpPath = text({
  wants: "a path",
  example: "/healthz",
  check: (path) =>
    /^\/[\x21-\x7e]{0,500}$/.test(path)
      ? undefined
      : { problem: `${JSON.stringify(clip(path))} is no path`, suggestion: "it begins with a slash: /healthz" },
  schema: { pattern: "^/" },
});

export const configName: NameRule = {
  pattern: configNamePattern,
  check(name) {
    const parsed = ConfigName.safeParse(name);
    if (parsed.success) return undefined;
    return { problem: parsed.error.issues[0]!.message, suggestion: "give it another name" };
  },
};

export const processType: NameRule = {
  pattern: processTypePattern,
  check(name) {
    if (name === "release") {
      return { problem: "release is no process", suggestion: 'write hooks: { release: "npm run migrate" }' };
    }
    if (processTypePattern.test(name)) return undefined;
    const problem = `${JSON.stringify(clip(name))} is no process type`;
    const lower = name.toLowerCase();
    if (processTypePattern.test(lower)) return { problem, suggestion: `write ${lower}:` };
    return { problem, suggestion: "1 to 30 lower-case letters, digits, - and _, a letter first" };
  },
};
export const anyName: NameRule = { pattern: /^.+$/, check: () => undefined };

export const word = (wants: string, typed: string) => text({ wants, example: typed });

export function envValue(typed: string): Shape<string> {
  return plainValue({
    wants: "a value",
    example: typed,
    check(value) {
      if (Buffer.byteLength(value) > maxConfigValueBytes) {
        const problem = `the value is longer than ${maxConfigValueBytes / 1024} KiB`;
        return { problem, suggestion: "put it into a file of the repository" };
      }
      const secret = secretIn(value);
      return secret ? secretProblem("the value looks like", secret) : undefined;
    },
  });
}

export const cronNamePattern = /^[a-z0-9][a-z0-9-]{0,39}$/;

const namedSchedules: Record<string, string> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};

/** A schedule in five fields: `@daily` and its kin are names for such. */
export function fiveFields(schedule: string): string {
  return namedSchedules[schedule.trim()] ?? schedule.trim().split(/\s+/).join(" ");
}

export function scheduleProblem(schedule: string): Problem | undefined {
  const problem = scheduleFault({ schedule: fiveFields(schedule) });
  const suggestion = 'for example "0 3 * * *" (at 3:00), "*/15 * * * *" (every 15 minutes), "0 9 * * mon-fri"';
  return problem === undefined ? undefined : { problem, suggestion };
}

export function timezoneProblem(timezone: string): Problem | undefined {
  const problem = scheduleFault({ schedule: "0 0 * * *", timezone });
  return problem === undefined ? undefined : { problem: problem.replace(/: .*$/, ""), suggestion: zoneMeant(timezone) };
}

function zoneMeant(typed: string): string {
  const zones = Intl.supportedValuesOf("timeZone");
  const lower = typed.toLowerCase().replaceAll(" ", "_");
  const near = zones.find((zone) => zone.toLowerCase().endsWith(`/${lower}`)) ?? nearest(typed, zones);
  return near === undefined ? "a city's, for example: Europe/Stockholm; or UTC" : `did you mean ${near}?`;
}
