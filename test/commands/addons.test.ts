import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseWords } from "../../src/commands/argv.ts";
import { runCommand } from "../../src/commands/command.ts";
import { commands } from "../../src/commands/registry.ts";
import { countOfKind, listVolumes } from "../../src/db/addons.ts";
import { getApp, listAppNames } from "../../src/db/apps.ts";
import { insertMember, insertOrg } from "../../src/db/people.ts";
import { UserError } from "../../src/errors.ts";
import type { Actor } from "../../src/model/actor.ts";
import { followMovedAddons } from "../../src/pipeline/moved-addons.ts";
import { eventually } from "../support/eventually.ts";
import { getPage } from "../support/get-page.ts";
import { commandCalled, type TestPlatform, testPlatform } from "../support/platform.ts";
import { type GitRun, newPusher, type Pusher } from "../support/pusher.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";

let platform: TestPlatform;
let name: string;
let pusher: Pusher;
let count = 0;
const runtime = standInRuntime();

beforeAll(async () => {
  platform = await testPlatform({
    overrides: { builder: standInBuilder(), runtime, limits: { sweepMs: 100, addonMs: 20_000 } },
  });
});

afterAll(() => platform?.[Symbol.asyncDispose]());

beforeEach(async () => {
  name = `app${++count}`;
  await platform.ask("apps:create", { app: name });
  pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/${name}.git`);
  return async () => {
    runtime.reset();
    await pusher[Symbol.asyncDispose]();
  };
});

const ask = (command: string, input: Record<string, unknown> = {}) => platform.ask(command, input);
const say = async (command: string, input: Record<string, unknown> = {}) => (await ask(command, input)).view.text;
const create = (input: Record<string, unknown> = {}) =>
  say("addons:create", { engine: "postgres", app: name, ...input });
const push = async (): Promise<GitRun> => {
  await pusher.commit({ "a.txt": String(Math.random()) });
  return pusher.push("main");
};
const app = () => getApp(platform.deps.db.db, platform.owner.orgId, name);
const serving = async () => runtime.serving.get((await app()).id);
type Deploy = { number: number; status: string; title: string; cause: { headline: string; detail?: string } | null };
const deploys = async () => (await ask("deploys", { app: name })).data as Deploy[];
const settled = (expected: string[]) =>
  eventually(async () => expect((await deploys()).map((d) => `#${d.number} ${d.status}`)).toEqual(expected));
type Info = {
  id: string;
  state: string;
  attachedTo: object[];
  cause: { headline: string; detail?: string; hint?: string } | null;
};
const info = async (addon: string) => (await ask("addons:info", { name: addon })).data as Info;
const reaches = (addon: string, state: string) =>
  eventually(async () => expect(await info(addon)).toMatchObject({ state }));
const databaseNames = ["URL", "HOST", "PORT", "USER", "PASSWORD", "NAME"].map((role) => `DATABASE_${role}`);

describe("addons:create", () => {
  test("before the first push, makes a database that the push takes", async () => {
    expect(await create()).toBe(
      `${name}-postgres is being made; the next push of ${name} takes DATABASE_URL and 5 more`,
    );
    await reaches(`${name}-postgres`, "available");
    expect((await push()).exitCode).toBe(0);
    const { env } = (await serving())!;
    expect(Object.keys(env).sort()).toEqual(databaseNames.toSorted());
    expect(env.DATABASE_URL).toBe(
      `postgres://${env.DATABASE_USER}:${env.DATABASE_PASSWORD}@db.test:5432/${env.DATABASE_NAME}`,
    );
  });

  test("on what is live, is released at once with its vars, whose origin is told", async () => {
    await push();
    expect(await create({ name: `db${count}` })).toBe(
      `db${count} is being made; deploy #2 releases ${name} with DATABASE_URL and 5 more`,
    );
    await settled(["#2 live", "#1 live"]);
    expect((await serving())!.env.DATABASE_HOST).toBe("db.test");
    const { data } = await ask("config", { app: name });
    expect(data).toContainEqual(expect.objectContaining({ name: "DATABASE_URL", origin: `add-on db${count}` }));
    expect((await deploys())[0]!.title).toBe(`config: add-on db${count}`);
  });

  test("without an app, makes one that nobody has yet", async () => {
    const { view } = await ask("addons:create", { engine: "pg", name: `alone${count}` });
    expect(view.text).toBe(`alone${count} is being made`);
    expect(view.hint).toBe(`zyndra addons:attach alone${count} --app APP gives it to an app`);
    await reaches(`alone${count}`, "available");
  });

  test("takes the words that people know, also with the app first, and a second one under other names", async () => {
    await create({ engine: "heroku-postgresql:mini" });
    await expect(create()).rejects.toMatchObject({
      code: "conflict",
      message: `another add-on of ${name} has taken the names that begin with DATABASE_`,
      hint: "choose how the names begin: --as ORDERS, for example",
    });
    expect(await create({ engine: name, app: "postgresql", as: "orders_url" })).toBe(
      `${name}-postgres-2 is being made; the next push of ${name} takes ORDERS_URL and 5 more`,
    );
  });

  test.each([
    ["redis", "unsupported", "redis is not in this version: what can be made is postgres", "REDIS_URL="],
    ["jawsdb-mysql", "unsupported", "jawsdb-mysql is not in this version", "MYSQL_URL="],
    ["volume", "bad_input", "a volume is made by a command of its own", "zyndra volumes:create uploads --app "],
    ["hats", "bad_input", 'there is no kind of add-on called "hats", only postgres', "zyndra addons:create postgres"],
  ])("says of %s what there is instead", async (engine, code, message, hint) => {
    await expect(create({ engine })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
      hint: expect.stringContaining(hint),
    });
  });

  test("is refused where its name is taken, where its vars are set, and where the server has no room", async () => {
    await create({ name: `taken${count}` });
    await expect(create({ name: `taken${count}`, as: "OTHER" })).rejects.toThrow(
      `there is an add-on called taken${count}`,
    );
    await expect(ask("volumes:create", { name: `taken${count}`, app: name })).rejects.toMatchObject({
      code: "conflict",
      hint: `a name is unique in its project; choose another: zyndra volumes:create OTHER --app ${name}`,
    });
    await ask("config:set", { app: name, vars: ["ORDERS_URL=postgres://elsewhere"] });
    await expect(create({ as: "ORDERS" })).rejects.toMatchObject({
      code: "conflict",
      message: `ORDERS_URL is set on ${name} already`,
      hint: expect.stringContaining(`zyndra config:unset ${name} ORDERS_URL makes room`),
    });
    runtime.data.refuses(new UserError("conflict", "there are 40 databases", "destroy one"));
    await expect(create({ as: "MORE" })).rejects.toThrow("there are 40 databases");
    const { data } = await ask("addons:list", { app: name });
    expect((data as { name: string }[]).map((addon) => addon.name)).toEqual([`taken${count}`]);
  });
});

describe("what an add-on contributes", () => {
  test("can be neither set nor unset", async () => {
    await create({ name: `db${count}` });
    const refusal = {
      code: "conflict",
      message: `DATABASE_URL of ${name} comes from add-on db${count}; nothing was changed`,
      hint: expect.stringContaining(`zyndra addons:detach db${count} --app ${name}`),
    };
    await expect(ask("config:set", { app: name, vars: ["A=1", "DATABASE_URL=x"] })).rejects.toMatchObject(refusal);
    await expect(ask("config:unset", { app: name, names: ["DATABASE_URL"] })).rejects.toMatchObject(refusal);
    expect((await ask("config", { app: name })).data).not.toContainEqual(expect.objectContaining({ name: "A" }));
  });

  test("is in no table, no audit row and no log of the platform in the clear", async () => {
    await push();
    await create({ name: `db${count}` });
    await settled(["#2 live", "#1 live"]);
    const { DATABASE_PASSWORD: password } = (await serving())!.env;
    expect(password).toContain("password-of-");
    const { rows } = await platform.deps.db.db.execute<{ name: string }>(
      sql`select tablename as name from pg_tables where schemaname = 'public'`,
    );
    expect(rows.length).toBeGreaterThan(15);
    for (const { name: table } of rows) {
      const content = await platform.deps.db.db.execute(sql`select t::text from ${sql.identifier(table)} t`);
      expect({ table, leaks: JSON.stringify(content.rows).includes(password!) }).toEqual({ table, leaks: false });
    }
  });

  test("stays as it is now after a rollback, whatever was attached or set then", async () => {
    await ask("config:set", { app: name, vars: ["ORDERS_URL=set-by-hand-then", "OLD=as it was"] });
    await push();
    await create({ name: `db${count}` });
    await settled(["#2 live", "#1 live"]);
    await ask("addons:detach", { name: `db${count}`, app: name });
    await settled(["#3 live", "#2 live", "#1 live"]);
    await ask("config:unset", { app: name, names: ["ORDERS_URL", "OLD"] });
    await settled(["#4 live", "#3 live", "#2 live", "#1 live"]);
    await create({ name: `orders${count}`, as: "ORDERS" });
    await settled(["#5 live", "#4 live", "#3 live", "#2 live", "#1 live"]);

    await ask("releases:rollback", { app: name, version: 2 });
    await eventually(async () => expect((await serving())!.version).toBe(6));
    const { env } = (await serving())!;
    expect(env.OLD).toBe("as it was");
    expect(env.ORDERS_URL).toMatch(/^postgres:/);
    expect(env.DATABASE_URL).toBeUndefined();
    const { data } = await ask("config", { app: name });
    expect(data).toContainEqual(expect.objectContaining({ name: "ORDERS_URL", origin: `add-on orders${count}` }));
  });
});

describe("addons:detach and addons:attach", () => {
  test("take vars away and give the same ones to another app, each with a release", async () => {
    await push();
    await create({ name: `db${count}` });
    await settled(["#2 live", "#1 live"]);
    const before = (await serving())!.env;
    const { view } = await ask("addons:detach", { name: `db${count}`, app: name });
    expect(view.text).toBe(
      `db${count} is detached from ${name}; deploy #3 releases it without DATABASE_URL and 5 more`,
    );
    await settled(["#3 live", "#2 live", "#1 live"]);
    expect((await serving())!.env).toEqual({});

    await ask("apps:create", { app: `other-${name}` });
    await ask("addons:attach", { name: `db${count}`, app: `other-${name}`, as: "ORDERS" });
    const { data } = await ask("config", { app: `other-${name}`, reveal: true });
    expect(data).toContainEqual(expect.objectContaining({ name: "ORDERS_URL", value: before.DATABASE_URL }));
    await expect(ask("addons:attach", { name: `db${count}`, app: `other-${name}` })).rejects.toThrow(
      `db${count} is attached to other-${name} already`,
    );
    await expect(ask("addons:detach", { name: `db${count}`, app: name })).rejects.toThrow(
      `db${count} is not attached to ${name}`,
    );
    await expect(ask("addons:attach", { name: `bd${count}`, app: name })).rejects.toThrow(
      `no add-on is called "bd${count}". Did you mean db${count}?`,
    );
  });
});

describe("addons:destroy", () => {
  test("asks for the name, telling the size, and is refused while it is attached, unless by force", async () => {
    await push();
    await create({ name: `db${count}` });
    await settled(["#2 live", "#1 live"]);
    const refused = { code: "conflict", message: `db${count} is attached to ${name}` };
    await expect(ask("addons:destroy", { name: `db${count}` })).rejects.toMatchObject(refused);
    const words = (body: object) =>
      getPage(`${platform.url}/api/words`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${platform.token}` },
        body: JSON.stringify(body),
      });
    expect((await words({ words: ["addons:destroy", `db${count}`] })).body).toContain(`is attached to ${name}`);
    const asked = await words({ words: ["addons:destroy", `db${count}`, "--force"] });
    expect(JSON.parse(asked.body).confirm).toEqual({
      warning: `This removes the PostgreSQL database db${count} (8.4 MB) for good, with all that is in it. ${name} loses it at once.`,
      type: `db${count}`,
    });

    const { id } = await info(`db${count}`);
    expect(await say("addons:destroy", { name: `db${count}`, force: true })).toBe(
      `db${count} is being removed; deploy #3 releases ${name} without it`,
    );
    await eventually(async () => expect(runtime.data.made.has(id)).toBe(false));
    await settled(["#3 live", "#2 live", "#1 live"]);
    await eventually(async () => {
      await expect(info(`db${count}`)).rejects.toMatchObject({ code: "not_found" });
    });
    expect((await serving())!.env).toEqual({});
  });

  test("of one that is still being made ends that first", async () => {
    const open = runtime.data.hold();
    await create({ name: `db${count}` });
    const { id } = await info(`db${count}`);
    await ask("addons:detach", { name: `db${count}`, app: name });
    await ask("addons:destroy", { name: `db${count}` });
    await expect(ask("addons:attach", { name: `db${count}`, app: name })).rejects.toThrow(
      `db${count} is being destroyed, as ana asked`,
    );
    open();
    await eventually(async () => {
      await expect(info(`db${count}`)).rejects.toMatchObject({ code: "not_found" });
    });
    expect(runtime.data.made.has(id)).toBe(false);
  });

  test("is tried again for as long as it does not succeed", async () => {
    await create({ name: `db${count}` });
    await reaches(`db${count}`, "available");
    await ask("addons:detach", { name: `db${count}`, app: name });
    runtime.data.fails(() => new Error("somebody holds on to it"));
    await ask("addons:destroy", { name: `db${count}` });
    await eventually(async () =>
      expect(await info(`db${count}`)).toMatchObject({
        state: "destroying",
        cause: { headline: "Zyndra itself failed" },
      }),
    );
    // Whoever waits for it is told what stands in the way, once, and to wait no longer after many tries.
    const { id } = await info(`db${count}`);
    const { db } = platform.deps.db;
    await eventually(async () => {
      await db.execute(
        sql`update addons set lease_until = null where id = ${id} and lease_until > now() + interval '1 s'`,
      );
      const { rows } = await db.execute(sql`select data from events where topic = ${`addon:${id}`} order by seq`);
      const trouble = {
        type: "addon",
        state: "destroying",
        cause: expect.objectContaining({ headline: "Zyndra itself failed" }),
      };
      expect(rows.map(({ data }) => data).slice(3, 5)).toEqual([trouble, { ...trouble, takesLong: true }]);
    });
    runtime.data.fails(undefined);
    await eventually(async () => {
      await expect(info(`db${count}`)).rejects.toMatchObject({ code: "not_found" });
    });
  });
});

describe("apps:destroy", () => {
  test("takes what is attached to this app alone, tells so before, and leaves what others use", async () => {
    await ask("apps:create", { app: `other-${name}` });
    await create({ name: `db${count}` });
    await create({ name: `shared${count}`, as: "SHARED" });
    await ask("volumes:create", { name: `files${count}`, app: name });
    await ask("addons:attach", { name: `shared${count}`, app: `other-${name}` });
    for (const addon of [`db${count}`, `shared${count}`, `files${count}`]) await reaches(addon, "available");
    const { id } = await info(`db${count}`);
    const { warning } = await commandCalled("apps:destroy").confirm!(
      { app: name },
      { deps: platform.deps, tx: platform.deps.db.db, actor: platform.owner },
    );
    expect(warning).toContain(
      `Its PostgreSQL database db${count} (8.4 MB) and its volume files${count} (8.4 MB) go too, with all that is in them. ` +
        `shared${count} stays, which other-${name} uses too.`,
    );
    await ask("apps:destroy", { app: name });
    for (const addon of [`db${count}`, `files${count}`]) {
      await eventually(async () => {
        await expect(info(addon)).rejects.toMatchObject({ code: "not_found" });
      });
    }
    expect(runtime.data.made.has(id)).toBe(false);
    expect(await info(`shared${count}`)).toMatchObject({
      state: "available",
      attachedTo: [{ app: `other-${name}`, prefix: "DATABASE" }],
    });
    expect(runtime.data.made.has((await info(`shared${count}`)).id)).toBe(true);
  });
});

describe("volumes", () => {
  test("are made, mounted where it is said or at a place of their name, and found by a config var", async () => {
    await push();
    expect(await say("volumes:create", { name: `up-loads${count}`, app: name })).toBe(
      `up-loads${count} is being made; deploy #2 releases ${name} with UP_LOADS${count}_PATH`,
    );
    await settled(["#2 live", "#1 live"]);
    const { env, volumes } = (await serving())!;
    const { id } = await info(`up-loads${count}`);
    expect(volumes).toEqual([{ addonId: id, name: `up-loads${count}`, path: `/app/up-loads${count}` }]);
    expect(env).toEqual({ [`UP_LOADS${count}_PATH`]: `/volumes/${id}` });
    const { data } = await ask("volumes:list", { app: name });
    expect(data).toMatchObject([{ name: `up-loads${count}`, attachedTo: [{ mountPath: `/app/up-loads${count}` }] }]);
  });

  test("that are not made yet are mounted nowhere", async () => {
    const open = runtime.data.hold();
    await ask("volumes:create", { name: `slow${count}`, app: name });
    const { db } = platform.deps.db;
    const { id } = await app();
    expect(await listVolumes(db, id)).toEqual([]);
    open();
    await eventually(async () => expect(await listVolumes(db, id)).toHaveLength(1));
  });

  test("that move are released again, also where their config var stays the same", async () => {
    await push();
    await ask("volumes:create", { name: `files${count}`, app: name });
    await settled(["#2 live", "#1 live"]);
    const open = runtime.hold();
    await ask("config:set", { app: name, vars: ["A=1"] });
    await eventually(async () => expect((await deploys())[0]!.status).toBe("rolling_out"));
    await ask("volumes:detach", { name: `files${count}`, app: name });
    await ask("volumes:attach", { name: `files${count}`, app: name, mount: "/app/public/files/" });
    open();
    await settled(["#4 live", "#3 live", "#2 live", "#1 live"]);
    expect((await serving())!.volumes).toMatchObject([{ path: "/app/public/files" }]);
    expect((await serving())!.version).toBe(4);
  });

  test.each([
    ["/", '"/" is no mount path'],
    ["/app", "nothing can be mounted at /app"],
    ["/app/.zyndra-volumes", "nothing can be mounted at /app/.zyndra-volumes"],
    ["/etc/files", "nothing can be mounted at /etc/files"],
    ["/app/../etc", '"/app/../etc" is no mount path'],
    ["uploads", '"uploads" is no mount path'],
    ["/app//x", '"/app//x" is no mount path'],
    ["/app/x y", '"/app/x y" is no mount path'],
  ])("are not mounted at %s", async (mount, message) => {
    await expect(ask("volumes:create", { name: "files", app: name, mount })).rejects.toMatchObject({
      code: "bad_input",
      message: expect.stringContaining(message),
    });
  });

  test("do not lie in one another, have no size, and are no databases", async () => {
    await ask("volumes:create", { name: `files${count}`, app: name, mount: "/app/files" });
    await expect(
      ask("volumes:create", { name: `more${count}`, app: name, mount: "/app/files/more" }),
    ).rejects.toMatchObject({
      code: "conflict",
      message: `volume files${count} of ${name} is mounted at /app/files: one cannot lie in another`,
    });
    await expect(ask("volumes:create", { name: "big", app: name, size: "10GB" })).rejects.toMatchObject({
      code: "unsupported",
      message: "volumes have no size of their own here: they share the machine's disk",
    });
    await expect(ask("volumes:create", { name: "big", mount: "/app/big" })).rejects.toThrow("which app?");
    await create({ name: `db${count}` });
    await expect(ask("volumes:destroy", { name: `db${count}`, force: true })).rejects.toMatchObject({
      code: "bad_input",
      message: `db${count} is no volume but a PostgreSQL database`,
    });
  });
});

describe("a deploy of an app with an add-on that is not there yet", () => {
  test("waits for it, says so, and has its vars in build and release", async () => {
    const open = runtime.data.hold();
    await create({ name: `db${count}` });
    await pusher.commit({ "a.txt": "hats" });
    const pushed = pusher.startPush("main");
    await pushed.printed(new RegExp(`waiting for add-on db${count}`));
    expect((await deploys())[0]!.status).toBe("building");
    open();
    expect((await pushed.ended).exitCode).toBe(0);
    expect((await serving())!.env.DATABASE_HOST).toBe("db.test");
  });

  test("fails where it cannot be made, with the reason; the next deploy tries again", async () => {
    runtime.data.fails(
      () => new UserError("forbidden", "the login may not make databases", "ALTER ROLE zyndra CREATEDB"),
    );
    await create({ name: `db${count}` });
    await reaches(`db${count}`, "failed");
    const failed = await push();
    expect(failed.exitCode).toBe(1);
    expect(failed.output).toContain(`add-on db${count} could not be made before (the login may not make databases)`);
    expect(failed.output).toContain(`error: add-on db${count} could not be made: the login may not make databases`);
    expect(failed.output).toContain(
      `hint: ALTER ROLE zyndra CREATEDB; zyndra addons:detach db${count} --app ${name} goes on without it`,
    );
    const doctor = (await ask("platform:doctor")).data as { check: string; verdict: string; text: string }[];
    expect(doctor.find(({ check }) => check === "add-ons")).toMatchObject({
      verdict: "warning",
      text: expect.stringMatching(/^\d+ there, 1 could not be made$/),
    });
    expect(await info(`db${count}`)).toMatchObject({
      state: "failed",
      cause: { headline: "the login may not make databases", hint: "ALTER ROLE zyndra CREATEDB" },
    });
    runtime.data.fails(undefined);
    expect((await push()).exitCode).toBe(0);
    expect((await serving())!.env.DATABASE_HOST).toBe("db.test");
    expect((await info(`db${count}`)).cause).toBeNull();
  });

  test("ends at once where somebody cancels it, and goes on where the add-on is taken away", async () => {
    const open = runtime.data.hold();
    await create({ name: `db${count}` });
    await pusher.commit({ "a.txt": "hats" });
    const cancelled = pusher.startPush("main");
    await cancelled.printed(/waiting for add-on/);
    await ask("deploys:cancel", { app: name });
    expect((await cancelled.ended).output).toContain("cancelled by ana");
    const going = pusher.startPush("main");
    await going.printed(/waiting for add-on/);
    await ask("addons:detach", { name: `db${count}`, app: name });
    expect((await going.ended).exitCode).toBe(0);
    open();
  });
});

test("a server that is away for a while only delays an add-on", async () => {
  runtime.data.fails(() => Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
  await create({ name: `db${count}` });
  await eventually(async () =>
    expect(await info(`db${count}`)).toMatchObject({
      state: "creating",
      cause: { headline: "its server cannot be reached", detail: "connect ECONNREFUSED" },
    }),
  );
  runtime.data.fails(undefined);
  await reaches(`db${count}`, "available");
  expect((await info(`db${count}`)).cause).toBeNull();
});

test("an add-on that a killed worker held is taken up when its lease is over", async () => {
  const open = runtime.data.hold();
  await create({ name: `db${count}` });
  await eventually(async () => expect((await info(`db${count}`)).state).toBe("creating"));
  // As after a long pause of the worker: another one has taken it meanwhile, and died.
  await platform.deps.db.db.execute(
    sql`update addons set lease_until = now() + interval '1 second' where name = ${`db${count}`}`,
  );
  open();
  await reaches(`db${count}`, "available");
});

test("an add-on whose server has moved is released again as it is reached now, with its old password", async () => {
  await push();
  await create({ name: `db${count}` });
  await settled(["#2 live", "#1 live"]);
  const before = (await serving())!.env;
  const { id } = await info(`db${count}`);
  const { reach } = runtime.data;
  runtime.data.reach = (addon, access) => (addon.id === id ? { ...access, port: 6000 } : access);
  await followMovedAddons(platform.deps);
  await followMovedAddons(platform.deps);
  runtime.data.reach = reach;
  await settled(["#3 live", "#2 live", "#1 live"]);
  expect((await deploys())[0]!.title).toBe(`config: add-on db${count} moved`);
  expect((await serving())!.env).toEqual({
    ...before,
    DATABASE_PORT: "6000",
    DATABASE_URL: before.DATABASE_URL!.replace(":5432/", ":6000/"),
  });
});

test("what a worker makes after another has removed it is taken away again", async () => {
  const open = runtime.data.hold();
  await create({ name: `db${count}` });
  const { id } = await info(`db${count}`);
  // Gone before a worker has taken it up, it would never be made.
  await eventually(async () => {
    const { rows } = await platform.deps.db.db.execute(sql`select lease_until from addons where id = ${id}`);
    expect(rows[0]!.lease_until).not.toBeNull();
  });
  await platform.deps.db.db.execute(sql`delete from attachments where addon_id = ${id}`);
  await platform.deps.db.db.execute(sql`delete from addons where id = ${id}`);
  const destroyed: string[] = [];
  const { destroy } = runtime.data;
  runtime.data.destroy = async (addon, signal) => {
    destroyed.push(addon.id);
    await destroy(addon, signal);
  };
  open();
  await eventually(() => expect(destroyed).toEqual([id]));
  expect(runtime.data.made.has(id)).toBe(false);
  runtime.data.destroy = destroy;
});

test("where an add-on is now is told again at the next start, and by config:set, until it is released", async () => {
  await ask("config:set", { app: name, vars: ["A=1"] });
  await push();
  await create({ name: `db${count}` });
  await settled(["#2 live", "#1 live"]);
  const { id } = await info(`db${count}`);
  const { reach } = runtime.data;
  runtime.data.reach = (addon, access) => (addon.id === id ? { ...access, port: 6000 } : access);
  runtime.answer(() => ({ ok: false, cause: { headline: "web crashes at start" } }));
  await followMovedAddons(platform.deps);
  runtime.data.reach = reach;
  await settled(["#3 failed", "#2 live", "#1 live"]);
  // What is written down is right by now, and what is live is not.
  await followMovedAddons(platform.deps);
  await settled(["#4 failed", "#3 failed", "#2 live", "#1 live"]);
  expect((await deploys())[0]!.title).toBe(`config: add-on db${count} moved`);
  runtime.reset();
  expect(await say("config:set", { app: name, vars: ["A=1"] })).toBe(
    `A is as before on ${name}; deploy #5 releases what was not released yet`,
  );
  await settled(["#5 live", "#4 failed", "#3 failed", "#2 live", "#1 live"]);
  expect((await serving())!.env.DATABASE_PORT).toBe("6000");
  await followMovedAddons(platform.deps);
  expect(await say("config:set", { app: name, vars: ["A=1"] })).toBe(`A is as before on ${name}; nothing to release`);
  expect((await deploys()).length).toBe(5);
});

test("many who ask at once are not all given the last room", async () => {
  const { mayMake } = runtime.data;
  const { db } = platform.deps.db;
  const room = (await countOfKind(db, "postgres")) + 2;
  runtime.data.mayMake = async (_, there) => {
    // As long as a look at the server may take.
    await db.execute(sql`select pg_sleep(0.05)`);
    if (there >= room) throw new UserError("conflict", "there are too many");
  };
  const asked = await Promise.allSettled(
    Array.from({ length: 5 }, (_, i) => create({ app: undefined, name: `many${i}` })),
  );
  runtime.data.mayMake = mayMake;
  expect(asked.map(({ status }) => status).sort()).toEqual([
    "fulfilled",
    "fulfilled",
    "rejected",
    "rejected",
    "rejected",
  ]);
});

describe("people of another org", () => {
  test("find no add-on of this one, whatever they ask", async () => {
    const { db, keyring } = platform.deps;
    const { orgId } = await insertOrg(db.db, { name: `others${count}`, wrappedKey: keyring.newOrgKey() });
    const userId = await insertMember(db.db, { orgId, name: `mallory${count}`, role: "owner" });
    const mallory: Actor = { userId, name: "mallory", orgId, role: "owner", door: "http" };
    await create({ name: `db${count}` });
    const asMallory = (command: string, input: object) =>
      runCommand(platform.deps, commandCalled(command), input, mallory);
    await asMallory("apps:create", { app: `evil${count}` });
    for (const [command, input] of [
      ["addons:info", { name: `db${count}` }],
      ["addons:destroy", { name: `db${count}`, force: true }],
      ["addons:attach", { name: `db${count}`, app: `evil${count}` }],
      ["addons:detach", { name: `db${count}`, app: `evil${count}` }],
    ] as const) {
      await expect(asMallory(command, input)).rejects.toMatchObject({
        code: "not_found",
        message: `no add-on is called "db${count}".`,
      });
    }
    expect((await asMallory("addons:list", {})).data).toEqual([]);
    // The name is theirs to take.
    await asMallory("addons:create", { engine: "postgres", name: `db${count}` });
  });
});

test("in the folder of an app, that app is meant", async () => {
  const say = async (...words: string[]) => {
    const names = await listAppNames(platform.deps.db.db, platform.owner.orgId);
    const parsed = await parseWords(words, { commands, defaultApp: name, appNames: async () => names });
    return [parsed.command.name, parsed.input];
  };
  expect(await say("addons:create", "postgres")).toEqual(["addons:create", { engine: "postgres", app: name }]);
  expect(await say("addons:create", "postgres", "--app", "blog")).toEqual([
    "addons:create",
    { engine: "postgres", app: "blog" },
  ]);
  expect(await say("addons:create", "postgres", "blog")).toEqual([
    "addons:create",
    { engine: "postgres", app: "blog" },
  ]);
  expect(await say("addons:detach", "db", "-a", "blog")).toEqual(["addons:detach", { name: "db", app: "blog" }]);
  expect(await say("addons:attach", "db")).toEqual(["addons:attach", { name: "db", app: name }]);
  expect(await say("addons", "--all")).toEqual(["addons:list", { all: true, app: name }]);
  await expect(say("addons:create", "postgres", "blog", "--app", "shop")).rejects.toThrow('no place for "blog"');
  expect(await say("apps:create")).toEqual(["apps:create", {}]);
});
