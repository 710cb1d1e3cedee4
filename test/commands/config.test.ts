import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { getApp } from "../../src/db/apps.ts";
import { listAudit } from "../../src/db/audit.ts";
import { addons, attachments } from "../../src/db/schema.ts";
import type { Actor } from "../../src/model/actor.ts";
import { orgKeyOf } from "../../src/pipeline/config-vars.ts";
import { sealAccess } from "../../src/pipeline/effective-config.ts";
import { namesIn } from "../../src/pipeline/start.ts";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher } from "../support/pusher.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";

let platform: TestPlatform;
let developer: Actor;
let name: string;
let count = 0;
const runtime = standInRuntime();

beforeAll(async () => {
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime } });
  developer = (await platform.member("dev", "developer")).actor;
});
afterAll(() => platform?.[Symbol.asyncDispose]());
beforeEach(async () => {
  name = `app${++count}`;
  await ask("apps:create");
  runtime.reset();
});

const ask = (command: string, input: Record<string, unknown> = {}, actor?: Actor) =>
  platform.ask(command, { app: name, ...input }, actor);
const set = async (...vars: string[]) => (await ask("config:set", { vars })).view.text;
const text = async (command: string, input: Record<string, unknown> = {}) => (await ask(command, input)).view.text;
const audit = async (rows: number) => listAudit(platform.deps.db.db, platform.owner.orgId, rows);
type Deploy = { number: number; status: string; title: string };
const deploys = async () =>
  ((await ask("deploys")).data as Deploy[]).map(({ number, status, title }) => `#${number} ${status} ${title}`);

async function goLive(files: Record<string, string> = { "a.txt": name }): Promise<void> {
  await using pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/${name}.git`);
  await pusher.commit(files, "Sell hats");
  await pusher.push("main");
}

/** An add-on as if it had been made and attached. */
async function attachDatabase(): Promise<void> {
  const { db } = platform.deps.db;
  const app = await getApp(db, platform.owner.orgId, name);
  const { orgId, projectId } = app;
  const id = crypto.randomUUID();
  const access = { host: "127.0.0.1", port: 5432, user: "u", password: "p4ssword-of-db", database: "d" };
  const key = await orgKeyOf(platform.deps, db, orgId);
  const row = {
    id,
    orgId,
    projectId,
    kind: "postgres",
    name: `db${count}`,
    state: "available",
    createdBy: "ana",
  } as const;
  await db.insert(addons).values({ ...row, sealedAccess: sealAccess(key, orgId, id, access) });
  await db
    .insert(attachments)
    .values({ addonId: id, appId: app.id, orgId, projectId, prefix: "DATABASE", createdBy: "ana" });
}

describe("config:set", () => {
  test("makes one release for many vars, and none where all are as they were", async () => {
    expect(await set("A=1")).toBe(`A is set on ${name}; the next push takes it, since nothing is live yet`);
    expect(await set("A=1")).toBe(`A is as before on ${name}; nothing to do`);
    await goLive();
    expect(await set("A=2", "B=3", "C=")).toBe(`A, B, C are set on ${name}; deploy #2 releases it`);
    await eventually(async () => expect(await deploys()).toEqual(["#2 live config: A, B, C", "#1 live Sell hats"]));
    const again = await ask("config:set", { vars: ["A=2", "C="] });
    expect(again.view.text).toBe(`A, C are as before on ${name}; nothing to release`);
    expect(again.follow).toBeUndefined();
    expect(await set("A=2", "D=4")).toBe(`D is set, A is as before on ${name}; deploy #3 releases it`);
    await eventually(async () => expect((await deploys())[0]).toBe("#3 live config: D"));
  });

  test("leaves who set a var, and when, to who changed it", async () => {
    await set("A=1");
    await ask("config:set", { vars: ["A=1", "B=1"] }, developer);
    expect((await ask("config")).data).toMatchObject([
      { name: "A", updatedBy: "ana" },
      { name: "B", updatedBy: "dev" },
    ]);
  });

  test("and what is unset after it: the release is called by what became of each", async () => {
    await set("A=1", "B=1");
    await goLive();
    await ask("config:unset", { names: ["B"] });
    await eventually(async () => expect((await deploys())[0]).toBe("#2 live config: B removed"));
    expect(namesIn("config: A, B removed, add-on db moved")).toEqual(["A", "B", "add-on db moved"]);
  });

  test("of the same values again releases what a failed deploy has left unreleased", async () => {
    await goLive();
    runtime.answer(() => ({ ok: false, cause: { headline: "web crashes at start" } }));
    await set("A=1");
    await eventually(async () => expect((await deploys())[0]).toBe("#2 failed config: A"));
    // Reading how it went is no failure.
    expect((await ask("deploys:logs", { number: 2 })).follow).toMatchObject({ isOver: true });
    runtime.reset();
    expect(await set("A=1")).toBe(`A is as before on ${name}; deploy #3 releases what was not released yet`);
    await eventually(async () => expect((await deploys())[0]).toBe("#3 live config: A"));
  });

  test("of a var that the app's files overrule is nothing to release, and its origin is told", async () => {
    await set("LEVEL=debug", "MODE=fast");
    const env = "  LEVEL: { value: info, sync: true }\n  MODE: slow\n  GREETING: hi\n";
    await goLive({ "zyndra.yml": `version: 1\nenv:\n${env}` });
    expect(await set("LEVEL=debug")).toBe(`LEVEL is as before on ${name}; nothing to release`);
    expect((await ask("config", { reveal: true })).data).toMatchObject([
      { name: "GREETING", value: "hi", origin: "zyndra.yml:5", updatedBy: null },
      { name: "LEVEL", value: "info", origin: "zyndra.yml:3", updatedBy: null },
      { name: "MODE", value: "fast", origin: null, updatedBy: "ana" },
    ]);
    const { view } = await ask("config:export", { reveal: true });
    expect(view.raw).toBe("MODE=fast\n# GREETING comes from zyndra.yml:5\n# LEVEL comes from zyndra.yml:3\n");
  });

  test("sets and unsets in one release, for a file that replaces what there is", async () => {
    await set("A=1", "B=2");
    expect(await text("config:set", { vars: ["A=2"], unset: ["B", "GONE_ALREADY", "A"] })).toContain(
      `A is set, B is unset on ${name}`,
    );
    expect((await ask("config", { reveal: true })).data).toMatchObject([{ name: "A", value: "2" }]);
    const [, changed] = await audit(2);
    expect(changed).toMatchObject({
      command: "config:set",
      input: { names: ["A"], unset: ["B", "GONE_ALREADY", "A"] },
    });
  });
});

describe("config:list", () => {
  test("says who set what, when, and what comes from elsewhere", async () => {
    await set("LOG_LEVEL=debug");
    await attachDatabase();
    const { view, data } = await ask("config");
    expect(view.table!.rows.slice(0, 2)).toEqual([
      ["DATABASE_HOST", "(hidden)", `add-on db${count}`, ""],
      ["DATABASE_NAME", "(hidden)", `add-on db${count}`, ""],
    ]);
    expect(view.table!.rows.at(-1)).toEqual(["LOG_LEVEL", "(hidden)", "ana", expect.stringMatching(/ ago$/)]);
    expect(data).toContainEqual({
      name: "DATABASE_URL",
      origin: `add-on db${count}`,
      updatedBy: null,
      updatedAt: null,
    });
    expect(JSON.stringify([view, data])).not.toMatch(/debug|p4ssword/);
  });

  test("--shell prints lines for a .env file, with --reveal alone", async () => {
    await set("GREETING=hello there", "A=1");
    expect((await ask("config", { shell: true, reveal: true })).view).toEqual({ raw: "A=1\nGREETING='hello there'\n" });
    await expect(ask("config", { shell: true })).rejects.toMatchObject({
      hint: `zyndra config ${name} --shell --reveal`,
    });
  });
});

describe("config:get", () => {
  test("prints a value as it is; several as lines", async () => {
    await set("KEY=-----BEGIN-----\nabc\n-----END-----", "B=it's");
    const one = await ask("config:get", { names: ["KEY"], reveal: true });
    expect(one.view).toEqual({ raw: "-----BEGIN-----\nabc\n-----END-----\n" });
    expect(one.data).toEqual({ KEY: "-----BEGIN-----\nabc\n-----END-----" });
    const both = await ask("config:get", { names: ["B", "KEY"], reveal: true });
    expect(both.view.raw).toBe(`B="it's"\nKEY='-----BEGIN-----\nabc\n-----END-----'\n`);
    const [noted] = await audit(1);
    expect(noted).toMatchObject({ command: "config:get --reveal", subject: name, input: { names: ["B", "KEY"] } });
  });

  test("knows what add-ons contribute", async () => {
    await attachDatabase();
    const { view } = await ask("config:get", { names: ["DATABASE_URL"], reveal: true });
    expect(view.raw).toBe("postgres://u:p4ssword-of-db@127.0.0.1:5432/d\n");
  });

  test("without --reveal, or for a developer, says who may see it; an unknown name finds the nearest", async () => {
    await set("LOG_LEVEL=debug");
    await expect(ask("config:get", { names: ["LOG_LEVEL"] })).rejects.toMatchObject({
      code: "bad_input",
      message: "values are shown only with --reveal, to admins and owners, and that is noted",
      hint: `zyndra config:get ${name} LOG_LEVEL --reveal`,
    });
    await expect(ask("config:get", { names: ["LOG_LEVEL"], reveal: true }, developer)).rejects.toMatchObject({
      code: "forbidden",
      message: `the values of ${name} are shown to admins and owners; dev is developer`,
    });
    await expect(ask("config:get", { names: ["LOG_LEVLE"], reveal: true })).rejects.toMatchObject({
      message: `LOG_LEVLE is not set on ${name}. Did you mean LOG_LEVEL?`,
    });
    await expect(ask("config:get", { names: ["constructor"], reveal: true })).rejects.toThrow("constructor is not set");
  });
});

describe("config:export", () => {
  test("prints what was set, and names what comes from elsewhere in comments", async () => {
    await set("B=a # b", "A=1");
    await attachDatabase();
    const env = await ask("config:export", { reveal: true });
    expect(env.view.raw).toMatch(/^A=1\nB='a # b'\n# DATABASE_HOST comes from add-on db\d+\n/);
    expect(env.view.raw).not.toContain("p4ssword");
    expect((await ask("config:export", { reveal: true, format: "shell" })).view.raw).toMatch(
      /^export A='1'\nexport B='a # b'\n#/,
    );
    expect((await ask("config:export", { reveal: true, format: "json" })).view.raw).toBe(
      '{\n  "A": "1",\n  "B": "a # b"\n}\n',
    );
  });

  test("is refused without --reveal, for developers, and for formats that are none", async () => {
    await expect(ask("config:export")).rejects.toMatchObject({ hint: `zyndra config:export ${name} --reveal` });
    await expect(ask("config:export", { reveal: true }, developer)).rejects.toMatchObject({ code: "forbidden" });
    await expect(ask("config:export", { reveal: true, format: "yaml" })).rejects.toThrow(
      "--format is env, shell or json",
    );
  });
});

describe("config:import and config:edit", () => {
  test("ask the machine where they are typed for what only it has", async () => {
    expect((await ask("config:import", { file: ".env", replace: true, confirm: name })).follow).toEqual({
      kind: "config:import",
      appName: name,
      file: ".env",
      as: null,
      replace: true,
      confirm: name,
      detach: false,
    });
    expect((await ask("config:import")).follow).toMatchObject({ file: "-", as: null, replace: false, confirm: null });
    await expect(ask("config:import", { as: "A", replace: true })).rejects.toThrow("--as sets one config var");
    await expect(ask("config:import", { as: "PORT" })).rejects.toThrow("PORT cannot be set");
    expect((await ask("config:edit", { reveal: true })).follow).toEqual({
      kind: "config:edit",
      appName: name,
      detach: false,
    });
    await expect(ask("config:edit")).rejects.toMatchObject({ hint: `zyndra config:edit ${name} --reveal` });
    await expect(ask("config:edit", { reveal: true }, developer)).rejects.toMatchObject({ code: "forbidden" });
  });
});
