import { expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";

test("an empty environment gives the embedded defaults on this machine alone", () => {
  const config = readConfig({});
  expect(config).toMatchObject({
    host: "127.0.0.1",
    port: 7878,
    publicUrl: "http://localhost:7878",
    database: { kind: "embedded" },
    plainHttpAllowed: false,
  });
});

test("all faults of the settings are told at once, each naming its variable", () => {
  const env = {
    PORT: "eighty",
    ZYNDRA_URL: "zyndra.example.org",
    DATABASE_URL: "mysql://x",
    ZYNDRA_LEASE_SECONDS: "0",
    LOG_LEVEL: "loud",
  };
  const read = () => readConfig(env);
  for (const name of Object.keys(env)) expect(read).toThrow(new RegExp(name));
});

test("an empty variable counts as not set", () => {
  expect(readConfig({ PORT: "", DATABASE_URL: "" })).toMatchObject({ port: 7878, database: { kind: "embedded" } });
});
