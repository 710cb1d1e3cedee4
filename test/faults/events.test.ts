import { randomUUID } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { sql } from "drizzle-orm";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Database, openDatabase } from "../../src/db/client.ts";
import { deleteOldAppEvents, listEvents, publish } from "../../src/db/events.ts";
import { openEvents } from "../../src/events/events.ts";
import { type Log, openLog } from "../../src/log.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";

let database: TestDatabase;
let db: Database;
const silent = openLog("silent");

beforeEach(async () => {
  database = await testDatabase();
  db = openDatabase(database.url, silent);
});

afterEach(async () => {
  await db.close();
  await database[Symbol.asyncDispose]();
});

test("a database that is away is told once, however often it is tried, and once that it is back", async () => {
  const [said, log] = listeningLog();
  const url = new URL(database.url);
  const target = { host: url.hostname, port: Number(url.port) };
  await using gate = await openGate(target);
  url.hostname = "127.0.0.1";
  url.port = String(gate.port);
  const events = await openEvents({ ...db, url: String(url) }, log);
  try {
    expect(said).toEqual([]);
    for (const outage of [1, 2]) {
      gate.shut();
      const before = gate.refused();
      await eventually(() => expect(gate.refused()).toBeGreaterThan(before + 3));
      gate.open();
      await eventually(() => expect(said).toHaveLength(2 * outage));
    }
    const once = ["listening for events broke, trying again", "listening for events again"];
    expect(said).toEqual([...once, ...once]);
  } finally {
    await events.close();
  }
});

test("what happened to an app long ago is forgotten, and its numbers go on; a deploy's log is not", async () => {
  const owner = { orgId: randomUUID(), projectId: randomUUID() };
  const applied = (revision: number) => ({ type: "applied", formation: {}, revision }) as const;
  const [app, deploy] = [`app:${randomUUID()}`, `deploy:${randomUUID()}`];
  await publish(db.db, app, owner, [applied(1), applied(2)]);
  await publish(db.db, deploy, owner, [{ type: "cancel", by: "ana" }]);
  await db.db.execute(sql`update events set at = now() - interval '31 days'`);
  await publish(db.db, app, owner, [applied(3)]);
  expect(await deleteOldAppEvents(db.db)).toBe(2);
  await publish(db.db, app, owner, [applied(4)]);
  expect((await listEvents(db.db, app, 1, 10)).map(({ seq }) => seq)).toEqual([3, 4]);
  expect(await listEvents(db.db, deploy, 0, 10)).toHaveLength(1);
});

/** A log that notes what it is told, as info or as a warning. */
function listeningLog(): [string[], Log] {
  const said: string[] = [];
  const note = (_: object, text: string) => void said.push(text);
  return [said, { ...silent, info: note, warn: note } as unknown as Log];
}

/** Stands before a server, and lets nobody through while it is shut. */
async function openGate(target: { host: string; port: number }) {
  const sockets = new Set<Socket>();
  let isShut = false;
  let refused = 0;
  const server = createServer((near) => {
    if (isShut) {
      refused++;
      return void near.destroy();
    }
    const far = connect(target);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  return {
    port,
    refused: () => refused,
    shut() {
      isShut = true;
      cut();
    },
    open() {
      isShut = false;
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
