import { readdir } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { getPage } from "../support/get-page.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";

/** A shop that keeps its orders in a database, through npm's `pg`, and its pictures in a volume; its release command makes the table. */
let platform: TestPlatform;
let pusher: Pusher;

beforeAll(async () => {
  platform = await testPlatform();
  pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
  await ask("apps:create", { app: "shop" });
});

afterAll(async () => {
  await pusher?.[Symbol.asyncDispose]();
  await platform?.[Symbol.asyncDispose]();
});

const ask = (name: string, input: Record<string, unknown>) => platform.ask(name, input);
const get = async (path: string) => (await getPage(`http://shop.localhost:${platform.port}${path}`)).body;
type Deploy = { number: number; status: string };
const settled = (number: number, status = "live") =>
  eventually(
    async () => {
      const [newest] = (await ask("deploys", { app: "shop" })).data as Deploy[];
      expect(newest).toMatchObject({ number, status });
    },
    { withinMs: 60_000 },
  );

function shop(version: string): Record<string, string> {
  return {
    "package.json": JSON.stringify({ name: "shop", private: true, dependencies: { pg: "8.23.1" } }),
    Procfile: "web: node server.js\nrelease: node migrate.js\n",
    "uploads/.gitkeep": "",
    "migrate.js": `
const { Client } = require("pg");
(async () => {
  const client = new Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  await client.query("create table if not exists orders (hat text)");
  console.log("migrated as " + client.user);
  await client.end();
})();`,
    "server.js": `
const fs = require("node:fs");
const { createServer } = require("node:http");
const { Pool } = require("pg");
console.log("the address is " + process.env.DATABASE_URL);
const pool = process.env.DATABASE_URL && new Pool({ connectionString: process.env.DATABASE_URL });
pool?.on("error", () => {});
const answers = {
  order: async (hat) => { await pool.query("insert into orders values ($1)", [hat]); return "ordered"; },
  orders: async () => (await pool.query("select hat from orders order by hat")).rows.map(({ hat }) => hat).join(" "),
  keep: async (name) => { fs.writeFileSync("uploads/" + name, "a picture"); return "kept"; },
  picture: async (name) => fs.readFileSync("uploads/" + name, "utf8"),
  path: async () => process.env.UPLOADS_PATH,
  env: async (name) => String(process.env[name]),
};
createServer((request, response) => {
  const [, verb, word] = request.url.split("/");
  const answer = answers[verb] ?? (async () => ${JSON.stringify(version)});
  answer(word).then((text) => response.end(text), (error) => response.end("error: " + error.code));
}).listen(process.env.PORT);`,
  };
}

test("an app with a database and a volume: made, pushed, used, released again, rolled back, taken away", async () => {
  await ask("addons:create", { engine: "postgres", app: "shop", name: "db" });
  await ask("volumes:create", { name: "uploads", app: "shop" });
  await pusher.commit(shop("one"));
  const pushed = await pusher.push("main");
  expect(pushed.output).toMatch(/migrated as zyndra_[0-9a-f]{32}/);
  expect(pushed.exitCode).toBe(0);
  expect(await get("/order/fedora")).toBe("ordered");
  expect(await get("/keep/fedora.png")).toBe("kept");
  const address = await get("/env/DATABASE_URL");

  await pusher.commit(shop("two"));
  expect((await pusher.push("main")).exitCode).toBe(0);
  await ask("releases:rollback", { app: "shop", version: 1 });
  await settled(3);
  await ask("ps:restart", { app: "shop" });
  await eventually(async () => expect(await get("/")).toBe("one"));
  expect(await get("/orders")).toBe("fedora");
  expect(await get("/picture/fedora.png")).toBe("a picture");
  expect(await get("/env/DATABASE_URL")).toBe(address);
  const folder = await get("/path");
  expect(await readdir(folder)).toEqual(["fedora.png"]);

  // The platform's database stands on the same server, and is closed to the app's login.
  const own = new URL(address);
  own.pathname = new URL(platform.config.database.kind === "postgres" ? platform.config.database.url : "").pathname;
  const client = new pg.Client({ connectionString: own.href });
  await expect(client.connect()).rejects.toMatchObject({ code: "42501" });

  const log: string[] = [];
  const { runtime } = platform.deps;
  const app = (await readdir(join(platform.dataDir, "apps")))[0]!;
  for await (const line of runtime.processes.logs(app, { lines: 100, follow: false }, new AbortController().signal)) {
    log.push(line.text);
  }
  expect(log.join("\n")).toContain(`the address is ${address}`);
  const shown = await getPage(`${platform.url}/api/apps/shop/logs?lines=100`, {
    headers: { authorization: `Bearer ${platform.token}` },
  });
  expect(shown.body).toContain("the address is [DATABASE_URL hidden]");
  expect(shown.body).not.toContain(own.password);

  await ask("addons:detach", { name: "db", app: "shop" });
  // The release command needs the database, so this release is not taken.
  await settled(4, "failed");
  expect(await get("/orders")).toBe("fedora");
  await pusher.commit({ ...shop("three"), Procfile: "web: node server.js\n" });
  expect((await pusher.push("main")).exitCode).toBe(0);
  expect(await get("/env/DATABASE_URL")).toBe("undefined");
  expect(await get("/picture/fedora.png")).toBe("a picture");

  await ask("addons:attach", { name: "db", app: "shop", as: "ORDERS" });
  await settled(6);
  expect(await get("/env/ORDERS_URL")).toBe(address);
  await ask("volumes:destroy", { name: "uploads", force: true });
  await settled(7);
  expect(await get("/picture/fedora.png")).toBe("error: ENOENT");
  await eventually(async () => expect(await readdir(join(platform.dataDir, "volumes"))).toEqual([]));
}, 240_000);

test("files of the commit in a volume's place refuse the push with what to do", async () => {
  await ask("volumes:create", { name: "pictures", app: "shop" });
  await settled(8);
  await pusher.commit({ ...shop("four"), Procfile: "web: node server.js\n", "pictures/logo.png": "a logo" });
  const pushed = await pusher.push("main");
  expect(pushed.output).toContain("error: the release has files in pictures, where volume pictures is mounted");
  expect(pushed.output).toContain("git rm -r --cached pictures");
  expect(pushed.exitCode).toBe(1);
  expect(await get("/")).toBe("three");
});
