import { describe, expect, test } from "vitest";
import {
  attachedNames,
  attachedVars,
  defaultPrefix,
  engineCalled,
  isSecretRole,
  MountPath,
  overlaps,
  Prefix,
} from "../../src/model/addons.ts";

const access = { host: "127.0.0.1", port: 5432, user: "u", password: "p@ss/word", database: "d" };

describe("the config vars of an add-on", () => {
  test("of a database are its address and the parts of it; what the address needs is encoded", () => {
    expect(attachedVars("ORDERS", access, null)).toEqual({
      ORDERS_URL: "postgres://u:p%40ss%2Fword@127.0.0.1:5432/d",
      ORDERS_HOST: "127.0.0.1",
      ORDERS_PORT: "5432",
      ORDERS_USER: "u",
      ORDERS_PASSWORD: "p@ss/word",
      ORDERS_NAME: "d",
    });
  });

  test.each([
    [{ host: "::1" }, "postgres://u:p%40ss%2Fword@[::1]:5432/d", "::1"],
    [
      { host: "db.example", sslMode: "require" },
      "postgres://u:p%40ss%2Fword@db.example:5432/d?sslmode=require",
      "db.example",
    ],
  ])("of a server like %o", (change, url, host) => {
    const vars = attachedVars("DATABASE", { ...access, ...change }, null);
    expect(vars).toMatchObject({ DATABASE_URL: url, DATABASE_HOST: host });
    expect(new URL(vars.DATABASE_URL!).password).toBe("p%40ss%2Fword");
  });

  test("of a volume is its folder, or where it is mounted", () => {
    expect(attachedVars("UPLOADS", { folder: "/data/1" }, "/app/uploads")).toEqual({ UPLOADS_PATH: "/data/1" });
    expect(attachedVars("UPLOADS", { folder: null }, "/app/uploads")).toEqual({ UPLOADS_PATH: "/app/uploads" });
  });

  test("have the names that are kept for them, and only what opens something is secret", () => {
    expect(attachedNames("postgres", "X").sort()).toEqual(Object.keys(attachedVars("X", access, null)).sort());
    expect(attachedNames("volume", "X")).toEqual(["X_PATH"]);
    expect(attachedNames("postgres", "X").filter(isSecretRole)).toEqual(["X_URL", "X_PASSWORD"]);
  });
});

test.each([
  ["postgres", "postgres"],
  ["PostgreSQL", "postgres"],
  ["pg", "postgres"],
  ["heroku-postgresql:essential-0", "postgres"],
  ["redis", undefined],
  ["volume", undefined],
  ["", undefined],
])("the engine %s is %s", (word, kind) => expect(engineCalled(word)).toBe(kind));

test.each([
  ["ORDERS", "ORDERS"],
  ["orders", "ORDERS"],
  ["DATABASE_URL", "DATABASE"],
  ["uploads_path", "UPLOADS"],
  ["1ST", undefined],
  ["A-B", undefined],
  ["_URL", undefined],
  ["ZYNDRA_X", undefined],
])("the prefix %s is %s", (word, prefix) => expect(Prefix.safeParse(word).data).toBe(prefix));

test("what nobody has named begins with DATABASE, and a volume with its name", () => {
  expect(defaultPrefix("postgres", "shop-db")).toBe("DATABASE");
  expect(defaultPrefix("volume", "shop-files")).toBe("SHOP_FILES");
});

test.each([
  ["/app/uploads", "/app/uploads"],
  ["/app/uploads/", "/app/uploads"],
  ["/data", "/data"],
  ["/app/.well-known", "/app/.well-known"],
  ["/app/.git", undefined],
  ["/application", "/application"],
  ["/usr", undefined],
  ["/users", "/users"],
  ["/app/a/../b", undefined],
  ["/app/./b", undefined],
  ["/app/..b", "/app/..b"],
  [`/app/${"x".repeat(150)}`, undefined],
  [`/app${"/a".repeat(9)}`, `/app${"/a".repeat(9)}`],
  [`/app${"/a".repeat(10)}`, undefined],
])("the mount path %s is %s", (path, expected) => expect(MountPath.safeParse(path).data).toBe(expected));

test.each([
  ["/app/a", "/app/a", true],
  ["/app/a", "/app/a/b", true],
  ["/app/a/b", "/app/a", true],
  ["/app/a", "/app/ab", false],
])("%s and %s overlap: %s", (one, other, expected) => expect(overlaps(one, other)).toBe(expected));
