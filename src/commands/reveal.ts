import { insertAudit } from "../db/audit.ts";
import { UserError } from "../errors.ts";
import { type Actor, mayAct } from "../model/actor.ts";
import type { CommandContext } from "./command.ts";

/** The flag of every command that can show the values of config vars. */
export const revealFlag = {
  kind: "switch",
  summary: "show the values, to admins and owners; noted in the audit",
} as const;

/** What says so where a command is no use without values. */
export function valuesAreHidden(words: string): UserError {
  return new UserError(
    "bad_input",
    "values are shown only with --reveal, to admins and owners, and that is noted",
    `zyndra ${words} --reveal`,
  );
}

/** @throws UserError forbidden */
export function assertMayReveal(actor: Actor, app: { name: string }): void {
  if (mayAct(actor.role, "admin")) return;
  const whose = `the values of ${app.name} are shown to admins and owners; ${actor.name} is ${actor.role}`;
  throw new UserError("forbidden", whose, "an owner or admin can change the role");
}

/**
 * Each look at values is noted before anything is shown.
 * @throws UserError forbidden
 */
export async function noteReveal(
  { deps, actor }: Pick<CommandContext, "deps" | "actor">,
  app: { name: string },
  command: string,
  names?: string[],
): Promise<void> {
  assertMayReveal(actor, app);
  await insertAudit(deps.db.db, actor, {
    command: `${command} --reveal`,
    subject: app.name,
    ...(names ? { input: { names } } : {}),
    outcome: "done",
  });
}
