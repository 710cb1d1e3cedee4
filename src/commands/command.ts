import type { z } from "zod";
import { insertAudit } from "../db/audit.ts";
import type { Db } from "../db/client.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import { type Actor, mayAct, type Role } from "../model/actor.ts";
import type { View } from "../model/view.ts";
import type { Follow } from "./follow.ts";

/**
 * One thing that can be asked for, the same through every door. `run` writes through `context.tx` alone: what is written
 * and its audit row are one transaction. Long work is only started here.
 */
export type Command<Input extends z.ZodObject = z.ZodObject, Result = unknown> = {
  /** As one says it, e.g. `ps:scale`. */
  name: string;
  /** Other words for the same, e.g. `scale`. */
  aliases?: string[];
  summary: string;
  /** Asked for by a door on its own, never typed: neither listed nor found by name. */
  internal?: boolean;
  /** Lines that can be typed as they are, without the program's name. */
  examples: string[];
  /** The least role that may ask for it. */
  needs: Role;
  /** A change is written in a transaction and audited; a reading is not. The input may decide which it is. */
  changes: boolean | ((input: z.output<Input>) => boolean);
  input: Input;
  words: Words<Input>;
  /** Tells what will be lost; a person must answer with the returned word before it is run. */
  confirm?(input: z.output<Input>, context: CommandContext): Confirmation | Promise<Confirmation>;
  /** What the audit row keeps of the input; without it nothing but the subject. Never a secret value. */
  auditInput?(input: z.output<Input>, context: CommandContext): AuditInput | Promise<AuditInput>;
  run(context: CommandContext, input: z.output<Input>): Promise<Result>;
  view(result: Result, input: z.output<Input>): View;
  /** An app has another name from now on: doors that keep names follow. */
  renamed?(result: Result): Renamed;
  /** What to watch after the answer. */
  follow?(result: Result, input: z.output<Input>): Follow | undefined;
};

type AuditInput = Record<string, unknown>;

export type Confirmation = { warning: string; type: string };

/** How typed words become the input: names of its fields in order (`changes...` takes the rest), and flags. */
export type Words<Input extends z.ZodObject = z.ZodObject> = {
  positional: (keyof z.input<Input> & string)[];
  /** The last positional takes all words that are left. */
  rest?: boolean;
  /** From the first word of the rest on, flags are the words' own: they are another program's. */
  literalRest?: boolean;
  flags?: Partial<Record<keyof z.input<Input> & string, Flag>>;
};

export type Flag = {
  kind: "switch" | "text" | "number";
  short?: string;
  /** Other names of it that people bring along, long ones and letters; they are not listed. */
  also?: string[];
  /** It is understood, to be answered with a sentence, and not listed. */
  isHidden?: true;
  summary: string;
};

export type Renamed = { from: string; to: string };

export type CommandContext = {
  deps: Deps;
  /** The transaction of this command; for readings the database itself. */
  tx: Db;
  actor: Actor;
};

export type Answer = { view: View; data: unknown; renamed?: Renamed; follow?: Follow };

/** Lets types flow from `input` to `run` to `view`; returns its argument. */
export function defineCommand<Input extends z.ZodObject, Result>(command: Command<Input, Result>): Command {
  return command as unknown as Command;
}

/**
 * The one gate: parse, may this actor?, run, audit. A refusal or failure is audited in a transaction of its own.
 * @throws UserError for what the caller can mend; anything else is ours or an upstream's.
 */
export async function runCommand(deps: Deps, command: Command, rawInput: unknown, actor: Actor): Promise<Answer> {
  let subject = subjectOf(rawInput);
  let input: Record<string, unknown> | undefined;
  let changes = command.changes !== false;
  try {
    assertMayAsk(actor, command);
    const parsed = parseInput(command, rawInput);
    subject = subjectOf(parsed);
    input = await command.auditInput?.(parsed, { deps, tx: deps.db.db, actor });
    changes = typeof command.changes === "function" ? command.changes(parsed) : command.changes;
    const result = changes
      ? await deps.db.transaction(async (tx) => {
          const done = await command.run({ deps, tx, actor }, parsed);
          await insertAudit(tx, actor, { command: command.name, subject, input, outcome: "done" });
          return done;
        })
      : await command.run({ deps, tx: deps.db.db, actor }, parsed);
    const follow = command.follow?.(result, parsed);
    const renamed = command.renamed?.(result);
    return {
      view: command.view(result, parsed),
      data: dataOf(result),
      ...(renamed ? { renamed } : {}),
      ...(follow ? { follow } : {}),
    };
  } catch (error) {
    await auditEnding(deps, command, actor, { subject, input, changes, error });
    throw error;
  }
}

/** @throws UserError forbidden */
export function assertMayAsk(actor: Actor, { name, needs }: Pick<Command, "name" | "needs">): void {
  if (mayAct(actor.role, needs)) return;
  throw new UserError(
    "forbidden",
    `${name} needs the role ${needs}; ${actor.name} is ${actor.role}`,
    "an owner or admin can change the role",
  );
}

/** What a program gets of a result: the app is `app` everywhere, and what only `follow` needs is left out. */
function dataOf(result: unknown): unknown {
  if (result === null || typeof result !== "object" || !("appName" in result)) return result;
  const { appName, appId: _, after: __, revision: ___, ...facts } = result as Record<string, unknown>;
  return { app: appName, ...facts };
}

/** Plain readings leave no trace, unless they were not allowed. */
async function auditEnding(
  deps: Deps,
  command: Command,
  actor: Actor,
  ended: { subject: string | undefined; input: Record<string, unknown> | undefined; changes: boolean; error: unknown },
): Promise<void> {
  const { subject, input, changes, error } = ended;
  const refused = error instanceof UserError;
  if (!changes && !(refused && error.code === "forbidden")) return;
  const outcome = refused ? "refused" : "failed";
  const reason = refused ? error.message : "see the platform's log";
  await insertAudit(deps.db.db, actor, { command: command.name, subject, input, outcome, reason }).catch((lost) =>
    deps.log.error({ err: lost, command: command.name }, "audit row of a refusal was lost"),
  );
}

function parseInput(command: Command, rawInput: unknown): Record<string, unknown> {
  const parsed = command.input.safeParse(rawInput ?? {});
  if (parsed.success) return parsed.data;
  const app = subjectOf(rawInput) ?? "APP";
  // A line to type in a sentence is about the app that was meant.
  const sentences = parsed.error.issues.map((issue) =>
    issueSentence(issue).replace(/(zyndra [\w:]+) APP\b/, (_, typed) => `${typed} ${app}`),
  );
  throw new UserError("bad_input", [...new Set(sentences)].join("; "), `for example: zyndra ${command.examples[0]}`);
}

function issueSentence(issue: z.core.$ZodIssue): string {
  const field = issue.path.join(".");
  if (issue.code === "unrecognized_keys") return `${issue.keys.map((key) => `"${key}"`).join(", ")} is not known here`;
  // What the field says itself is better than what zod says of every field.
  if (issue.code !== "invalid_type" || !issue.message.startsWith("Invalid input")) return issue.message;
  return issue.message.endsWith("received undefined") ? `${field} is missing` : `${field} must be ${issue.expected}`;
}

function subjectOf(input: unknown): string | undefined {
  const app = (input as { app?: unknown } | undefined)?.app;
  return typeof app === "string" ? app.slice(0, 60) : undefined;
}
