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
    ZYNDRA_OTHER_HOSTS: "paas.example http://x",
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

test("other hosts are told with commas between them", () => {
  expect(readConfig({ ZYNDRA_OTHER_HOSTS: "paas.example, PaaS.lan" }).otherHosts).toEqual(["paas.example", "paas.lan"]);
  expect(readConfig({}).otherHosts).toEqual([]);
});
