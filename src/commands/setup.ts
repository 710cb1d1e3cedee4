import { insertAudit } from "../db/audit.ts";
import { claimPlatform, insertMember, insertOrg, insertToken, isClaimed, replaceSetupCode } from "../db/people.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { Actor } from "../model/actor.ts";
import { clip } from "../model/names.ts";
import { hashSetupCode, newSetupCode, newToken } from "../secrets/tokens.ts";
import { type Access, assertBelowLimit, assertPrivate, clientAddress, type Rates, type Shown } from "./actor.ts";

/**
 * Makes the one-time code with which the owner is made, in place of the one before. Undefined where there is an owner.
 */
export async function prepareSetup(deps: Pick<Deps, "db">): Promise<string | undefined> {
  if (await isClaimed(deps.db.db)) return undefined;
  const code = newSetupCode();
  await replaceSetupCode(deps.db.db, hashSetupCode(code));
  return code;
}

export type Claim = {
  code: string /** The owner's name, as others will read it. */;
  name: string;
  org?: string | undefined;
};

export type Claimed = { token: string; name: string; org: string };

/**
 * Makes the org, its first project, the owner and their first token, once. The token is shown in the answer and nowhere else.
 * @throws UserError bad_input (name), forbidden (wrong code; plain HTTP), gone (there is an owner), rate_limited
 */
export async function claim(
  deps: Pick<Deps, "db" | "keyring"> & { rates: Rates; access: Access },
  asked: Claim,
  shown: Shown,
): Promise<Claimed> {
  assertPrivate(deps.access, shown);
  const address = clientAddress(deps.access, shown);
  const name = personName(asked.name);
  const org = asked.org === undefined ? "default" : orgName(asked.org);
  const made = newToken();
  const wrappedKey = await deps.keyring.newOrgKey();
  const claimed = await deps.db.transaction(async (tx) => {
    if (!(await claimPlatform(tx, hashSetupCode(asked.code)))) return false;
    const { orgId } = await insertOrg(tx, { name: org, wrappedKey });
    const userId = await insertMember(tx, { orgId, name, role: "owner" });
    await insertToken(tx, { id: made.id, orgId, userId, label: "setup", secretHash: made.secretHash });
    const owner: Actor = { userId, name, orgId, role: "owner", door: shown.door };
    await insertAudit(tx, owner, { command: "setup", subject: org, outcome: "done" });
    return true;
  });
  if (claimed) return { token: made.token, name, org };
  if (await isClaimed(deps.db.db)) {
    throw new UserError("gone", "this Zyndra has its owner already", "ask them for a token, then: zyndra login URL");
  }
  await assertBelowLimit(deps.rates.badSetupCodes, address, "wrong setup codes");
  await deps.rates.badSetupCodes.penalty(address);
  throw new UserError(
    "forbidden",
    "that is not the setup code",
    "each start prints a new one; take the line of the last start",
  );
}

function personName(name: string): string {
  const trimmed = name.trim();
  if (/^[\p{L}\p{N}][\p{L}\p{N}._ -]{0,39}$/u.test(trimmed)) return trimmed;
  throw new UserError(
    "bad_input",
    `"${clip(name)}" is not a good name for a person: up to 40 letters, digits, spaces and . _ - starting with a letter or digit`,
    "choose one: zyndra setup URL CODE --name ana",
  );
}

function orgName(name: string): string {
  if (/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/.test(name)) return name;
  throw new UserError(
    "bad_input",
    `"${clip(name)}" is not a good name for an org: up to 40 lower-case letters, digits and hyphens`,
  );
}
