import { insertAudit } from "../db/audit.ts";
import { UserError } from "../errors.ts";
import { mayAct } from "../model/actor.ts";
import type { CommandContext } from "./command.ts";

/** The flag of every command that can show the values of config vars. */
export const revealFlag = {
  kind: "switch",
  summary: "show the values, to admins and owners; noted in the audit",
} as const;

/**
 * Values are for admins and owners, and each look is noted before anything is shown.
 * @throws UserError forbidden
 */
export async function noteReveal(
  { deps, actor }: Pick<CommandContext, "deps" | "actor">,
  app: { name: string },
  command: string,
  names?: string[],
): Promise<void> {
  if (!mayAct(actor.role, "admin")) {
    throw new UserError(
      "forbidden",
      `the values of ${app.name} are shown to admins and owners; ${actor.name} is ${actor.role}`,
    );
  }
  await insertAudit(deps.db.db, actor, {
    command: `${command} --reveal`,
    subject: app.name,
    ...(names ? { input: { names } } : {}),
    outcome: "done",
  });
}
