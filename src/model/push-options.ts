import { UserError } from "../errors.ts";
import { clip, nearest } from "./names.ts";

/** What may be said with `git push -o …`: data from the pusher, from a list, never part of a command line. */
export type PushOptions = { detach: boolean; skipCache: boolean; message?: string; force?: string };

const known = ["detach", "skip-cache", "message=", "force="];
const longestText = 200;

/** @throws UserError bad_input for what is not on the list */
export function parsePushOptions(options: readonly string[]): PushOptions {
  const parsed: PushOptions = { detach: false, skipCache: false };
  for (const option of options) {
    if (option === "detach") parsed.detach = true;
    else if (option === "skip-cache") parsed.skipCache = true;
    else if (option.startsWith("message=")) parsed.message = text(option, "message");
    else if (option.startsWith("force=")) parsed.force = text(option, "force");
    else {
      const meant = nearest(
        option.split("=")[0]!,
        known.map((word) => word.replace("=", "")),
      );
      const ask = meant ? ` Did you mean -o ${meant}?` : "";
      throw new UserError(
        "bad_input",
        `there is no push option "${clip(option, 30)}".${ask}`,
        `push options: ${known.join(", ")}`,
      );
    }
  }
  return parsed;
}

function text(option: string, name: string): string {
  const said = clip(option.slice(name.length + 1).trim(), longestText);
  if (said === "")
    throw new UserError("bad_input", `-o ${name}= needs a text`, `git push -o ${name}="why" zyndra main`);
  return said;
}
