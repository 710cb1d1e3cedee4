import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand } from "../../src/commands/command.ts";
import { commands } from "../../src/commands/registry.ts";
import { insertMember, insertOrg } from "../../src/db/people.ts";
import { UserError } from "../../src/errors.ts";
import { type Actor, mayAct, roles } from "../../src/model/actor.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";

let platform: TestPlatform;
let stranger: Actor;
const members = new Map<string, Actor>();

beforeAll(async () => {
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime: standInRuntime() } });
  for (const role of roles) members.set(role, (await platform.member(`a-${role}`, role)).actor);
  const { db, keyring } = platform.deps;
  const { orgId } = await insertOrg(db.db, { name: "others", wrappedKey: keyring.newOrgKey() });
  const userId = await insertMember(db.db, { orgId, name: "mallory", role: "owner" });
  stranger = { userId, name: "mallory", orgId, role: "owner", door: "http" };
  await platform.ask("apps:create", { app: "shop" });
});

afterAll(() => platform?.[Symbol.asyncDispose]());

/** Input that is good enough to be let through the gate; what it does then is its own tests' business. */
const inputs: Record<string, Record<string, unknown>> = {
  "apps:list": {},
  "apps:create": { app: "shop" },
  "apps:info": { app: "shop" },
  "apps:rename": { app: "shop", newName: "shop" },
  "apps:destroy": { app: "nothing" },
  "maintenance:on": { app: "shop" },
  "maintenance:off": { app: "shop" },
  maintenance: { app: "shop" },
  lock: { app: "shop", reason: "launch" },
  unlock: { app: "shop" },
  "domains:list": { app: "shop" },
  "domains:add": { app: "shop", hosts: ["www.hats.example"] },
  "domains:remove": { app: "shop", hosts: ["tea.example"] },
  deploy: { app: "shop" },
  "deploys:list": { app: "shop" },
  "deploys:info": { app: "shop" },
  "deploys:logs": { app: "shop" },
  "deploys:cancel": { app: "shop" },
  "deploys:retry": { app: "shop" },
  "releases:list": { app: "shop" },
  "releases:info": { app: "shop" },
  "releases:diff": { app: "shop" },
  "releases:rollback": { app: "shop" },
  "config:list": { app: "shop" },
  "config:set": { app: "shop", vars: ["A=1"] },
  "config:unset": { app: "shop", names: ["B"] },
  "config:get": { app: "shop", names: ["A"] },
  "config:export": { app: "shop" },
  "config:import": { app: "shop" },
  "config:explain": { app: "shop" },
  "config:edit": { app: "shop" },
  "addons:list": { app: "shop" },
  "addons:create": { engine: "postgres", app: "shop" },
  "addons:info": { name: "nothing" },
  "addons:attach": { name: "nothing", app: "shop" },
  "addons:detach": { name: "nothing", app: "shop" },
  "addons:destroy": { name: "nothing" },
  "volumes:list": { app: "shop" },
  "volumes:create": { name: "uploads", app: "shop" },
  "volumes:info": { name: "nothing" },
  "volumes:attach": { name: "nothing", app: "shop" },
  "volumes:detach": { name: "nothing", app: "shop" },
  "volumes:destroy": { name: "nothing" },
  "ps:list": { app: "shop" },
  "ps:scale": { app: "shop", changes: ["web=1"] },
  "ps:restart": { app: "shop" },
  "ps:stop": { app: "shop" },
  "ps:start": { app: "shop" },
  "cron:list": { app: "shop" },
  "cron:run": { app: "shop", name: "report" },
  "cron:runs": { app: "shop" },
  run: { app: "shop", command: ["ls"] },
  "run:detached": { app: "shop", command: ["ls"] },
  "run:stop": { app: "shop", run: "run.1" },
  logs: { app: "shop" },
  "tokens:list": {},
  "tokens:create": { label: "laptop" },
  "tokens:revoke": { token: "none" },
  "platform:doctor": {},
};

test("every command of the registry is in the matrix", () => {
  expect(commands.map(({ name }) => name).sort()).toEqual(Object.keys(inputs).sort());
});

describe.each(commands.map((command) => [command.name, command] as const))("%s", (name, command) => {
  test.each(roles)("asked for by a %s is refused exactly where the role is not enough", async (role) => {
    const fault = await runCommand(platform.deps, command, inputs[name], members.get(role)!).then(
      () => undefined,
      (error) => error,
    );
    const forbidden = fault instanceof UserError && fault.code === "forbidden";
    expect(forbidden).toBe(!mayAct(role, command.needs));
    if (forbidden) expect(fault.message).toContain(`needs the role ${command.needs}`);
  });

  test("asked for by the owner of another org does not show that the app exists", async () => {
    const input = inputs[name]!;
    if (!("app" in input) || name === "apps:create") return;
    const asked = runCommand(platform.deps, command, { ...input, app: "shop" }, stranger);
    await expect(asked).rejects.toMatchObject({
      code: "not_found",
      message: expect.stringContaining('no app is called "shop"'),
    });
  });

  test("with a field that is not known is refused in a sentence that names it", async () => {
    const asked = runCommand(platform.deps, command, { ...inputs[name], hats: 3 }, platform.owner);
    await expect(asked).rejects.toMatchObject({
      code: "bad_input",
      message: expect.stringContaining('"hats" is not known here'),
    });
  });

  test("has a summary, an example that begins with its own words, and no example of another command", () => {
    expect(command.summary).toMatch(/^[A-Z].*[^.]$/);
    expect(command.examples.length).toBeGreaterThan(0);
    for (const example of command.examples)
      expect([command.name, ...(command.aliases ?? [])]).toContain(example.split(" ")[0]);
  });
});

test("what is missing is asked for, in the field's own words where it has some", async () => {
  const asked = (name: string, input = {}) => platform.ask(name, input).then(String, ({ message }) => message);
  expect(await asked("ps")).toBe("which app?");
  expect(await asked("cron:run", { app: "shop" })).toBe("which cron entry? zyndra cron shop lists them");
  expect(await asked("config:set", { app: "shop", vars: ["LOG_LEVEL"] })).toBe(
    "LOG_LEVEL has no value: zyndra config:set shop LOG_LEVEL=…",
  );
  const typed = commands.filter(({ name }) => name !== "git:push");
  for (const { name } of typed) expect(await asked(name), name).not.toMatch(/is missing/);
  expect(await asked("apps:create")).toBe("what is the app to be called?");
  expect(await asked("config:set", { app: "shop" })).toBe("which config vars? For example: LOG_LEVEL=debug");
  expect(await asked("config:list", { app: "shop", reveal: "yes" })).toBe("reveal must be boolean");
});

test("a program finds the app under one name, and nothing that only the command line needs", async () => {
  const { data } = await platform.ask("ps:scale", { app: "shop", changes: ["web=1"] });
  expect(data).toEqual({ app: "shop", isLive: false, formation: { web: 1 } });
});

test("a wrong app is answered with the nearest that exists", async () => {
  await expect(platform.ask("ps", { app: "shpo" })).rejects.toMatchObject({
    message: 'no app is called "shpo". Did you mean shop?',
    hint: "zyndra apps lists what there is",
  });
});

test("a name that is taken in another org is taken, without saying by whom", async () => {
  const asked = runCommand(
    platform.deps,
    commands.find(({ name }) => name === "apps:create")!,
    { app: "shop" },
    stranger,
  );
  await expect(asked).rejects.toMatchObject({ code: "conflict", message: "the name shop is taken" });
});

test("a refusal leaves nothing behind but its audit row", async () => {
  const before = await platform.ask("config", { app: "shop" });
  await expect(platform.ask("config:set", { app: "shop", vars: ["GOOD=1", "PORT=2"] })).rejects.toThrow(
    "PORT cannot be set",
  );
  expect((await platform.ask("config", { app: "shop" })).data).toEqual(before.data);
  const unset = platform.ask("config:unset", { app: "shop", names: ["A", "NOT_THERE"] });
  await expect(unset).rejects.toThrow("NOT_THERE is not set on shop; nothing was changed");
  expect((await platform.ask("config", { app: "shop" })).data).toEqual(before.data);
});

test("values that are too short or too common to be hidden are named when they are set", async () => {
  const { view } = await platform.ask("config:set", {
    app: "shop",
    vars: ["MODE=production", "KEY=a-long-enough-secret"],
  });
  expect(view.warnings).toEqual(["the value of MODE is too short or too common to be hidden in logs"]);
});

test("values are shown only with --reveal, and to admins and owners only", async () => {
  const developer = members.get("developer")!;
  const shown = JSON.stringify(await platform.ask("config", { app: "shop" }));
  expect(shown).not.toContain("a-long-enough-secret");
  await expect(platform.ask("config", { app: "shop", reveal: true }, developer)).rejects.toMatchObject({
    code: "forbidden",
  });
  const { data } = await platform.ask("config", { app: "shop", reveal: true }, members.get("admin")!);
  expect(data).toContainEqual(expect.objectContaining({ name: "KEY", value: "a-long-enough-secret" }));
});

test("what is in the database of config vars is ciphertext", async () => {
  const { rows } = await platform.deps.db.db.execute("select sealed_value from config_vars");
  expect(rows.length).toBeGreaterThan(0);
  expect(JSON.stringify(rows)).not.toMatch(/a-long-enough-secret|production/);
});

test("a token works until it is revoked", async () => {
  const { data } = await platform.ask("tokens:create", { label: "robot" });
  const { token } = data as { token: string };
  const ask = () =>
    fetch(`${platform.url}/api/commands/apps:list`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: "{}",
    });
  expect((await ask()).status).toBe(200);
  await platform.ask("tokens:revoke", { token: "robot" });
  expect((await ask()).status).toBe(401);
});
