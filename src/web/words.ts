import { parseWords } from "../commands/argv.ts";
import { type Answer, type Command, runCommand } from "../commands/command.ts";
import { getApp, listAppNames } from "../db/apps.ts";
import type { Deps } from "../deps.ts";
import { type Actor, mayAct } from "../model/actor.ts";
import type { WordsRequest } from "./body.ts";
import { ConfirmationNeeded } from "./errors.ts";

/** Runs what was typed. @throws ConfirmationNeeded where a person is to answer first; UserError */
export async function runWords(
  deps: Deps,
  commands: readonly Command[],
  said: WordsRequest,
  actor: Actor,
): Promise<Answer> {
  const { command, input, confirmed } = await parseWords(said.words, {
    commands,
    defaultApp: said.defaultApp,
    doorCommands: said.doorCommands ?? [],
    appNames: () => listAppNames(deps.db.db, actor.orgId),
  });
  await askFirst(deps, command, input, confirmed ?? said.confirmed, actor);
  return runCommand(deps, command, input, actor);
}

/** Nobody is asked about what will be refused anyhow: that is left to the gate, or said at once for an app that is not there. */
async function askFirst(
  deps: Deps,
  command: Command,
  input: Record<string, unknown>,
  confirmed: string | undefined,
  actor: Actor,
): Promise<void> {
  if (!command.confirm || !mayAct(actor.role, command.needs)) return;
  const parsed = command.input.safeParse(input);
  if (!parsed.success) return;
  const confirm = await command.confirm(parsed.data, { deps, tx: deps.db.db, actor });
  if (confirmed === confirm.type) return;
  const { app } = parsed.data as { app?: unknown };
  if (typeof app === "string") await getApp(deps.db.db, actor.orgId, app);
  throw new ConfirmationNeeded(confirm);
}
