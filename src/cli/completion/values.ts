import type { Where } from "../where.ts";
import type { World } from "../world.ts";
import type { Candidate } from "./candidates.ts";
import type { Completable } from "./completable.ts";
import { knownApps, knownFiles, knownRefs, knownRows, knownServers, knownTypes } from "./known.ts";

/** Where a value is wanted, and what is known of the line. */
export type Asked = {
  world: World;
  where: Where | undefined;
  commands: Completable[];
  command: Completable | undefined;
  /** The app that the line is about. */
  app: string | undefined;
  /** What stands there already. */
  begun: string;
};

/** The values that may stand for a word of a usage. */
export async function valuesFor(place: string, asked: Asked): Promise<Candidate[]> {
  const { world, commands, begun } = asked;
  const plainly = (values: string[], about = "") => values.map((value) => ({ value, about }));
  switch (place) {
    case "APP":
      return plainly(await appsFor(asked), "app");
    case "CHANGES":
      return plainly(
        (await typesFor(asked)).map((type) => `${type}=`),
        "process type",
      );
    case "PROCESS":
    case "PROCESSES":
    case "TYPES":
      return plainly(await typesFor(asked), "process type");
    case "NAME":
    case "NAMES":
      return plainly(await rowsFor(asked, `${topicOf(asked)}:list`));
    case "VERSION":
    case "FROM":
    case "TO":
      return plainly(await rowsFor(asked, "releases:list"));
    case "TOKEN":
      return plainly(await rowsFor(asked, "tokens:list"));
    case "REF":
      return plainly(await knownRefs(world));
    case "SERVER":
      return plainly(await knownServers(world));
    case "COMMAND":
      return commands.map(({ word, about }) => ({ value: word, about }));
    case "SHELL":
      return plainly(["bash", "zsh", "fish"]);
    case "FILE":
      return plainly(await knownFiles(world, begun));
    default:
      return [];
  }
}

/** Flags take few values that can be known. */
export function placeOfFlag(name: string): string {
  return { app: "APP", server: "SERVER", process: "PROCESS" }[name] ?? "";
}

export async function appsFor({ world, where }: Pick<Asked, "world" | "where">): Promise<string[]> {
  return where === undefined ? [] : knownApps(world, where.server);
}

async function typesFor({ world, where, app }: Asked): Promise<string[]> {
  return where === undefined || app === undefined ? [] : knownTypes(world, where.server, app);
}

/** The rows of a listing, where the server has it: of the app, if it is about one. */
async function rowsFor({ world, where, commands, app }: Asked, listing: string): Promise<string[]> {
  const command = commands.find(({ name }) => name === listing);
  if (where === undefined || command === undefined) return [];
  const isAboutApp = command.places.some(({ word, mayBeLeftOut }) => word === "APP" && !mayBeLeftOut);
  if (isAboutApp && app === undefined) return [];
  return knownRows(world, where.server, listing, isAboutApp ? app : undefined);
}

function topicOf({ command }: Asked): string {
  return command?.name.split(":")[0] ?? "";
}
