import { expect, test } from "vitest";
import { AppName, clip, nearest } from "../../src/model/names.ts";

test.each(["a", "shop", "my-shop-2", "a".repeat(30)])("%s is an app's name", (name) => {
  expect(AppName.safeParse(name).success).toBe(true);
});

test.each([
  "",
  "Shop",
  "2shop",
  "-shop",
  "shop-",
  "sh_op",
  "sh op",
  "a".repeat(31),
  "shop\n",
  "../etc",
  "shop;touch x",
  "$(id)",
  "münchen",
  "api",
  "zyndra",
  "localhost",
])("%j is refused in a sentence that shows it", (name) => {
  const parsed = AppName.safeParse(name);
  expect(parsed.success).toBe(false);
  expect(parsed.error!.issues[0]!.message).toContain(clip(name));
});

test("100,000 made-up names are either refused or harmless in a path, a host name and a git URL", () => {
  let seed = 20261123;
  const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  const letters = "aZ09-_./\\;'\"`$(){}<>|&*?!#%~ \n\0\u202eé";
  let accepted = 0;
  for (let round = 0; round < 100_000; round++) {
    const name = Array.from({ length: 1 + random(8) }, () => letters[random(letters.length)]).join("");
    if (!AppName.safeParse(name).success) continue;
    accepted++;
    expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
  }
  expect(accepted).toBeGreaterThan(10);
});

test.each([
  ["scael", ["scale", "ps", "logs"], "scale"],
  ["shpo", ["shop", "blog"], "shop"],
  ["xyz", ["shop", "blog"], undefined],
])("%s is nearest to %j", (word, words, expected) => {
  expect(nearest(word, words)).toBe(expected);
});
