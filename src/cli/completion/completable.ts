import type { CommandDescription } from "../../commands/argv.ts";
import { nameOf, ownCommands } from "../cli.ts";
import { knownCommands } from "../described.ts";
import type { Where } from "../where.ts";
import type { World } from "../world.ts";
import { answerWithinMs } from "./known.ts";

/** As much of a command as completion needs: what may follow it, and its flags. */
export type Completable = {
  /** As it may be typed; one command may be there several times. */
  word: string;
  /** Its own name. */
  name: string;
  about: string;
  places: Place[];
  flags: CompletableFlag[];
};
/** A word of its usage: `APP`, `CHANGES...`. */
export type Place = { word: string; takesRest: boolean; mayBeLeftOut: boolean };
export type CompletableFlag = { name: string; short?: string | undefined; takesValue: boolean; about: string };

/** All that can be typed first: this program's own commands, and what the server says that it can be asked for. */
export async function completableCommands(world: World, where: Where | undefined): Promise<Completable[]> {
  return [...ownCompletable(), ...(await describedCompletable(world, where))];
}

function ownCompletable(): Completable[] {
  return ownCommands
    .filter(({ hidden }) => !hidden)
    .map((command) => ({
      word: nameOf(command),
      name: nameOf(command),
      about: command.summary,
      places: placesIn(command.usage),
      flags: [...command.usage.matchAll(/--([a-z-]+)( [A-Z]+)?/g)].map(([, name, value]) => ({
        name: name!,
        takesValue: value !== undefined,
        about: "",
      })),
    }));
}

async function describedCompletable(world: World, where: Where | undefined): Promise<Completable[]> {
  if (where === undefined) return [];
  const signal = AbortSignal.any([world.interrupted, AbortSignal.timeout(answerWithinMs)]);
  const described = await knownCommands(world, where.server, signal).catch((): CommandDescription[] => []);
  return described.flatMap(({ name, aliases, summary, usage, flags }) => {
    const rest = {
      name,
      about: summary,
      places: placesIn(usage),
      flags: flags.map((flag) => ({
        name: flag.name,
        short: flag.short,
        takesValue: flag.kind !== "switch",
        about: flag.summary,
      })),
    };
    return [name, ...aliases].map((word) => ({ word, ...rest }));
  });
}

/** `ps:scale APP CHANGES...` → APP, CHANGES and all after it. */
function placesIn(usage: string): Place[] {
  const [, ...words] = usage
    .replace(/\[?--[^\]]*\]?/g, "")
    .split(/\s+/)
    .filter((word) => word !== "");
  return words.map((word) => ({
    word: word.replace(/[[\].]/g, ""),
    takesRest: word.includes("..."),
    mayBeLeftOut: word.startsWith("["),
  }));
}
