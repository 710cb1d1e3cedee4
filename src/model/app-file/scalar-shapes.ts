import { clip, nearest } from "../names.ts";
import { describeNode, type FileNode } from "./file-node.ts";
import { durationMeant, durationText, parseDuration, sizePattern } from "./quantities.ts";
import { addFault, type JsonSchema, nameOf, type Problem, type Reading, type Shape, wrong } from "./shape.ts";

type TextRule = {
  wants: string;
  example: string;
  check?: (text: string) => Problem | undefined;
  schema?: JsonSchema;
};

const longestText = 4_096;

export function text({ wants, example, check, schema = {} }: TextRule): Shape<string> {
  return {
    wants,
    example,
    schema: { type: "string", ...schema },
    read(node, at) {
      if (node.kind !== "scalar" || node.value === null) return wrong(node, at, { wants, example });
      if (typeof node.value !== "string") {
        const problem = `${nameOf(at)} must be ${wants}; ${node.text} is a ${typeof node.value}`;
        addFault(at, node, { problem, suggestion: `if it is meant, put it in quotes: "${node.text}"` });
        return undefined;
      }
      return checked(node, node.value, at, check);
    },
  };
}

/** A value of an environment: what was typed, quotes aside, also where YAML sees a number or a truth in it. */
export function plainValue({ wants, example, check }: Omit<TextRule, "schema">): Shape<string> {
  return {
    wants,
    example,
    schema: { type: ["string", "number", "boolean"] },
    read(node, at) {
      if (node.kind !== "scalar" || node.value === null) return wrong(node, at, { wants, example });
      return checked(node, typeof node.value === "string" ? node.value : node.text, at, check);
    },
  };
}

function checked(node: FileNode, value: string, at: Reading, check: TextRule["check"]): string | undefined {
  const name = nameOf(at);
  if (value.length > longestText) {
    const problem = `${name} is longer than ${longestText} characters`;
    addFault(at, node, { problem, suggestion: "put it into a file of its own, and name the file" });
    return undefined;
  }
  const problem = check?.(value);
  if (problem) addFault(at, node, problem);
  return problem ? undefined : value;
}

export function choice<const Word extends string>(words: readonly Word[], later: readonly string[] = []): Shape<Word> {
  const wants = words.length === 1 ? words[0]! : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
  return {
    wants,
    example: words[0]!,
    schema: { enum: [...words] },
    read(node, at) {
      const word = node.kind === "scalar" ? node.value : undefined;
      const found = words.find((each) => each === word);
      if (found !== undefined) return found;
      if (typeof word === "string" && later.includes(word)) {
        const problem = `${nameOf(at)}: ${word} is not in this version`;
        addFault(at, node, { problem, suggestion: `write ${wants}, or remove the line` });
        return undefined;
      }
      const meant = typeof word === "string" ? nearest(word, words) : undefined;
      if (meant === undefined) return wrong(node, at, { wants, example: words[0]! });
      const problem = `${nameOf(at)} must be ${wants}, not ${JSON.stringify(clip(word as string))}`;
      addFault(at, node, { problem, suggestion: `did you mean ${meant}?` });
    },
  };
}

export function wholeNumber(least: number, most: number, example: number): Shape<number> {
  const wants = `a whole number from ${least} to ${most}`;
  return {
    wants,
    example: String(example),
    schema: { type: "integer", minimum: least, maximum: most },
    read(node, at) {
      const value = node.kind === "scalar" ? node.value : undefined;
      if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
      return wrong(node, at, { wants, example: String(example) });
    },
  };
}

/** Exactly this value. `instead` says what to do where it is another one. */
export function only<const Value extends string | number | boolean>(value: Value, instead: string): Shape<Value> {
  return {
    wants: String(value),
    example: String(value),
    schema: { const: value },
    read(node, at) {
      if (node.kind === "scalar" && node.value === value) return value;
      const problem = `${nameOf(at)} must be ${value}, not ${clip(describeNode(node))}`;
      addFault(at, node, { problem, suggestion: instead });
    },
  };
}

export const truth: Shape<boolean> = {
  wants: "true or false",
  example: "true",
  schema: { type: "boolean" },
  read(node, at) {
    if (node.kind === "scalar" && typeof node.value === "boolean") return node.value;
    const said = node.kind === "scalar" ? String(node.value).toLowerCase() : "";
    // What YAML 1.1 took for one.
    const meant = { yes: "true", on: "true", y: "true", no: "false", off: "false", n: "false" }[said];
    const problem = `${nameOf(at)} must be true or false, not ${clip(describeNode(node))}`;
    addFault(at, node, { problem, suggestion: `write ${nameOf(at)}: ${meant ?? "true"}` });
  },
};

/** A time with its unit, as milliseconds. */
export function durationShape(leastMs: number, mostMs: number, example: string): Shape<number> {
  const range = `from ${durationText(leastMs)} to ${durationText(mostMs)}`;
  const wants = `a time with its unit ${range}`;
  return {
    wants,
    example,
    schema: { type: "string", pattern: "^(\\d+(\\.\\d+)?(ms|s|m|h|d))+$", examples: [example] },
    read(node, at) {
      const name = nameOf(at);
      const typed = node.kind === "scalar" && node.value !== null ? String(node.value) : undefined;
      if (typed === undefined) return wrong(node, at, { wants, example });
      if (/^\d+(\.\d+)?$/.test(typed)) {
        const problem = `${name} has no unit: ${typed} of what?`;
        addFault(at, node, { problem, suggestion: `write ${typed}s, ${typed}m or ${typed}h` });
        return undefined;
      }
      const ms = parseDuration(typed);
      if (ms !== undefined && ms >= leastMs && ms <= mostMs) return ms;
      const problem = ms === undefined ? `${JSON.stringify(clip(typed))} is no time` : `${name} must be ${range}`;
      const meant = durationMeant(typed);
      const suggestion =
        ms === undefined && meant !== undefined ? `write ${name}: ${meant}` : `for example: ${name}: ${example}`;
      addFault(at, node, { problem, suggestion });
    },
  };
}

export function sizeShape(example: string): Shape<string> {
  const wants = "a size with its unit";
  return text({
    wants,
    example,
    check: (size) =>
      sizePattern.test(size)
        ? undefined
        : {
            problem: `${JSON.stringify(clip(size))} is no size`,
            suggestion: `Ki, Mi, Gi or Ti, for example: ${example}`,
          },
    schema: { pattern: sizePattern.source },
  });
}
