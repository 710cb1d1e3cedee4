import { randomBytes } from "node:crypto";
import { UserError } from "../../errors.ts";
import { writeOnce } from "./durable-files.ts";
import { readIfThere } from "./optional-files.ts";
import type { Place } from "./place.ts";

/** Whom the database belongs to, and as whom the platform enters it. */
export const superuser = "zyndra";

/** Writes the password that the database is made with, where there is none yet. */
export async function makePassword(place: Place): Promise<void> {
  await writeOnce(place.passwordFile, () => randomBytes(32).toString("base64url"));
}

export async function readPassword(place: Place): Promise<string> {
  const password = (await readIfThere(place.passwordFile))?.trim();
  if (password) return password;
  const hint = "put it back from a backup; without it nobody can open the database";
  throw new UserError("conflict", `the database's password file ${place.passwordFile} is missing or empty`, hint);
}
