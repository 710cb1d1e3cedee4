import { expect, test } from "vitest";
import { hashSetupCode, isTokenSecret, newSetupCode, newToken, readToken } from "../../src/secrets/tokens.ts";

test("a token is read back as the id and hash that were kept of it", () => {
  for (let run = 0; run < 200; run++) {
    const { token, id, secretHash } = newToken();
    expect(token).toMatch(/^zyp_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}$/);
    expect(secretHash).toMatch(/^[0-9a-f]{64}$/);
    expect(readToken(token)).toEqual({ id, secretHash });
  }
});

test("no two tokens are alike, and what is kept of one does not hold its secret", () => {
  const tokens = Array.from({ length: 500 }, newToken);
  expect(new Set(tokens.map(({ id }) => id)).size).toBe(500);
  expect(new Set(tokens.map(({ secretHash }) => secretHash)).size).toBe(500);
  for (const { token, id, secretHash } of tokens) expect(`${id} ${secretHash}`).not.toContain(token.slice(15, -6));
});

test("a mistyped token is refused before anybody is asked", () => {
  const { token } = newToken();
  for (let at = 0; at < token.length; at++) {
    const typo = token.slice(0, at) + (token[at] === "x" ? "y" : "x") + token.slice(at + 1);
    expect(readToken(typo), typo).toBeUndefined();
    expect(readToken(token.slice(0, at) + token.slice(at + 1))).toBeUndefined();
  }
  for (const wrong of [
    "",
    "zyp_",
    ` ${token}`,
    `${token}\n`,
    `${token}x`,
    token.toUpperCase(),
    "ghp_abc",
    "x".repeat(100_000),
  ]) {
    expect(readToken(wrong)).toBeUndefined();
  }
});

test("only the secret whose hash was kept is a token's secret", () => {
  const [mine, other] = [newToken(), newToken()];
  const shown = readToken(mine.token)!;
  expect(isTokenSecret(shown, mine.secretHash)).toBe(true);
  expect(isTokenSecret(shown, other.secretHash)).toBe(false);
  for (const broken of ["", "zz", mine.secretHash.slice(2)]) expect(isTokenSecret(shown, broken)).toBe(false);
  expect(isTokenSecret({ id: "x", secretHash: "" }, "")).toBe(false);
});

test("a setup code is readable, random, and forgives how people copy", () => {
  const code = newSetupCode();
  expect(code).toMatch(/^([0-9a-hjkmnp-tv-z]{4}-){6}[0-9a-hjkmnp-tv-z]{4}$/);
  expect(new Set(Array.from({ length: 500 }, newSetupCode)).size).toBe(500);
  expect(hashSetupCode(code.toUpperCase().replaceAll("-", " "))).toBe(hashSetupCode(code));
  expect(hashSetupCode("OIL0-zzzz")).toBe(hashSetupCode("0110zzzz"));
  expect(hashSetupCode(newSetupCode())).not.toBe(hashSetupCode(code));
});
