import { createHash, randomBytes, randomInt, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";

/** What the database knows of a token; the secret itself is shown once and kept nowhere. */
export type TokenSecret = {
  id: string /** SHA-256 in hex; a slow hash would gain nothing over 256 random bits. */;
  secretHash: string;
};

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const idLength = 10;
const secretLength = 43; // 62^43 > 2^256
const checksumLength = 6; // 62^6 > 2^32
const tokenPattern = new RegExp(
  `^zyp_([0-9A-Za-z]{${idLength}})_([0-9A-Za-z]{${secretLength}})([0-9A-Za-z]{${checksumLength}})$`,
);

/**
 * Makes a token, `zyp_ID_SECRETCHECKSUM`: the prefix lets scanners of repositories find one that leaked, the id finds its row,
 * the checksum refuses a typo without asking the database.
 */
export function newToken(): TokenSecret & { token: string } {
  const id = Array.from({ length: idLength }, () => digits[randomInt(digits.length)]).join("");
  const secret = toBase62(BigInt(`0x${randomBytes(32).toString("hex")}`), secretLength);
  return { token: `zyp_${id}_${secret}${checksum(id, secret)}`, id, secretHash: hash(secret) };
}

/** The id and hash of a token that somebody shows; undefined for anything that cannot be one. Whether it is known, the database tells. */
export function readToken(text: string): TokenSecret | undefined {
  const [, id, secret, check] = tokenPattern.exec(text) ?? [];
  if (id === undefined || secret === undefined || check !== checksum(id, secret)) return undefined;
  return { id, secretHash: hash(secret) };
}

/** Whether a shown token is the one whose hash was kept, in a time that does not tell how far they agree. */
export function isTokenSecret(shown: TokenSecret, secretHash: string): boolean {
  const [a, b] = [Buffer.from(shown.secretHash, "hex"), Buffer.from(secretHash, "hex")];
  return a.length > 0 && a.length === b.length && timingSafeEqual(a, b);
}

const codeDigits = "0123456789abcdefghjkmnpqrstvwxyz"; // Crockford's base 32: no i, l, o, u.
const codeGroups = 7;
const codeGroupLength = 4;

/** A one-time code for people to copy, also by hand: 140 random bits as `k3m9-7x2p-…`. */
export function newSetupCode(): string {
  const group = () => Array.from({ length: codeGroupLength }, () => codeDigits[randomInt(codeDigits.length)]).join("");
  return Array.from({ length: codeGroups }, group).join("-");
}

/** What is kept of a setup code. Case, hyphens, spaces and the letters that look like digits do not matter. */
export function hashSetupCode(code: string): string {
  const plain = code.toLowerCase().replace(/[\s-]/g, "").replaceAll("o", "0").replace(/[il]/g, "1");
  return hash(plain);
}

function checksum(id: string, secret: string): string {
  return toBase62(BigInt(crc32(`zyp_${id}_${secret}`)), checksumLength);
}

function toBase62(number: bigint, length: number): string {
  let text = "";
  for (let rest = number; text.length < length; rest /= 62n) text = digits[Number(rest % 62n)] + text;
  return text;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
