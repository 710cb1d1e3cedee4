import { getFormation } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { findLiveRelease } from "../db/releases.ts";
import type { AppRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { saidFormation } from "../model/app-settings.ts";
import { clip, nearest } from "../model/names.ts";
import { effectiveFormation, type Formation } from "../model/process-types.ts";

/**
 * How many of each process type are to run of what is live, and what its own files say about that.
 * @throws UserError conflict where nothing is live
 */
export async function getLiveFormation(db: Db, app: AppRow): Promise<{ formation: Formation; said: Formation }> {
  const release = await findLiveRelease(db, app);
  if (!release) {
    throw new UserError("conflict", `nothing of ${app.name} runs yet`, "git push zyndra main brings it to life");
  }
  const said = saidFormation(release.settings);
  return { formation: effectiveFormation(release.processTypes, await getFormation(db, app.id), said), said };
}

/** Says what there is, and what may have been meant. */
export function unknownType(app: Pick<AppRow, "name">, word: string, types: string[]): UserError {
  if (/^run\.\d+$/.test(word)) {
    const said = `${clip(word)} is a command that runs once, and no process type`;
    return new UserError("bad_input", said, `zyndra run:stop ${app.name} ${clip(word)} ends it`);
  }
  const meant = nearest(word, types);
  const ask = meant === undefined ? "" : `; did you mean ${meant}?`;
  const hint = `its process types: ${types.join(", ")}${ask}`;
  return new UserError("bad_input", `${app.name} has no process type "${clip(word)}"`, hint);
}
