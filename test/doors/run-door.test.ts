import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { sql } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { insertMember, insertOrg, insertToken } from "../../src/db/people.ts";
import { windowBytes } from "../../src/model/run-frames.ts";
import { newToken } from "../../src/secrets/tokens.ts";
import { Answered, type AttachOptions, attachTo } from "../support/attached.ts";
import { eventually } from "../support/eventually.ts";
import { livePlatform } from "../support/live-platform.ts";
import type { TestPlatform } from "../support/platform.ts";

/** The WebSocket by which somebody is attached to a command, on a whole platform with real processes. */
let platform: TestPlatform;
let ben: Awaited<ReturnType<TestPlatform["member"]>>;

beforeAll(async () => {
  platform = await livePlatform();
  ben = await platform.member("ben", "developer");
});
afterAll(() => platform?.[Symbol.asyncDispose]());
afterEach(async () => {
  // No test leaves a command to the next.
  await eventually(async () => expect(await running()).toEqual([]));
});

async function begin(command: string, on = platform): Promise<string> {
  const { data } = await on.ask("run", { app: "shop", command: [command] });
  return (data as { runId: string }).runId;
}

const attach = (runId: string, options: AttachOptions = {}, on = platform) =>
  attachTo(on.url, runId, { token: on.token, ...options });

const refusal = async (runId: string, options: AttachOptions) => {
  const error = await attach(runId, options).then(
    () => expect.fail("it was let in"),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Answered);
  return (error as Answered).answer;
};

const running = async (on = platform) =>
  ((await on.ask("ps", { app: "shop" })).data as { runs: { name: string }[] }).runs.map(({ name }) => name);

const rowOf = async (runId: string) =>
  (await platform.deps.db.db.execute(sql`select status, exit_code from runs where id = ${runId}`)).rows[0];

describe("who has begun a command", () => {
  test("gets its output apart, and its exit code", async () => {
    const runId = await begin("echo out; echo err >&2; exit 3");
    const attached = await attach(runId);
    expect(await attached.status).toEqual({ exitCode: 3 });
    expect(attached.text("stdout")).toBe("out\n");
    expect(attached.text("stderr")).toBe("err\n");
    expect((await attached.closed).code).toBe(1000);
    expect(await rowOf(runId)).toEqual({ status: "ended", exit_code: 3 });
  });

  test("gives it input, to its end", async () => {
    const attached = await attach(await begin("cat; echo over"));
    attached.type("one\n");
    attached.type("two\n");
    attached.send({ channel: "close" });
    expect(await attached.status).toEqual({ exitCode: 0 });
    expect(attached.text("stdout")).toBe("one\ntwo\nover\n");
  });

  test("has a terminal where one is asked for, and changes its size", async () => {
    const attached = await attach(await begin("stty size; echo $TERM; read line; stty size"), {
      query: "columns=91&rows=33&term=xterm-256color",
    });
    await eventually(() => attached.text("stdout").includes("xterm-256color"));
    attached.send({ channel: "resize", size: { columns: 120, rows: 50 } });
    attached.type("\r");
    expect(await attached.status).toEqual({ exitCode: 0 });
    expect(attached.text("stdout")).toMatch(/^33 91\r\nxterm-256color\r\n\r\n50 120\r\n$/);
  });

  test("interrupts it, also while it does not read its input", async () => {
    const attached = await attach(
      await begin("trap 'echo tidied up; exit 9' INT; echo ready; while :; do sleep 0.1; done"),
    );
    await eventually(() => attached.text("stdout") === "ready\n");
    attached.send({ channel: "stdin", bytes: Buffer.alloc(32 * 1024) });
    attached.send({ channel: "interrupt" });
    expect(await attached.status).toEqual({ exitCode: 9 });
    expect(attached.text("stdout")).toBe("ready\ntidied up\n");
  });

  test("ends it by leaving", async () => {
    for (const leave of ["close", "terminate"] as const) {
      const runId = await begin("echo ready; sleep 600");
      const attached = await attach(runId);
      await eventually(() => attached.text("stdout") === "ready\n");
      attached.socket[leave]();
      await eventually(async () => expect(await rowOf(runId)).toEqual({ status: "ended", exit_code: null }));
    }
  });

  test("is held up by nothing but what they do not read themselves", async () => {
    const attached = await attach(await begin("yes"), { reads: false });
    attached.send({ channel: "window", bytes: 1_000 });
    await eventually(() => attached.receivedBytes() === 1_000);
    attached.send({ channel: "window", bytes: 100_000 });
    await eventually(() => attached.receivedBytes() === 101_000);
    attached.send({ channel: "interrupt" });
    attached.send({ channel: "window", bytes: 10_000_000 });
    expect(await attached.status).toEqual({ exitCode: 130 });
    expect(attached.receivedBytes()).toBeLessThan(2_000_000);
  });

  test("may send as much as the command takes, and no more", async () => {
    const attached = await attach(await begin("head -c 1000000 | wc -c"));
    let sent = 0;
    while (sent < 1_000_000) {
      await eventually(() => attached.granted() > sent);
      const bytes = Math.min(32 * 1024, attached.granted() - sent);
      attached.send({ channel: "stdin", bytes: Buffer.alloc(bytes) });
      sent += bytes;
    }
    expect(await attached.status).toEqual({ exitCode: 0 });
    expect(attached.text("stdout").trim()).toBe("1000000");

    const flooding = await attach(await begin("sleep 600"));
    for (let bytes = 0; bytes < 3 * windowBytes; bytes += 32 * 1024) {
      flooding.send({ channel: "stdin", bytes: Buffer.alloc(32 * 1024) });
    }
    expect((await flooding.closed).code).toBe(1008);
  });
});

describe("is refused", () => {
  let runId: string;
  beforeAll(async () => {
    runId = await begin("true");
  });

  test.each([
    ["without a token", () => ({ token: "" }), 401, "no token was shown"],
    ["with a token that is none", () => ({ token: "zyp_x" }), 401, "what was shown as a token is not one"],
    ["somebody else of the org", () => ({ token: ben.token }), 403, /^ana has begun run\.\d+, and alone may attach/],
    ["a page of a browser", () => ({ headers: { origin: "https://evil.example" } }), 403, /^pages of a browser/],
    ["a window of no size", () => ({ query: "columns=0&rows=24" }), 400, /^columns and rows must be/],
    ["half a size", () => ({ query: "columns=80" }), 400, /^columns and rows must be/],
  ])("%s", async (_, options: () => AttachOptions, status, message) => {
    const answer = await refusal(runId, options());
    expect(answer.status).toBe(status);
    expect(answer.body.error.message).toMatch(message);
  });

  test("whoever asks for a run that is not there, or is another org's", async () => {
    const stranger = await newStranger();
    for (const [id, token] of [
      [randomUUID(), platform.token],
      ["nonsense", platform.token],
      [runId, stranger],
    ] as const) {
      const { status, body } = await refusal(id, { token });
      expect(status).toBe(404);
      expect(body.error.message).toBe("no run has this id");
    }
  });

  test("whoever is a viewer by now", async () => {
    const carl = await platform.member("carl", "developer");
    const { data } = await platform.ask("run", { app: "shop", command: ["true"] }, carl.actor);
    await setRole("carl", "viewer");
    const { status, body } = await refusal((data as { runId: string }).runId, { token: carl.token });
    expect(status).toBe(403);
    expect(body.error.message).toBe("run needs the role developer; carl is viewer");
    await setRole("carl", "developer");
    await (await attachTo(platform.url, (data as { runId: string }).runId, { token: carl.token })).status;
  });

  test("whoever comes second, or too late", async () => {
    const attached = await attach(runId);
    expect((await refusal(runId, {})).body.error.message).toMatch(/^somebody is attached to run\.\d+ already/);
    await attached.status;
    expect((await refusal(runId, {})).status).toBe(409);

    const waited = await begin("true");
    await platform.deps.db.db.execute(
      sql`update runs set created_at = now() - interval '2 minutes' where id = ${waited}`,
    );
    const { status, body } = await refusal(waited, {});
    expect(status).toBe(410);
    expect(body.error.message).toMatch(/^run\.\d+ has waited for too long/);
  });

  test("a request that opens no WebSocket, without using the run up", async () => {
    const waiting = await begin("true");
    const headers = { authorization: `Bearer ${platform.token}` };
    const plain = await fetch(`${platform.url}/api/runs/${waiting}/attach`, { headers });
    expect(plain.status).toBe(415);
    expect(await plain.json()).toMatchObject({ error: { message: expect.stringContaining("over a WebSocket") } });
    await (await attach(waiting)).status;
  });

  test("an upgrade that is no WebSocket; the run is over then", async () => {
    const waiting = await begin("true");
    const socket = connect(platform.port, "127.0.0.1");
    socket.write(
      `GET /api/runs/${waiting}/attach HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${platform.token}\r\nconnection: upgrade\r\nupgrade: hats\r\n\r\n`,
    );
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk));
    await once(socket, "close");
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    await eventually(async () => expect(await rowOf(waiting)).toMatchObject({ status: "ended" }));
  });
});

describe("garbage ends the connection, and the command with it:", () => {
  test.each([
    ["a text", "hello"],
    ["nothing", Buffer.alloc(0)],
    ["an unknown channel", Buffer.from([77, 1])],
    ["output from the wrong side", Buffer.from([1, 65])],
    ["a size that is no JSON", Buffer.from([4, 123])],
  ])("%s", async (_, message) => {
    const runId = await begin("sleep 600");
    const attached = await attach(runId);
    attached.socket.send(message);
    expect((await attached.closed).code).toBe(1008);
    await eventually(async () => expect(await rowOf(runId)).toEqual({ status: "ended", exit_code: null }));
  });

  test("a message that is too long", async () => {
    const attached = await attach(await begin("sleep 600"));
    attached.socket.send(Buffer.alloc(1_000_000));
    expect((await attached.closed).code).toBe(1009);
  });
});

describe("what is running", () => {
  test("is ended, with a word, when the token is revoked or the role is taken", async () => {
    await using quick = await livePlatform({ overrides: { heartbeatMs: 100 } });
    const token = await quick.ask("tokens:create", { label: "robot" });
    const attached = await attach(
      await begin("sleep 600", quick),
      { token: (token.data as { token: string }).token },
      quick,
    );
    await quick.ask("tokens:revoke", { token: "robot" });
    expect(await attached.status).toMatchObject({
      error: { code: "unauthenticated", message: "this token is not known here, or was revoked" },
    });
  });

  test("is ended when nobody answers any more", async () => {
    await using quick = await livePlatform({ overrides: { heartbeatMs: 100 } });
    const runId = await begin("sleep 600", quick);
    const url = `${quick.url.replace(/^http/, "ws")}/api/runs/${runId}/attach`;
    const deaf = new WebSocket(url, { headers: { authorization: `Bearer ${quick.token}` }, autoPong: false });
    const closed = new Promise((resolve) => deaf.on("close", resolve));
    deaf.on("error", () => {});
    await closed;
    await eventually(async () => expect(await running(quick)).toEqual([]));
  });

  test("goes on while somebody only listens", async () => {
    await using quick = await livePlatform({ overrides: { heartbeatMs: 50 } });
    const attached = await attach(await begin("sleep 1; echo done", quick), { reads: false }, quick);
    attached.send({ channel: "window", bytes: windowBytes });
    expect(await attached.status).toEqual({ exitCode: 0 });
  });

  test("is stopped by whoever asks for that", async () => {
    const attached = await attach(await begin("echo ready; sleep 600"));
    await eventually(() => attached.text("stdout") === "ready\n");
    const [name] = await running();
    await platform.ask("run:stop", { app: "shop", run: name }, ben.actor);
    expect(await attached.status).toEqual({ error: { code: "conflict", message: `${name} was stopped` } });
  });

  test("is ended, with a word, when the platform stops", async () => {
    await using stopping = await livePlatform();
    const attached = await attach(await begin("echo ready; sleep 600", stopping), {}, stopping);
    await eventually(() => attached.text("stdout") === "ready\n");
    await stopping[Symbol.asyncDispose]();
    expect(await attached.status).toEqual({
      error: { code: "unavailable", message: "Zyndra is being stopped, and has ended run.1" },
    });
  });
});

async function setRole(name: string, role: string): Promise<void> {
  await platform.deps.db.db.execute(
    sql`update members set role = ${role} where user_id = (select id from users where name = ${name})`,
  );
}

/** The token of an owner of another org. */
async function newStranger(): Promise<string> {
  const { db, keyring } = platform.deps;
  const { orgId } = await insertOrg(db.db, { name: "others", wrappedKey: keyring.newOrgKey() });
  const userId = await insertMember(db.db, { orgId, name: "mallory", role: "owner" });
  const { token, id, secretHash } = newToken();
  await insertToken(db.db, { id, orgId, userId, label: "test", secretHash });
  return token;
}
