import type { Answer } from "../commands/command.ts";
import { ask, Refusal, type Server } from "./api-client.ts";
import type { Call } from "./call.ts";
import { nameOf, ownCommands } from "./cli.ts";
import { forgetApps } from "./completion/known.ts";
import { drawView } from "./draw.ts";
import { findWhere } from "./where.ts";
import { exitCodes } from "./world.ts";

/** Sends words to the server, shows what it answers, and follows what goes on after that. */
export async function sendWords(call: Call): Promise<number> {
  const { world, words } = call;
  const { server, defaultApp } = await findWhere(world);
  const doorCommands = ownCommands.filter((command) => !command.hidden).map(nameOf);
  const said = { words, doorCommands, ...(defaultApp === undefined ? {} : { defaultApp }) };
  const answer = await askConfirmed(call, server, said);
  // Any command may have made an app or removed one; the next Tab key asks anew.
  await forgetApps(world.cache, server);
  return answer === undefined ? exitCodes.failed : showAnswer(call, server, answer);
}

/** Shows what was answered, and follows what goes on after it. */
export async function showAnswer(call: Call, server: Server, { view, data, renamed, follow }: Answer): Promise<number> {
  const { world, asJson } = call;
  if (!asJson) drawView(world, view);
  if (renamed) await (await import("./git-remote.ts")).followRename(call, server, renamed);
  if (follow === undefined) {
    if (asJson) world.stdout.write(`${JSON.stringify(data, null, 2)}\n`);
    return exitCodes.ok;
  }
  const { followAnswer } = await import("./follow.ts");
  return followAnswer(call, server, follow, data);
}

/** Asks the person where the server asks back; undefined where they do not want it. */
async function askConfirmed({ world }: Call, server: Server, said: object): Promise<Answer | undefined> {
  const send = (body: object) => {
    const request = { method: "POST", path: "/api/words", body } as const;
    return world.waiting.during(server.url, ask<Answer>(server, request, world.interrupted));
  };
  try {
    return await send(said);
  } catch (error) {
    if (!(error instanceof Refusal) || error.confirm === undefined || !world.isInteractive) throw error;
    const { askForWord } = await import("./prompt.ts");
    if (!(await askForWord(world, error.confirm))) return undefined;
    return send({ ...said, confirmed: error.confirm.type });
  }
}
