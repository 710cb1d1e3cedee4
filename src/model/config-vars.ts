import { z } from "zod";
import { clip } from "./names.ts";

/** The name of a config var: what POSIX calls an environment variable name. */
export const configNamePattern = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** The longest value, so that all vars of an app fit into one process's environment (Linux: 128 KiB a string). */
export const maxConfigValueBytes = 32 * 1024;

const reserved = new Map([
  ["PORT", "Zyndra gives each process its own PORT"],
  ["PATH", "PATH is made by the builder"],
  ["HOME", "HOME is made by the runtime"],
]);

export const ConfigName = z
  .string()
  .regex(configNamePattern, {
    error: (issue) =>
      `"${clip(String(issue.input).split("=")[0]!)}" is not a config var's name: letters, digits and underscores, no digit first`,
  })
  .refine((name) => reservedBecause(name) === undefined, {
    error: (issue) => {
      const name = String(issue.input);
      return `${name} cannot be set: ${reservedBecause(name)}`;
    },
  });

/** Why nobody may set a var of this name; undefined where they may. */
export function reservedBecause(name: string): string | undefined {
  if (name.startsWith("ZYNDRA_")) return "names that begin with ZYNDRA_ are the platform's";
  // `constructor`, `toString`, `__proto__` and the like: every record of names has them already.
  if (name in Object.prototype) return "the name has a meaning of its own in JavaScript";
  return reserved.get(name);
}

/** What is wrong with a value, in words that do not show it; undefined where nothing is. */
export function valueFault(name: string, value: string): string | undefined {
  if (Buffer.byteLength(value) > maxConfigValueBytes) {
    return `the value of ${name} is longer than ${maxConfigValueBytes / 1024} KiB`;
  }
  return value.includes("\0") ? `the value of ${name} contains a NUL byte, which no environment can hold` : undefined;
}

function unnamed(index: number): string {
  return `which config var is word ${index + 1} to be the value of? For example: LOG_LEVEL=debug`;
}

/** `LOG_LEVEL=debug GREETING=hi`: everything after the first `=` is the value. */
export const ConfigAssignments = z
  .array(z.string(), { error: "which config vars? For example: LOG_LEVEL=debug" })
  .min(1, "which config vars? For example: LOG_LEVEL=debug")
  .transform((words, context): Record<string, string> => {
    const assignments: Record<string, string> = {};
    for (const [index, word] of words.entries()) {
      const at = word.indexOf("=");
      const name = at < 0 ? word : word.slice(0, at);
      const value = word.slice(at + 1);
      const parsed = ConfigName.safeParse(name);
      const fault = valueFault(name, value);
      if (at < 0) {
        // A word that is no name is not shown: it may be a value whose name was forgotten.
        const isName = /^[A-Z_][A-Z0-9_]*$/.test(word) && parsed.success;
        const fault = isName ? `${word} has no value: zyndra config:set APP ${word}=…` : unnamed(index);
        context.addIssue(fault);
      } else if (!parsed.success) {
        context.addIssue(parsed.error.issues[0]!.message);
      } else if (fault !== undefined) {
        context.addIssue(fault);
      } else {
        assignments[name] = value;
      }
    }
    return assignments;
  });
