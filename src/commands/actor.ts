import { RateLimiterMemory } from "rate-limiter-flexible";
import type { Database } from "../db/client.ts";
import { findTokenHolder, isClaimed, touchToken } from "../db/people.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { Actor, DoorName } from "../model/actor.ts";
import { isTokenSecret, readToken } from "../secrets/tokens.ts";

/** How the platform is reached: what decides whether a token may be shown to it. */
export type Access = {
  /** The address people use; https there means that a proxy of ours stands in front and ends TLS. */
  publicUrl: string;
  /** Tokens over plain HTTP from other machines, switched on by name. */
  plainHttpAllowed: boolean;
};

/** The setting that switches `plainHttpAllowed` on. */
export const plainHttpSetting = "ZYNDRA_ALLOW_PLAIN_HTTP";

/** What came with a request, at whichever door. */
export type Shown = {
  /** The header as it was sent. */
  authorization?: string | undefined;
  /** The other end of the connection. */
  remoteAddress: string;
  /** X-Forwarded-For, believed only where a proxy of ours stands in front. */
  forwardedFor?: string | undefined;
  /** Whether the connection itself is TLS. */
  secure: boolean;
  door: DoorName;
};

/** Who has shown too many wrong secrets of late, by address; in memory, since a restart may forget it. */
export type Rates = { badTokens: RateLimiterMemory; badSetupCodes: RateLimiterMemory };

const badTokensPerMinute = 20;
const badSetupCodesPerMinute = 10;

export function openRates(): Rates {
  return {
    badTokens: new RateLimiterMemory({ points: badTokensPerMinute, duration: 60 }),
    badSetupCodes: new RateLimiterMemory({ points: badSetupCodesPerMinute, duration: 60 }),
  };
}

/**
 * Who asks, for all doors: a token in Basic (as password under any user name, or as user name) or Bearer. The role is
 * read from the database each time.
 * @throws UserError unauthenticated, rate_limited, forbidden (plain HTTP), unavailable (the platform has no owner yet)
 */
export async function authenticate(
  deps: Pick<Deps, "db" | "log"> & { rates: Rates; access: Access },
  shown: Shown,
): Promise<Actor> {
  assertPrivate(deps.access, shown);
  const address = clientAddress(deps.access, shown);
  const text = tokenOf(shown.authorization);
  if (text === undefined) {
    await assertClaimed(deps.db);
    throw new UserError(
      "unauthenticated",
      "no token was shown",
      "zyndra login URL stores one; for git: zyndra git:remote APP",
    );
  }
  const token = readToken(text);
  const holder = token && (await findTokenHolder(deps.db.db, token.id));
  if (!token || !holder || !isTokenSecret(token, holder.secretHash)) {
    await assertClaimed(deps.db);
    // Only who shows a bad one is slowed down: behind one address there may be many, and a good token is no guess.
    await assertBelowLimit(deps.rates.badTokens, address, "tokens that are not valid");
    await deps.rates.badTokens.penalty(address);
    throw new UserError(
      "unauthenticated",
      token ? "this token is not known here, or was revoked" : "what was shown as a token is not one",
      "zyndra login URL, with a token that is valid; tokens:create makes one",
    );
  }
  noteUse(deps, token.id, holder.lastUsedAt);
  const { userId, userName: name, orgId, role } = holder;
  return { userId, name, orgId, role, door: shown.door, tokenId: token.id };
}

/**
 * Secrets are taken over TLS, from this machine itself, or where someone switched plain HTTP on. Asked before a client is
 * told to show one, so that it never does.
 * @throws UserError forbidden
 */
export function assertPrivate(access: Access, shown: Pick<Shown, "remoteAddress" | "secure">): void {
  const behindProxy = access.publicUrl.startsWith("https:");
  if (shown.secure || behindProxy || access.plainHttpAllowed || isLoopback(shown.remoteAddress)) return;
  throw new UserError(
    "forbidden",
    "tokens are not taken over plain HTTP from another machine, where others could read them",
    `whoever runs this Zyndra can give it an https address (ZYNDRA_URL, a TLS proxy in front) or set ${plainHttpSetting}=1`,
  );
}

/** The address that limits count by: the client's own also behind a proxy, so that one person's slips lock nobody else out. */
export function clientAddress(access: Access, shown: Pick<Shown, "remoteAddress" | "forwardedFor">): string {
  const behindProxy = access.publicUrl.startsWith("https:");
  // The proxy appends the address that it sees; what stands before was sent by the client and may be anything.
  const seenByProxy = behindProxy ? shown.forwardedFor?.split(",").at(-1)?.trim() : undefined;
  return (seenByProxy || shown.remoteAddress).slice(0, 60);
}

/** @throws UserError rate_limited */
export async function assertBelowLimit(limiter: RateLimiterMemory, address: string, what: string): Promise<void> {
  const spent = await limiter.get(address);
  if (!spent || spent.consumedPoints < limiter.points) return;
  const seconds = Math.ceil(spent.msBeforeNext / 1000);
  throw new UserError("rate_limited", `too many ${what} came from ${address}`, `try again in ${seconds} s`);
}

/** The token in an Authorization header (RFC 7617, RFC 6750), or undefined. */
function tokenOf(authorization: string | undefined): string | undefined {
  const [, scheme = "", credentials = ""] = /^([a-z]+) +([\w.~+/=-]+) *$/i.exec(authorization ?? "") ?? [];
  if (scheme.toLowerCase() === "bearer") return credentials;
  if (scheme.toLowerCase() !== "basic") return undefined;
  const text = Buffer.from(credentials, "base64").toString("utf8");
  const colon = text.indexOf(":");
  const [user, password] = colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
  return (password === "" || password === "x-oauth-basic" ? user : password) || undefined;
}

function isLoopback(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\.\d+\.\d+\.\d+$/i.test(address);
}

/** A platform that was claimed stays so: it is looked up until then only. */
const knownAsClaimed = new WeakSet<Database>();

/** @throws UserError unavailable while the platform has no owner */
async function assertClaimed(db: Database): Promise<void> {
  if (knownAsClaimed.has(db)) return;
  if (!(await isClaimed(db.db))) {
    throw new UserError(
      "unavailable",
      "this Zyndra has no owner yet",
      "its start has printed the line that makes one: zyndra setup URL CODE",
    );
  }
  knownAsClaimed.add(db);
}

/** `lastUsedAt` is kept to the minute; nobody waits for it. */
const useNotedEveryMs = 60_000;

function noteUse(deps: Pick<Deps, "db" | "log">, tokenId: string, lastUsedAt: Date | null): void {
  if (lastUsedAt !== null && Date.now() - lastUsedAt.getTime() < useNotedEveryMs) return;
  touchToken(deps.db.db, tokenId).catch((error) => {
    deps.log.warn({ err: error, tokenId }, "a token's use could not be noted");
  });
}
