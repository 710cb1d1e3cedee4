import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import {
  type Agent,
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestListener,
  request,
  type Server,
} from "node:http";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLog } from "../../src/log.ts";
import { openRouter, type Router, type RouterOptions } from "../../src/runtime/local/router.ts";
import {
  drainBackends,
  putRoute,
  type Route,
  type RouterReport,
  writeRouterReport,
} from "../../src/runtime/local/routes.ts";
import { logFolder } from "../../src/runtime/local/state.ts";
import { eventually } from "../support/eventually.ts";

let dataDir: string;
let router: Router;
let port: number;
let closing: (() => unknown)[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "zyndra-router-"));
  closing = [];
  port = await startRouter();
});

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  await rm(dataDir, { recursive: true, force: true });
});

async function startRouter(options: Partial<RouterOptions> = {}): Promise<number> {
  const opened = await openRouter({ dataDir, log: openLog("silent"), ...options });
  const server = createServer((request, response) => {
    if (!opened.handle(request, response)) response.end("Zyndra itself");
  });
  server.on("upgrade", (request, socket, head) => {
    if (!opened.upgrade(request, socket, head)) socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  await listening(server);
  closing.push(() => opened.close());
  router = opened;
  return (server.address() as AddressInfo).port;
}

async function listening(server: Server | TcpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    if ("closeAllConnections" in server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** An app `shop` that is served by these ports. */
async function route(...ports: number[]): Promise<{ appId: string; version: number }> {
  return routeApp(randomUUID(), ports);
}

async function routeApp(
  appId: string,
  ports: number[],
  overrides: Partial<Route> = {},
): Promise<{ appId: string; version: number }> {
  await mkdir(logFolder(dataDir, appId), { recursive: true });
  const backends = ports.map((port, index) => ({ id: `web.${index + 1}-${port}`, name: `web.${index + 1}`, port }));
  const version = await putRoute(dataDir, "localhost", appId, {
    appName: "shop",
    hosts: ["shop.localhost"],
    web: ports.length > 0 ? "running" : "scaled_down",
    backends,
    ...overrides,
  });
  await takenUp(version);
  return { appId, version };
}

async function reports(): Promise<RouterReport[]> {
  const folder = join(dataDir, "routers");
  const names = (await readdir(folder)).filter((name) => name.endsWith(".json"));
  return Promise.all(names.map(async (name) => JSON.parse(await readFile(join(folder, name), "utf8"))));
}

async function takenUp(version: number): Promise<void> {
  await eventually(async () => (await reports()).every((report) => report.version >= version));
}

async function backend(listener: RequestListener): Promise<number> {
  return listening(createServer(listener));
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

type Ask = { host?: string; path?: string; method?: string; headers?: OutgoingHttpHeaders; agent?: Agent };

function asking({ host = "shop.localhost", path = "/", method = "GET", headers, agent }: Ask = {}) {
  return request({ host: "127.0.0.1", port, path, method, agent: agent ?? false, headers: { host, ...headers } });
}

async function answerOf(ask: ReturnType<typeof asking>): Promise<IncomingMessage> {
  const [answer] = (await once(ask, "response")) as [IncomingMessage];
  return answer;
}

async function fetchPage(
  ask: Ask = {},
  body?: string,
): Promise<{ status: number; body: string; answer: IncomingMessage }> {
  const sending = asking(ask);
  sending.end(body);
  const answer = await answerOf(sending);
  return { status: answer.statusCode!, body: await text(answer), answer };
}

test("the Host decides between an app and Zyndra itself", async () => {
  await route(await backend((_request, response) => response.end("the shop")));
  expect((await fetchPage()).body).toBe("the shop");
  expect((await fetchPage({ host: "SHOP.localhost.:8080" })).body).toBe("the shop");
  expect((await fetchPage({ path: "http://shop.localhost/x" })).body).toBe("the shop");
  for (const host of ["localhost", "127.0.0.1:80", "git.localhost", "a.shop.localhost", "shop.example.org", "[::1]"]) {
    expect(router.findApp(host), host).toBeUndefined();
    expect((await fetchPage({ host })).body, host).toBe("Zyndra itself");
  }
});

test("a name without an app, an app without processes and a browser each get their own page", async () => {
  await route();
  const unknown = await fetchPage({ host: "shpo.localhost" });
  expect(unknown.status).toBe(404);
  expect(unknown.body).toContain('No app called "shpo" has gone live');
  const off = await fetchPage();
  expect(off.status).toBe(503);
  expect(off.body).toContain("zyndra ps:scale shop web=1");
  const page = await fetchPage({ headers: { accept: "text/html,*/*" } });
  expect(page.answer.headers["content-type"]).toContain("text/html");
  expect(page.body).toContain("<h1>shop is switched off</h1>");
  expect((await fetchPage({ method: "HEAD" })).body).toBe("");
});

test("a host that an app was given leads to it, but never the platform's own or another app's", async () => {
  const [shop, blog] = await Promise.all([
    backend((request, response) => response.end(`the shop at ${request.headers.host}`)),
    backend((_request, response) => response.end("the blog")),
  ]);
  const hosts = ["shop.localhost", "www.hats.example", "xn--hte-qla.example", "localhost", "blog.localhost"];
  await routeApp("a", [shop], { hosts });
  await routeApp("b", [blog], { appName: "blog", hosts: ["blog.localhost"] });
  await routeApp("c", [shop], { appName: "tea", hosts: ["tea.localhost", "blog.localhost"] });
  expect(router.findApp("www.hats.example")).toBe("shop");
  expect((await fetchPage({ host: "WWW.Hats.example.:80" })).body).toBe("the shop at WWW.Hats.example.:80");
  expect((await fetchPage({ host: "xn--hte-qla.example" })).body).toContain("the shop");
  expect((await fetchPage({ host: "hats.example" })).body).toBe("Zyndra itself");
  expect((await fetchPage({ host: "localhost" })).body).toBe("Zyndra itself");
  expect((await fetchPage({ host: "blog.localhost" })).body).toBe("the blog");
});

test("an app in maintenance is answered for with a page, and its log has the requests", async () => {
  let asked = 0;
  const { appId } = await routeApp(
    randomUUID(),
    [
      await backend((_request, response) => {
        asked++;
        response.end();
      }),
    ],
    { isInMaintenance: true, hosts: ["shop.localhost", "www.hats.example"] },
  );
  const plain = await fetchPage({ host: "www.hats.example", path: "/cart?token=x", method: "POST" }, "x=1");
  expect(plain).toMatchObject({ status: 503, body: expect.stringMatching(/^Down for maintenance\. .*\n$/) });
  expect(plain.answer.headers).toMatchObject({ "retry-after": "60", "cache-control": "no-store" });
  const page = await fetchPage({ headers: { accept: "text/html" } });
  expect(page.body).toContain("<h1>Down for maintenance</h1>");
  // Those who read it are the app's visitors.
  expect(page.body).not.toMatch(/zyndra|shop/);
  const socket = connect(port, "127.0.0.1");
  closing.push(() => socket.destroy());
  socket.write("GET /live HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  expect(await text(socket)).toMatch(/^HTTP\/1.1 503 [\s\S]*Down for maintenance/);
  expect(asked).toBe(0);
  await eventually(async () => {
    const lines = (await readFile(join(logFolder(dataDir, appId), "router.log"), "utf8")).trim().split("\n");
    expect(lines.map((line) => line.replace(/^\S+ | \d+ms/g, ""))).toEqual([
      `router POST /cart 503 ${plain.body.length}B`,
      `router GET / 503 ${page.body.length}B`,
      `router GET /live 503 ${plain.body.length}B`,
    ]);
  });
});

test("headers arrive as they were sent, but for what belongs to one hop", async () => {
  let seen: IncomingMessage | undefined;
  await route(
    await backend((request, response) => {
      seen = request;
      response.writeHead(201, "Made", [
        ["Set-Cookie", "a=1"],
        ["Set-Cookie", "b=2"],
        ["X-Hop", "no"],
        ["Connection", "close, x-hop"],
      ]);
      response.end();
    }),
  );
  const { answer } = await fetchPage({
    path: "/a%20b?c=d",
    headers: {
      "X-Forwarded-For": "1.2.3.4",
      "X-Own": ["one", "two"],
      Connection: "keep-alive, x-secret",
      "X-Secret": "for the next hop",
      TE: "trailers",
    },
  });
  expect(answer.statusCode).toBe(201);
  expect(answer.statusMessage).toBe("Made");
  expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
  expect(answer.headers).not.toHaveProperty("x-hop");
  expect(seen!.url).toBe("/a%20b?c=d");
  expect(seen!.headers).toMatchObject({
    host: "shop.localhost",
    "x-own": "one, two",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "http",
    "x-forwarded-host": "shop.localhost",
    "x-request-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
  });
  expect(seen!.headers).not.toHaveProperty("x-secret");
  expect(seen!.headers).not.toHaveProperty("te");
});

test("behind a trusted proxy its X-Forwarded headers are kept and added to", async () => {
  port = await startRouter({ trustForwarded: true });
  let seen: IncomingMessage | undefined;
  await route(
    await backend((request, response) => {
      seen = request;
      response.end();
    }),
  );
  await fetchPage({ headers: { "x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https", "x-request-id": "abc-1" } });
  expect(seen!.headers).toMatchObject({
    "x-forwarded-for": "1.2.3.4, 127.0.0.1",
    "x-forwarded-proto": "https",
    "x-request-id": "abc-1",
  });
});

test("bodies stream both ways while both are open", async () => {
  await route(
    await backend((request, response) => {
      response.flushHeaders();
      request.on("data", (chunk) => response.write(`<${chunk}>`));
      request.on("end", () => response.end("end"));
    }),
  );
  const sending = asking({ method: "POST" });
  sending.flushHeaders();
  const answer = await answerOf(sending);
  const chunks = answer.setEncoding("utf8")[Symbol.asyncIterator]();
  sending.write("one");
  expect((await chunks.next()).value).toBe("<one>");
  sending.write("two");
  expect((await chunks.next()).value).toBe("<two>");
  sending.end();
  expect((await chunks.next()).value).toBe("end");
});

test("an upload to an app that does not read is held back, not gathered in memory", async () => {
  let go = () => {};
  let received = 0;
  await route(
    await backend((request, response) => {
      go = () => {
        request.on("data", (chunk: Buffer) => {
          received += chunk.length;
        });
        request.on("end", () => response.end("all there"));
      };
    }),
  );
  const sizeBytes = 64 * 1024 * 1024;
  const sending = asking({ method: "PUT", headers: { "content-length": sizeBytes } });
  const chunk = Buffer.alloc(1024 * 1024);
  let sent = 0;
  const pump = () => {
    while (sent < sizeBytes) {
      sent += chunk.length;
      if (!sending.write(chunk)) return void sending.once("drain", pump);
    }
    sending.end();
  };
  pump();
  // It has stopped when it is the same at two looks.
  let before = -1;
  await eventually(() => before === (before = sent) && sent > 0);
  expect(sent).toBeLessThan(sizeBytes / 2);
  go();
  expect(await text(await answerOf(sending))).toBe("all there");
  expect(received).toBe(sizeBytes);
});

test("HEAD, empty answers, trailers and Expect: 100-continue pass", async () => {
  await route(
    await backend(async (request, response) => {
      if (request.method === "HEAD") {
        response.setHeader("content-length", 1234);
        return void response.end();
      }
      if (request.url === "/304") return void response.writeHead(304, { etag: "x" }).end();
      const body = await text(request);
      response.setHeader("trailer", "x-sum");
      response.write(body);
      response.addTrailers({ "x-sum": `${request.trailers["x-count"] ?? "none"}` });
      response.end();
    }),
  );
  const head = await fetchPage({ method: "HEAD" });
  expect(head.answer.headers["content-length"]).toBe("1234");
  expect((await fetchPage({ path: "/304" })).status).toBe(304);

  const sending = asking({ method: "POST", headers: { trailer: "x-count", expect: "100-continue" } });
  sending.flushHeaders();
  await once(sending, "continue");
  sending.write("counted");
  sending.addTrailers({ "x-count": "7" });
  sending.end();
  const answer = await answerOf(sending);
  expect(await text(answer)).toBe("counted");
  expect(answer.trailers).toEqual({ "x-sum": "7" });
});

test("a client cannot have the length of its body taken off, and its body read as the next request", async () => {
  const seen: string[] = [];
  await route(
    await backend((request, response) => {
      seen.push(`${request.method} ${request.url} for ${request.headers.host}`);
      response.end();
    }),
  );
  const smuggled = "DELETE /smuggled HTTP/1.1\r\nHost: shop.localhost\r\n\r\n";
  const socket = connect(port, "127.0.0.1");
  socket.write(
    `GET /outer HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close, content-length, host\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
  );
  await text(socket);
  expect(seen).toEqual(["GET /outer for shop.localhost"]);
});

test("a POST without a body arrives with an empty one", async () => {
  let seen: IncomingMessage | undefined;
  await route(
    await backend((request, response) => {
      seen = request;
      response.end();
    }),
  );
  const socket = connect(port, "127.0.0.1");
  socket.write("POST / HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n");
  await text(socket);
  expect(seen!.headers["content-length"]).toBe("0");
  expect(seen!.headers).not.toHaveProperty("transfer-encoding");
});

test("a client that leaves takes its request along", async () => {
  let left = 0;
  const arrived = Promise.withResolvers<void>();
  await route(
    await backend((request, response) => {
      response.on("close", () => left++);
      if (request.method === "GET") return void response.write("and so on");
      request.resume();
      arrived.resolve();
    }),
  );
  const reading = asking();
  reading.end();
  await answerOf(reading);
  reading.destroy();
  await eventually(() => left === 1);
  const uploading = asking({ method: "POST", headers: { "content-length": 1000 } });
  uploading.on("error", () => {});
  uploading.write("half");
  await arrived.promise;
  uploading.destroy();
  await eventually(() => left === 2);
});

test("an app that breaks off before its answer gets a 502, in the middle of it a broken connection", async () => {
  await route(
    await backend((request, response) => {
      if (request.url === "/before") return void request.socket.destroy();
      response.writeHead(200, { "content-length": 100 });
      response.write("half", () => request.socket.destroy());
    }),
  );
  const before = await fetchPage({ path: "/before" });
  expect(before.status).toBe(502);
  expect(before.body).toContain("zyndra logs shop");
  await expect(fetchPage({ path: "/within" })).rejects.toThrow("aborted");
});

test("a process that refuses the connection is passed over, also by a request with a body; a crashed app says so", async () => {
  const dead = await freePort();
  const alive = await backend(async (request, response) => response.end(`got ${await text(request)}`));
  const { appId } = await route(dead, alive);
  for (let round = 0; round < 4; round++) {
    expect((await fetchPage({ method: "POST" }, "a body")).body).toBe("got a body");
  }
  await routeApp(appId, [dead]);
  const { status, body, answer } = await fetchPage();
  expect(status).toBe(503);
  expect(body).toContain("zyndra logs shop");
  expect(answer.headers["retry-after"]).toBe("5");
});

test("a kept connection that the app closes as it is used again costs no request", async () => {
  const sockets: Socket[] = [];
  let requests = 0;
  // Answers once per connection, promises to keep it, and breaks it off as the next request arrives.
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    let answered = false;
    socket.on("error", () => {});
    socket.on("data", () => {
      requests++;
      if (answered) return void socket.resetAndDestroy();
      answered = true;
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
    });
  });
  await route(await listening(server));
  for (let round = 0; round < 3; round++) expect((await fetchPage()).body).toBe("fine");
  expect(requests).toBeGreaterThan(3);
  // A POST may not be sent twice, so it never travels on a connection that may just be closing.
  const before = requests;
  expect((await fetchPage({ method: "POST" }, "once")).body).toBe("fine");
  expect((await fetchPage({ method: "POST" }, "once")).body).toBe("fine");
  expect(requests - before).toBeLessThanOrEqual(4);
  expect(sockets.length).toBeGreaterThan(3);
});

test("nothing moving for too long ends in a 504", async () => {
  port = await startRouter({ idleLimitMs: 150 });
  await route(await backend(() => {}));
  const { status, body } = await fetchPage();
  expect(status).toBe(504);
  expect(body).toContain("has not answered within 0.15 s");
});

test("the process with the fewest requests in flight gets the next one", async () => {
  const waiting: (() => void)[] = [];
  const slow = await backend((_request, response) => void waiting.push(() => response.end("slow")));
  const quick = await backend((_request, response) => response.end("quick"));
  await route(slow, quick);
  const open: Promise<unknown>[] = [];
  while (waiting.length === 0) {
    const asked = fetchPage();
    open.push(asked);
    await Promise.race([asked, eventually(() => waiting.length > 0)]);
  }
  for (let round = 0; round < 5; round++) expect((await fetchPage()).body).toBe("quick");
  for (const answer of waiting) answer();
  await Promise.all(open);
});

test("a WebSocket passes in both directions, with what either side sends at once", async () => {
  const server = createServer();
  server.on("upgrade", (request, socket, head) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ");
    socket.write(`${request.headers.upgrade} ${head.toString()}`);
    socket.on("data", (chunk) => socket.write(`<${chunk}>`));
    socket.on("end", () => socket.end());
  });
  const { appId } = await route(await listening(server));
  const socket = connect(port, "127.0.0.1");
  socket.setEncoding("utf8");
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk;
  });
  socket.write(
    "GET /live?token=x HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly",
  );
  await eventually(() => received.includes("hello websocket early") || received.includes("<early>"));
  socket.write("later");
  await eventually(() => received.includes("<later>"));
  socket.end();
  await once(socket, "close");
  await eventually(async () => {
    const log = await readFile(join(logFolder(dataDir, appId), "router.log"), "utf8");
    expect(log).toMatch(/ router GET \/live 101 \d+ms \d+B web\.1\n$/);
  });
});

test("a refused upgrade is answered in plain HTTP: by the app, or for an app that is away", async () => {
  const server = createServer();
  server.on("upgrade", (_request, socket) =>
    socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"),
  );
  const { appId } = await route(await listening(server));
  const upgrade = { headers: { connection: "Upgrade", upgrade: "websocket" } };
  const refused = await fetchPage(upgrade);
  expect([refused.status, refused.body]).toEqual([403, "no"]);
  await routeApp(appId, [await freePort()]);
  expect((await fetchPage(upgrade)).status).toBe(503);
  expect((await fetchPage({ ...upgrade, host: "shpo.localhost" })).status).toBe(404);
});

test("each request leaves a line in the app's log, without its query", async () => {
  const { appId } = await route(await backend((_request, response) => response.end("12345")));
  await fetchPage({ path: "/cart/%C3%BC?token=secret" });
  await fetchPage({ path: "/x", method: "POST" }, "body");
  const log = await eventually(async () => {
    const lines = (await readFile(join(logFolder(dataDir, appId), "router.log"), "utf8")).trim().split("\n");
    expect(lines).toHaveLength(2);
    return lines;
  });
  expect(log[0]).toMatch(/^\d{4}-\S+Z router GET \/cart\/%C3%BC 200 \d+ms 5B web\.1$/);
  expect(log[1]).toMatch(/ router POST \/x 200 \d+ms 5B web\.1$/);
});

test("new routes are taken up at once, and the report tells what is left on the old backends", async () => {
  let finish = () => {};
  const old = await backend((_request, response) => {
    finish = () => response.end("old");
    response.write("begun ");
  });
  const { appId } = await route(old);
  const running = asking();
  running.end();
  const answer = await answerOf(running);
  const { version } = await routeApp(appId, [await backend((_request, response) => response.end("new"))]);
  expect((await fetchPage()).body).toBe("new");
  expect(await reports()).toMatchObject([{ version, inFlight: { [`web.1-${old}`]: 1 } }]);
  finish();
  expect(await text(answer)).toBe("begun old");
  await eventually(async () => expect((await reports())[0]!.inFlight).toEqual({}));
});

test("old backends count as drained when every living router has taken up the new routes, and not before", async () => {
  const { version } = await route(await freePort());
  const slow = { ...(await reports())[0]!, version: version - 1, inFlight: { old: 1 } };
  await writeRouterReport(dataDir, "slow", slow);
  await writeRouterReport(dataDir, "killed", { ...slow, startTime: "long ago", version: 0 });
  const about = { version, backendIds: ["old"], limitMs: 10_000, onWait: () => {}, log: openLog("silent") };
  let isDrained = false;
  const draining = drainBackends(dataDir, about).finally(() => {
    isDrained = true;
  });
  await eventually(async () => expect(await readdir(join(dataDir, "routers"))).not.toContain("killed.json"));
  await writeRouterReport(dataDir, "slow", { ...slow, inFlight: {} });
  expect(await Promise.race([draining, delay(100, "still waiting")])).toBe("still waiting");
  await writeRouterReport(dataDir, "slow", { ...slow, version, inFlight: { old: 1 } });
  expect(await Promise.race([draining, delay(100, "still waiting")])).toBe("still waiting");
  expect(isDrained).toBe(false);
  await writeRouterReport(dataDir, "slow", { ...slow, version, inFlight: {} });
  expect(await draining).toEqual({ finished: 1, left: 0 });
});

test("a closed router takes its report away", async () => {
  expect(await reports()).toHaveLength(1);
  await router.close();
  expect(await reports()).toEqual([]);
});
