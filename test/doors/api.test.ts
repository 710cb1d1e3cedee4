import { request } from "node:http";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { listAudit } from "../../src/db/audit.ts";
import { revokeToken } from "../../src/db/people.ts";
import type { AppRow } from "../../src/db/schema.ts";
import { writeConfigVars } from "../../src/pipeline/config-vars.ts";
import { eventually } from "../support/eventually.ts";
import { lines, live, openStream, type StreamReader, type TestWeb, testWeb } from "./web-harness.ts";

let web: TestWeb;
let viewer: { token: string; name: string };
let admin: { token: string; name: string };

beforeAll(async () => {
  web = await testWeb();
  viewer = await web.member("viewer");
  admin = await web.member("admin");
});
afterAll(() => web[Symbol.asyncDispose]());

/** As much of an answer as these tests look at. */
type Body = {
  error: { code: string; message: string; hint: string };
  confirm?: unknown;
  data: unknown;
  token: string;
  commands: { usage: string }[];
};
type Answered = { status: number; headers: Headers; json: Body; text: string };

async function call(
  path: string,
  options: { token?: string; body?: unknown; raw?: string; headers?: Record<string, string> } = {},
): Promise<Answered> {
  const { token, body, raw } = options;
  const response = await fetch(`${web.url}${path}`, {
    method: body === undefined && raw === undefined ? "GET" : "POST",
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined && raw === undefined ? {} : { "content-type": "application/json" }),
      ...options.headers,
    },
    ...(raw === undefined ? (body === undefined ? {} : { body: JSON.stringify(body) }) : { body: raw }),
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  return { status: response.status, headers: response.headers, text, json: (isJson ? JSON.parse(text) : {}) as Body };
}

const say = (words: string, more: object = {}, token = viewer.token) =>
  call("/api/words", { token, body: { words: words.split(" "), ...more } });

describe("before anyone is let in", () => {
  test("/healthz tells that the database answers", async () => {
    expect(await call("/healthz")).toMatchObject({ status: 200, json: { status: "ok", version: "1.2.3" } });
  });

  test("editors get the JSON Schema of zyndra.yml", async () => {
    expect(await call("/schema/zyndra.json")).toMatchObject({ status: 200, json: { title: "zyndra.yml" } });
  });

  test("the front page says what this is and how to get in, and runs nothing", async () => {
    const page = await call("/");
    expect(page).toMatchObject({ status: 200 });
    expect(page.text).toContain(`zyndra login ${web.url}`);
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  });

  test("the commands are described, those of doors alone are not", async () => {
    const { status, json } = await call("/api/commands");
    expect(status).toBe(200);
    expect(json.commands.map(({ usage }) => usage)).toEqual([
      "apps:list",
      "echo APP [WORDS...]",
      "apps:destroy APP",
      "apps:rename APP NEW-NAME",
      "break HOW",
      "follow APP KIND ID NUMBER",
    ]);
  });

  test("all else answers 503 with the line that makes an owner, until it was used", async () => {
    await using fresh = await testWeb({ claimed: false });
    const post = async (path: string, body: object) => {
      const headers = { "content-type": "application/json", authorization: "Bearer nonsense" };
      const response = await fetch(`${fresh.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
      return { status: response.status, json: (await response.json()) as Body };
    };
    expect(await (await fetch(fresh.url)).text()).toContain(`zyndra setup ${fresh.url} CODE`);
    const early = await post("/api/words", { words: ["apps"] });
    expect(early).toMatchObject({
      status: 503,
      json: { error: { code: "unavailable", message: "this Zyndra has no owner yet" } },
    });
    expect(early.json.error.hint).toContain("zyndra setup URL CODE");

    expect(await post("/api/setup", { code: "wrong", name: "ana" })).toMatchObject({ status: 403 });
    expect(await post("/api/setup", { code: fresh.setupCode })).toMatchObject({ status: 400 });
    const made = await post("/api/setup", { code: fresh.setupCode, name: "ana" });
    expect(made).toMatchObject({ status: 200, json: { name: "ana", org: "default" } });
    expect(await post("/api/setup", { code: fresh.setupCode, name: "eve" })).toMatchObject({ status: 410 });

    const me = await fetch(`${fresh.url}/api/whoami`, { headers: { authorization: `Bearer ${made.json.token}` } });
    expect(await me.json()).toEqual({ name: "ana", role: "owner" });
    expect((await fetch(`${fresh.url}/api/whoami`)).status).toBe(401);
    expect(await (await fetch(fresh.url)).text()).toContain(`zyndra login ${fresh.url}`);
  });
});

describe("who asks", () => {
  test.each([
    "/api/whoami",
    "/api/apps/shop",
    "/api/apps/shop/logs",
    "/api/apps/shop/follow",
    "/api/deploys/x/follow",
    "/api/addons/x/follow",
  ])("%s needs a token, and says how to show one", async (path) => {
    const { status, headers, json } = await call(path);
    expect(status).toBe(401);
    expect(headers.get("www-authenticate")).toBe('Bearer realm="Zyndra"');
    expect(json.error.hint).toContain("zyndra login URL");
  });

  test("the command line is told from other programs in what is done", async () => {
    const cli = await call("/api/words", {
      token: viewer.token,
      body: { words: ["echo", "shop"] },
      headers: { "user-agent": "zyndra-cli/1.0.0" },
    });
    expect(cli.json.data).toMatchObject({ by: viewer.name, door: "cli" });
    expect((await say("echo shop")).json.data).toMatchObject({ door: "http" });
  });
});

describe("commands", () => {
  test("words are run, and answered with view and data", async () => {
    expect(await say("echo shop hello there --loud")).toMatchObject({
      status: 200,
      json: { view: { text: "shop: HELLO THERE" }, data: { app: "shop", text: "HELLO THERE" } },
    });
  });

  test("a command is run by name with its input as JSON", async () => {
    const input = { app: "shop", words: ["hi"] };
    expect(await call("/api/commands/echo", { token: viewer.token, body: { input } })).toMatchObject({
      status: 200,
      json: { data: { text: "hi" } },
    });
  });

  test("the app may come from the folder", async () => {
    await web.app("folder-shop");
    expect((await say("echo hello", { defaultApp: "folder-shop" })).json.data).toMatchObject({
      app: "folder-shop",
      text: "hello",
    });
    expect((await say("echo folder-shop hello", { defaultApp: "other" })).json.data).toMatchObject({
      app: "folder-shop",
    });
  });

  test("what a door knows itself is found by a slip of the pen", async () => {
    const { status, json } = await say("lgoin http://x", { doorCommands: ["login"] });
    expect(status).toBe(400);
    expect(json.error.message).toContain("Did you mean: zyndra login http://x");
  });

  test("an unknown command by name is a 404, also one that doors alone may ask for", async () => {
    for (const name of ["nonsense", "secret", "__proto__"]) {
      const answered = await call(`/api/commands/${name}`, { token: admin.token, body: {} });
      expect(answered).toMatchObject({ status: 404, json: { error: { code: "not_found" } } });
    }
    expect(await say("secret")).toMatchObject({ status: 400 });
  });

  test("a refusal comes with its own status, sentence and hint", async () => {
    expect(await say("break theirs")).toMatchObject({
      status: 423,
      json: { error: { code: "locked", message: "shop is locked by ana", hint: "zyndra unlock shop" } },
    });
  });

  test("our own fault shows a reference and nothing of the inside; the log has both", async () => {
    const { status, json, text } = await say("break ours");
    expect(status).toBe(500);
    expect(text).not.toContain("s3cret");
    const [, reference] = /reference ([0-9a-f]{8})/.exec(json.error.message)!;
    expect(web.errors).toContainEqual(expect.objectContaining({ reference, path: "/api/words" }));
  });

  test("answers are never kept by anyone in between", async () => {
    for (const answered of [await say("apps"), await say("nonsense"), await call("/nowhere"), await call("/")]) {
      expect(answered.headers.get("cache-control")).toBe("no-store");
      expect(answered.headers.get("x-content-type-options")).toBe("nosniff");
    }
  });
});

describe("a command that destroys", () => {
  beforeAll(async () => {
    await web.app("doomed");
  });

  test("asks back first, and is done with the right word alone", async () => {
    const asked = await say("apps:destroy doomed", {}, admin.token);
    expect(asked).toMatchObject({
      status: 409,
      json: {
        error: { hint: "if that is meant, add: --confirm doomed" },
        confirm: { warning: "This removes doomed for good.", type: "doomed" },
      },
    });
    expect((await say("apps:destroy doomed", { confirmed: "shop" }, admin.token)).status).toBe(409);
    expect((await say("apps:destroy doomed --confirm dooomed", {}, admin.token)).status).toBe(409);
    expect((await say("apps:destroy doomed", { confirmed: "doomed" }, admin.token)).status).toBe(200);
    expect((await say("apps:destroy doomed --confirm doomed", {}, admin.token)).status).toBe(200);
  });

  test("asks nobody who may not do it, and the refusal is audited", async () => {
    const refused = await say("apps:destroy doomed");
    expect(refused).toMatchObject({ status: 403 });
    expect(refused.json.confirm).toBeUndefined();
    expect(await listAudit(web.deps.db.db, web.org.orgId, 1)).toMatchObject([
      { command: "apps:destroy", actorName: viewer.name, outcome: "refused", subject: "doomed" },
    ]);
  });

  test("asks about nothing that is not there", async () => {
    const { status, json } = await say("apps:destroy domed", {}, admin.token);
    expect(status).toBe(404);
    expect(json.error.message).toBe('no app is called "domed". Did you mean doomed?');
  });
});

describe("a body", () => {
  test.each([
    ["that is no JSON", "{", {}, 400, "bad_input"],
    ["of another type", "words=apps", { "content-type": "application/x-www-form-urlencoded" }, 415, "unsupported"],
    ["without a type", "{}", { "content-type": "" }, 415, "unsupported"],
    ["of another shape", '{"words":"apps"}', {}, 400, "bad_input"],
    ["with unknown keys", '{"words":["apps"],"sudo":true}', {}, 400, "bad_input"],
    ["with a NUL", '{"words":["echo","shop","a\\u0000b"]}', {}, 400, "bad_input"],
    ["that is null", "null", {}, 400, "bad_input"],
    ["that is empty", "", {}, 400, "bad_input"],
    ["of more than 1 MB", JSON.stringify({ words: ["echo", "x".repeat(1_100_000)] }), {}, 413, "too_large"],
  ])("%s is refused in a sentence", async (_, raw, headers: Record<string, string>, status, code) => {
    const answered = await call("/api/words", { token: viewer.token, raw, headers });
    expect(answered).toMatchObject({ status, json: { error: { code } } });
    expect(answered.json.error.message.length).toBeLessThan(200);
  });

  test("of more than 1 MB is refused also where its length is not told", async () => {
    const status = await new Promise<number>((resolve, reject) => {
      const headers = { authorization: `Bearer ${viewer.token}`, "content-type": "application/json" };
      const asked = request(`${web.url}/api/words`, { method: "POST", headers }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      });
      asked.on("error", reject);
      for (let sent = 0; sent < 30; sent++) asked.write("x".repeat(40_000));
      asked.end();
    });
    expect(status).toBe(413);
  });

  test("is not read before the token was looked at", async () => {
    const answered = await call("/api/words", { raw: "{", token: "nonsense" });
    expect(answered.status).toBe(401);
  });

  test.each([
    ";touch /tmp/x",
    "$(id)",
    "`id`",
    "../../etc/passwd",
    "--upload-pack=x",
    "a\nb",
    "💥",
    "%00",
    "x".repeat(10_000),
    "' or 1=1 --",
    "\ud800",
  ])("with %j in any place is no fault of ours", async (text) => {
    const asked = [
      say(`echo ${text}`),
      call("/api/words", { token: viewer.token, body: { words: [text, text], defaultApp: text, confirmed: text } }),
      call("/api/words", { token: admin.token, body: { words: ["apps:destroy", text] } }),
      call("/api/commands/echo", { token: viewer.token, body: { input: { app: text, words: [text] } } }),
      call(`/api/commands/${encodeURIComponent(text.toWellFormed())}`, { token: viewer.token, body: {} }),
      call(`/api/apps/${encodeURIComponent(text.toWellFormed())}`, { token: viewer.token }),
      call(`/api/deploys/${encodeURIComponent(text.toWellFormed())}/follow`, { token: viewer.token }),
    ];
    for (const { status } of await Promise.all(asked)) expect(status).toBeLessThan(500);
  });
});

test("apps are shown by name with their address, and only to their own org", async () => {
  await web.app("seen");
  expect(await call("/api/apps/seen", { token: viewer.token })).toMatchObject({
    status: 200,
    json: { name: "seen", url: "http://seen.localhost" },
  });
  const stranger = await web.member("owner", (await web.newOrg()).orgId);
  const [theirs, nobodys] = [
    await call("/api/apps/seen", { token: stranger.token }),
    await call("/api/apps/none", { token: stranger.token }),
  ];
  expect(theirs.status).toBe(404);
  expect(theirs.json.error.message.replace("seen", "none")).toBe(nobodys.json.error.message);
});

describe("following a deploy", () => {
  let shop: AppRow;
  beforeAll(async () => {
    shop = await web.app("followed");
  });
  const open = (path: string, headers: Record<string, string> = {}) =>
    openStream(`${web.url}${path}`, { authorization: `Bearer ${viewer.token}`, ...headers });
  const texts = (stream: StreamReader) => stream.messages().map(({ data }) => data.text ?? data.status);

  test("its lines so far come at once, further ones as they are written, and then its end", async () => {
    const deploy = await web.deploy(shop);
    await web.tell(deploy, { type: "deploy", status: "queued", headline: "queued" }, lines("one", "two"));
    const stream = await open(`/api/deploys/${deploy.id}/follow`);
    expect(stream.headers).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
    });
    await eventually(() => expect(texts(stream)).toEqual(["one", "two"]));
    await web.tell(deploy, lines({ kind: "success", text: "three" }), live);
    await stream.ended;
    expect(texts(stream)).toEqual(["one", "two", "three", "live"]);
    expect(stream.messages().at(-2)).toMatchObject({ event: "line", data: { kind: "success", text: "three" } });
    expect(stream.messages().at(-1)).toMatchObject({
      event: "end",
      data: { status: "live", headline: "shop v1 is live (1.0 s)", version: 1 },
    });
  });

  test("whoever comes back with the last id gets exactly what is left, also from the middle of one event", async () => {
    const deploy = await web.deploy(shop);
    await web.tell(deploy, lines("a", "b", "c"), lines("d", "e"), live);
    const whole = await open(`/api/deploys/${deploy.id}/follow`);
    await whole.ended;
    const all = whole.messages();
    expect(all).toHaveLength(6);
    for (const [index, { id }] of all.entries()) {
      const rest = await open(`/api/deploys/${deploy.id}/follow`, { "last-event-id": id! });
      if (index < all.length - 1) {
        await rest.ended;
        expect(rest.messages()).toEqual(all.slice(index + 1));
      } else rest.close();
    }
    const fromNumber = await open(`/api/deploys/${deploy.id}/follow?after=1`);
    await fromNumber.ended;
    expect(texts(fromNumber)).toEqual(["d", "e", "live"]);
    const nonsense = await open(`/api/deploys/${deploy.id}/follow`, { "last-event-id": "nonsense" });
    await nonsense.ended;
    expect(nonsense.messages()).toEqual(all);
  });

  test("a waiting deploy's line on what it waits for is not repeated to whoever comes back", async () => {
    const [running, waiting] = [await web.deploy(shop), await web.deploy(shop)];
    await web.deps.db.db.execute(
      `update deploys set status = 'building', started_at = now() where id = '${running.id}'`,
    );
    await web.tell(waiting, { type: "deploy", status: "queued", headline: "queued" });
    const first = await open(`/api/deploys/${waiting.id}/follow`);
    await eventually(() =>
      expect(texts(first)).toEqual([expect.stringContaining(`waiting for deploy #${running.number} (ana`)]),
    );
    first.close();
    const again = await open(`/api/deploys/${waiting.id}/follow`, { "last-event-id": first.messages()[0]!.id! });
    await web.tell(waiting, lines("begun"), live);
    await again.ended;
    expect(texts(again)).toEqual(["begun", "live"]);
    await web.deps.db.db.execute(`update deploys set status = 'failed' where id = '${running.id}'`);
  });

  test("is a 404 for another org, for a deploy that is not, and for what is no id: all alike", async () => {
    const deploy = await web.deploy(shop);
    const stranger = await web.member("owner", (await web.newOrg()).orgId);
    const nowhere = "00000000-0000-4000-8000-00000000dead";
    for (const [id, token] of [
      [deploy.id, stranger.token],
      [nowhere, viewer.token],
      ["42", viewer.token],
    ]) {
      const { status, json } = await call(`/api/deploys/${id}/follow`, { token: token! });
      expect(status).toBe(404);
      expect(json.error.message).toBe(`no deploy has the id ${id}`);
    }
  });

  test("ends at once when the platform stops, without an end of the deploy", async () => {
    await using stopped = await testWeb();
    const member = await stopped.member("viewer");
    const deploy = await stopped.deploy(await stopped.app("shop"));
    await stopped.tell(deploy, lines("one"));
    const stream = await openStream(`${stopped.url}/api/deploys/${deploy.id}/follow`, {
      authorization: `Bearer ${member.token}`,
    });
    await eventually(() => expect(stream.messages()).toHaveLength(1));
    const askedAt = Date.now();
    stopped.stop();
    await stream.ended;
    expect(Date.now() - askedAt).toBeLessThan(1_000);
    expect(stream.messages()).toHaveLength(1);
  });
});

describe("a silent stream", () => {
  test("gives signs of life, and ends for a token that was revoked meanwhile", async () => {
    await using quick = await testWeb({ heartbeatMs: 50 });
    const member = await quick.member("viewer");
    const deploy = await quick.deploy(await quick.app("shop"));
    const stream = await openStream(`${quick.url}/api/deploys/${deploy.id}/follow`, {
      authorization: `Bearer ${member.token}`,
    });
    await eventually(() => expect(stream.text()).toMatch(/(: still here\n\n){2}/));
    await revokeToken(quick.deps.db.db, quick.org.orgId, member.userId, member.tokenId);
    await stream.ended;
    expect(stream.messages()).toMatchObject([{ event: "error" }]);
  });
});

describe("a busy stream", () => {
  test("ends for a token that was revoked, although it is never silent", async () => {
    await using quick = await testWeb({ heartbeatMs: 300 });
    const member = await quick.member("viewer");
    const app = await quick.app("busy");
    const stream = await openStream(`${quick.url}/api/apps/busy/follow`, { authorization: `Bearer ${member.token}` });
    await revokeToken(quick.deps.db.db, quick.org.orgId, member.userId, member.tokenId);
    let revision = 0;
    let over = false;
    void stream.ended.then(() => (over = true));
    await eventually(async () => {
      await quick.tellApp(app, { type: "applied", formation: {}, revision: ++revision });
      expect(over).toBe(true);
    });
    expect(stream.messages().at(-1)).toMatchObject({ event: "error" });
  });
});

describe("following an app", () => {
  test("its changes come from a number on, and it ends with the app", async () => {
    const app = await web.app("scaled");
    const scaled = (revision: number) => ({ type: "applied", formation: { web: revision }, revision }) as const;
    await web.tellApp(app, scaled(1));
    await web.tellApp(app, scaled(2));
    const stream = await openStream(`${web.url}/api/apps/scaled/follow?after=1`, {
      authorization: `Bearer ${viewer.token}`,
    });
    await eventually(() =>
      expect(stream.messages()).toMatchObject([{ id: "2", event: "applied", data: { revision: 2 } }]),
    );
    await web.tellApp(app, { type: "destroyed", by: "ana" });
    await stream.ended;
    expect(stream.messages()).toMatchObject([{ id: "2" }, { id: "3", event: "destroyed", data: { by: "ana" } }]);
  });

  test("by its id goes on under another name, and for a while after it is gone; for another org there is none", async () => {
    const stranger = await web.member("owner", (await web.newOrg()).orgId);
    const app = await web.app("named");
    const path = `/api/apps/${app.id}/follow`;
    await web.tellApp(app, { type: "applied", formation: {}, revision: 1 });
    await web.deps.db.db.execute(sql`update apps set name = 'renamed' where id = ${app.id}`);
    const stream = await openStream(`${web.url}${path}`, { authorization: `Bearer ${viewer.token}` });
    await eventually(() => expect(stream.messages()).toMatchObject([{ id: "1", event: "applied" }]));
    await web.tellApp(app, { type: "destroyed", by: "ana" });
    await web.deps.db.db.execute(sql`delete from apps where id = ${app.id}`);
    await stream.ended;
    const later = await openStream(`${web.url}${path}?after=1`, { authorization: `Bearer ${viewer.token}` });
    await later.ended;
    expect(later.messages()).toMatchObject([{ event: "destroyed" }]);
    expect(await call(`/api/apps/${crypto.randomUUID()}/follow`, { token: viewer.token })).toMatchObject({
      status: 404,
    });
    expect(await call(path, { token: stranger.token })).toMatchObject({ status: 404 });
  });

  test("a number that is none is refused", async () => {
    await web.app("counted");
    expect(await call("/api/apps/counted/follow?after=x", { token: viewer.token })).toMatchObject({ status: 400 });
  });
});

describe("following an add-on", () => {
  test("its states come from a number on, and it ends with the add-on; for another org there is none", async () => {
    const id = crypto.randomUUID();
    await web.tellAddon(id, { type: "addon", state: "creating" });
    await web.tellAddon(id, { type: "addon", state: "available" });
    const path = `/api/addons/${id}/follow?after=1`;
    const stream = await openStream(`${web.url}${path}`, { authorization: `Bearer ${viewer.token}` });
    await eventually(() =>
      expect(stream.messages()).toMatchObject([{ id: "2", event: "addon", data: { state: "available" } }]),
    );
    await web.tellAddon(id, { type: "addon", state: "gone" });
    await stream.ended;
    expect(stream.messages()).toMatchObject([{ id: "2" }, { id: "3", event: "addon", data: { state: "gone" } }]);

    const stranger = await web.member("owner", (await web.newOrg()).orgId);
    for (const [asked, token] of [
      [path, stranger.token],
      ["/api/addons/42/follow", viewer.token],
    ] as const) {
      const { status, json } = await call(asked, { token });
      expect(status).toBe(404);
      expect(json.error.message).toMatch(/^no add-on has the id/);
    }
  });
});

describe("an app's log", () => {
  let app: AppRow;
  beforeAll(async () => {
    app = await web.app("logged");
  });
  beforeEach(() => {
    for (const text of ["one", "two", "three"]) web.appLog.write("web.1", text);
  });
  const open = (query: string) =>
    openStream(`${web.url}/api/apps/logged/logs?${query}`, { authorization: `Bearer ${viewer.token}` });

  test("comes in the number of lines that was asked for, and ends", async () => {
    const stream = await open("lines=2");
    await stream.ended;
    expect(stream.messages()).toMatchObject([
      { event: "line", data: { process: "web.1", text: "two" } },
      { event: "line", data: { process: "web.1", text: "three" } },
      { event: "end" },
    ]);
  });

  test("goes on with --tail; nobody reads on for a client that has gone", async () => {
    const before = web.appLog.readers();
    const stream = await open("lines=1&tail=true");
    await eventually(() => expect(stream.messages()).toHaveLength(1));
    web.appLog.write("router", "GET / 200");
    await eventually(() =>
      expect(stream.messages()[1]).toMatchObject({ data: { process: "router", text: "GET / 200" } }),
    );
    expect(web.appLog.readers()).toBe(before + 1);
    stream.close();
    await eventually(() => expect(web.appLog.readers()).toBe(before));
  });

  test("shows no value of a config var, also of one that is set while it is followed", {
    timeout: 20_000,
  }, async () => {
    const set = (vars: Record<string, string>) =>
      web.deps.db.transaction((tx) => writeConfigVars(web.deps, tx, app, vars, "ana"));
    await set({ API_KEY: "sk_live_abcdef123456" });
    web.appLog.write("web.1", "key is sk_live_abcdef123456 indeed");
    const stream = await open("lines=1&tail=true");
    await eventually(() => expect(stream.messages()).toHaveLength(1));
    await set({ NEW_KEY: "another-long-secret" });
    await eventually(
      () => {
        web.appLog.write("web.1", "now another-long-secret");
        return /now (?!another)/.test(stream.text());
      },
      { withinMs: 15_000 },
    );
    expect(stream.text()).not.toContain("sk_live");
    stream.close();
  });

  test("can be asked for the last lines with a text, of the app or the router, since a moment", async () => {
    const texts = async (query: string) => {
      const stream = await open(query);
      await stream.ended;
      return stream.messages().flatMap(({ event, data }) => (event === "line" ? [data.text] : []));
    };
    web.appLog.write("web.1", "an \x1b[31mERR\x1b[0mor", new Date("2026-01-02T03:04:05Z"));
    web.appLog.write("router", "GET /error 500", new Date("2026-01-02T03:05:00Z"));
    web.appLog.write("web.1", "another error", new Date("2026-01-02T03:06:00Z"));
    web.appLog.write("web.1", "fine");
    expect(await texts("lines=2&grep=error")).toEqual(["GET /error 500", "another error"]);
    expect(await texts("lines=9&grep=Error&source=app")).toEqual(["an \x1b[31mERR\x1b[0mor", "another error"]);
    expect(await texts("lines=9&source=router&grep=500&since=2026-01-02T03:04:30Z")).toEqual(["GET /error 500"]);
    expect(await texts("lines=9&grep=error&since=1m")).toEqual([]);
    for (const [query, said] of [
      ["since=yesterday", 'since must be a time such as 10m, 2h, 14:30 or 2026-11-26T10:00, not "yesterday"'],
      ["source=db", 'source must be app or router, not "db"'],
    ] as const) {
      const refused = await call(`/api/apps/logged/logs?${query}`, { token: viewer.token });
      expect(refused).toMatchObject({ status: 400, json: { error: { message: said } } });
    }
  });

  test("does not let anyone find out a value by looking for its letters", async () => {
    const secret = "sk_live_abcdef123456";
    await web.deps.db.transaction((tx) => writeConfigVars(web.deps, tx, app, { API_KEY: secret }, "ana"));
    web.appLog.write("web.1", `guess ${secret}`);
    for (const [grep, lines] of [
      ["sk_live_abc", 0],
      [secret, 0],
      ["[api_key hidden]", 1],
    ] as const) {
      const stream = await open(`lines=1&grep=${encodeURIComponent(grep)}`);
      await stream.ended;
      expect(
        stream.messages().filter(({ event }) => event === "line"),
        grep,
      ).toHaveLength(lines);
    }
  });

  test("is not there for another org", async () => {
    const stranger = await web.member("owner", (await web.newOrg()).orgId);
    expect(await call("/api/apps/logged/logs", { token: stranger.token })).toMatchObject({ status: 404 });
  });
});
