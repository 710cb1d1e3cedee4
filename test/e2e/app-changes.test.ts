import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { applied } from "../support/applied.ts";
import { gatedApp, webApp } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { getPage } from "../support/get-page.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";

/** What changes about an app without a release, with real pushes, processes and requests. */
let platform: TestPlatform;
let gates: string;
let count = 0;

beforeAll(async () => {
  platform = await testPlatform();
  gates = await mkdtemp(join(tmpdir(), "zyndra-gates-"));
});

afterAll(async () => {
  await platform?.[Symbol.asyncDispose]();
  if (gates) await rm(gates, { recursive: true, force: true });
});

type App = { name: string; pusher: Pusher };

async function newApp(files: Record<string, string> = webApp("hats")): Promise<App> {
  const name = `app${++count}`;
  await platform.ask("apps:create", { app: name });
  const pusher = await newPusher(remoteOf(name));
  await pusher.commit(files);
  return { name, pusher };
}

async function liveApp(files?: Record<string, string>): Promise<App> {
  const app = await newApp(files);
  const pushed = await app.pusher.push("main");
  expect(pushed.exitCode, pushed.output).toBe(0);
  return app;
}

const remoteOf = (name: string) => `http://ana:${platform.token}@127.0.0.1:${platform.port}/${name}.git`;
const change = async (name: string, input: Record<string, unknown>) =>
  applied(platform, await platform.ask(name, input));
const pageAt = (host: string) => getPage(`http://${host}:${platform.port}/`);
const pageOf = (name: string) => pageAt(`${name}.localhost`);

/** Asks for a page again and again until told to end; answers how often each status came. */
function ask(name: string): { seen: Map<string, number>; end(): Promise<void> } {
  const seen = new Map<string, number>();
  let isOver = false;
  const one = async () => {
    while (!isOver) {
      const kind = await pageOf(name).then(
        ({ status, body }) => `${status} ${body.split(".")[0]}`,
        (error: Error) => error.message,
      );
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
    }
  };
  const asking = [one(), one(), one()];
  return {
    seen,
    async end() {
      isOver = true;
      await Promise.all(asking);
    },
  };
}

test("domains lead to the app over the router, from its first push on, until they are removed", async () => {
  const { name, pusher } = await newApp();
  await using _ = pusher;
  const { view } = await platform.ask("domains:add", { app: name, hosts: ["https://www.hats.test/"] });
  expect(view.text).toBe(`www.hats.test will lead to ${name} with its first push`);
  expect(view.hint).toBe(
    `to open http://www.hats.test:${platform.port} on this machine, /etc/hosts needs the line: 127.0.0.1 www.hats.test`,
  );
  expect((await pageAt("www.hats.test")).body).toContain("Zyndra");
  expect((await pusher.push("main")).exitCode).toBe(0);
  expect((await pageAt("www.hats.test")).body).toBe("hats");

  await change("domains:add", { app: name, hosts: ["hüte.test"] });
  expect((await pageAt("xn--hte-hoa.test")).body).toBe("hats");
  await change("domains:remove", { app: name, hosts: ["www.hats.test"] });
  expect((await pageAt("www.hats.test")).body).toContain("Zyndra");
  expect((await pageOf(name)).body).toBe("hats");

  for (const host of ["localhost", `${name}.localhost`]) {
    await expect(platform.ask("domains:add", { app: name, hosts: [host] })).rejects.toMatchObject({
      code: "bad_input",
    });
  }
  await platform.ask("apps:destroy", { app: name });
  await eventually(async () => expect((await pageAt("xn--hte-hoa.test")).body).toContain("Zyndra"));
});

test("a renamed app is at its new address, its old ones are gone, and a push to the new one works", async () => {
  const { name, pusher } = await liveApp();
  await using _ = pusher;
  const newName = `${name}-anew`;
  await change("apps:rename", { app: name, newName });
  expect((await pageOf(newName)).body).toBe("hats");
  expect(await pageOf(name)).toMatchObject({ status: 404 });

  await pusher.commit(webApp("tea"));
  const old = await pusher.push("main");
  expect(old.exitCode).not.toBe(0);
  expect(old.output).toContain(`no app is called "${name}"`);
  await pusher.git("remote", "set-url", "zyndra", remoteOf(newName));
  const pushed = await pusher.push("main");
  expect(pushed.output).toContain(`success: ${newName} v2 is live at http://${newName}.localhost:${platform.port}`);
  expect((await pageOf(newName)).body).toBe("tea");
});

test("a deploy that runs while its app is renamed goes live at the new address", async () => {
  const { name, pusher } = await liveApp();
  await using _ = pusher;
  const newName = `${name}-anew`;
  await platform.ask("config:set", { app: name, vars: [`GATES=${gates}`], detach: true });
  await pusher.commit(gatedApp("tea", { build: name }));
  const push = pusher.startPush("main");
  await push.printed(/-----> Building/);
  await change("apps:rename", { app: name, newName });
  expect((await pageOf(newName)).body).toBe("hats");
  await writeFile(join(gates, name), "");
  const { exitCode, output } = await push.ended;
  expect(output).toContain(`is live at http://${newName}.localhost:${platform.port}`);
  expect(exitCode).toBe(0);
  expect((await pageOf(newName)).body).toBe("tea");
  expect((await pageOf(name)).status).toBe(404);
});

test("maintenance goes on and off under requests: each gets the app or the page that says so, and pushes go on", async () => {
  const { name, pusher } = await liveApp();
  await using _ = pusher;
  const visitors = ask(name);
  await eventually(() => (visitors.seen.get("200 hats") ?? 0) > 5);
  await change("maintenance:on", { app: name });
  expect(await pageOf(name)).toMatchObject({ status: 503, body: expect.stringContaining("Down for maintenance") });
  await eventually(() => (visitors.seen.get("503 Down for maintenance") ?? 0) > 5);
  await pusher.commit(webApp("tea"));
  const pushed = await pusher.push("main");
  expect(pushed.exitCode).toBe(0);
  expect((await pageOf(name)).status).toBe(503);
  await change("maintenance:off", { app: name });
  expect((await pageOf(name)).body).toBe("tea");
  await eventually(() => (visitors.seen.get("200 tea") ?? 0) > 5);
  await visitors.end();
  expect([...visitors.seen.keys()].sort()).toEqual(["200 hats", "200 tea", "503 Down for maintenance"]);
});

test("a restart under requests fails none of them, also while a build runs", async () => {
  const { name, pusher } = await liveApp({
    ...webApp(""),
    "server.js": `
      const { createServer } = require("node:http");
      createServer((_, res) => setTimeout(() => res.end("hats"), 20)).listen(process.env.PORT);
      process.on("SIGTERM", () => process.exit(0));`,
  });
  await using _ = pusher;
  await platform.ask("config:set", { app: name, vars: [`GATES=${gates}`] });
  await change("ps:scale", { app: name, changes: ["web=2"] });
  type Process = { name: string; since: Date };
  const starts = async () => {
    const { processes } = (await platform.ask("ps", { app: name })).data as { processes: Process[] };
    return processes.map((process) => `${process.name} ${process.since.getTime()}`);
  };
  const visitors = ask(name);
  const before = await starts();
  await change("ps:restart", { app: name });
  const after = await starts();
  expect(after).toHaveLength(2);
  for (const start of after) expect(before).not.toContain(start);

  await pusher.commit(gatedApp("hats", { build: name }));
  const push = pusher.startPush("main");
  await push.printed(/-----> Building/);
  await change("ps:restart", { app: name, processes: ["web.2"] });
  expect(await starts()).toEqual([after[0], expect.not.stringMatching(after[1]!)]);
  await writeFile(join(gates, name), "");
  expect((await push.ended).exitCode).toBe(0);
  await visitors.end();
  expect([...visitors.seen.keys()]).toEqual(["200 hats"]);
});

test("a restart that crashes says why, and the processes of before go on", async () => {
  const once = join(gates, "begun");
  const { name, pusher } = await liveApp({
    ...webApp(""),
    "server.js": `
      const fs = require("node:fs");
      if (fs.existsSync(${JSON.stringify(once)})) require("express");
      fs.writeFileSync(${JSON.stringify(once)}, "");
      require("node:http").createServer((_, res) => res.end("hats")).listen(process.env.PORT);`,
  });
  await using _ = pusher;
  expect(await change("ps:restart", { app: name })).toMatchObject({
    cause: { headline: "web crashes at start", detail: expect.stringContaining("Cannot find module 'express'") },
  });
  expect((await pageOf(name)).body).toBe("hats");
});
