import { commandMeant } from "../commands/elsewhere.ts";
import type { Follow } from "../commands/follow.ts";
import { splitLeading } from "../commands/leading-flags.ts";
import { UserError } from "../errors.ts";
import type { Call } from "./call.ts";

type OfThisMachine = Extract<Follow, { kind: "config:import" | "config:edit" }>;

/**
 * An answer may ask for something of this machine: only for what the person has typed themselves, or any server could have
 * any of their files. @throws UserError forbidden
 */
export function refuseUntyped({ words }: Call, asked: OfThisMachine): void {
  const { leading, words: typed } = splitLeading(words);
  const [first = "", second = ""] = typed;
  const isTyped = [first, `${first}:${second}`].some((word) => (commandMeant(word) ?? word) === asked.kind);
  if (!isTyped) throw refusal(`${asked.kind}, which was not typed`);
  if (asked.kind === "config:edit" || asked.file === "-") return;
  if (![...leading, ...typed.slice(1)].includes(asked.file)) throw refusal("a file that was not named");
}

function refusal(what: string): UserError {
  const hint = "nothing was read or sent; zyndra servers shows which server that is";
  return new UserError("forbidden", `the server asks for ${what}`, hint);
}
