import { randomBytes } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import isomorphic from "isomorphic-git";
import isomorphicHttp from "isomorphic-git/http/node";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import type { Push } from "../../src/git-receiver/git/push.ts";
import { transportNames } from "../../src/git-receiver/git/transport.ts";
import { eventually } from "../support/eventually.ts";
import {
  goodToken,
  openWorkplace,
  pushBody,
  pushHeaders,
  quarantines,
  type Receiver,
  rawRequest,
  startReceiver,
  storeAll,
  type TestApp,
  type Workplace,
} from "./git-harness.ts";

describe.each(transportNames)("over %s", (transport) => {
  let receiver: Receiver;
  let workplace: Workplace;
  let first: string;
  let second: string;

  beforeAll(async () => {
    receiver = await startReceiver(transport);
    workplace = await openWorkplace();
    first = await workplace.commit("a.txt", "a");
    second = await workplace.commit("b.txt", "b");
  });
  afterAll(async () => {
    await receiver?.close();
    await workplace?.remove();
  });
  afterEach(async () => {
    await eventually(() => expect(receiver.processes()).toEqual([]));
  });

  describe("pushes that git knows", () => {
    test("the first push, the next one, a forced one and a repeated one arrive", async () => {
      const app = await receiver.newApp();
      expect(await workplace.git("push", app.url, `${first}:refs/heads/main`)).toMatchObject({ code: 0 });
      expect(await mainOf(app)).toBe(first);

      const next = await workplace.git("push", app.url, `${second}:main`);
      expect(next).toMatchObject({ code: 0 });
      expect(next.stderr).toContain(`${first.slice(0, 7)}..${second.slice(0, 7)}  ${second} -> main`);
      expect(await mainOf(app)).toBe(second);
      expect((await workplace.git("push", app.url, `${second}:main`)).stderr).toContain("Everything up-to-date");

      const back = await workplace.git("push", app.url, `${first}:main`);
      expect(back).toMatchObject({ code: 1 });
      expect(back.stderr).toContain("non-fast-forward");
      expect(await workplace.git("push", "--force", app.url, `${first}:main`)).toMatchObject({ code: 0 });
      expect(await mainOf(app)).toBe(first);
      await clean(app);
    });

    test("several branches and both kinds of tags are one push, and tags never reach the deploys", async () => {
      const received: Push[] = [];
      const app = await receiver.newApp({
        receive: async (push) => {
          received.push(push);
          return storeAll(receiver.repos, push);
        },
      });
      await workplace.ok("tag", "--force", "light");
      await workplace.ok("tag", "--force", "-a", "heavy", "-m", "A tag");
      const result = await workplace.git(
        "push",
        app.url,
        `${first}:refs/heads/main`,
        `${second}:refs/heads/topic`,
        "light",
        "heavy",
      );
      expect(result).toMatchObject({ code: 0 });
      expect(result.stderr).toContain("[new tag]         heavy -> heavy");
      expect(received.map(({ updates }) => updates.map(({ ref }) => ref).sort())).toEqual([
        ["refs/heads/main", "refs/heads/topic"],
      ]);
      expect(receiver.seen.at(-1)!.updates).toHaveLength(4);
      expect(await receiver.repos.readRef(app.appId, "refs/heads/topic")).toBe(second);
      expect(await receiver.repos.readRef(app.appId, "refs/tags/light")).toBe(second);
      expect(await receiver.repos.resolveCommit(app.appId, "heavy")).toBe(second);
      expect(await receiver.repos.readRef(app.appId, "refs/tags/heavy")).not.toBe(second);
    });

    test("tags alone are stored", async () => {
      const app = await receiver.newApp();
      await workplace.ok("tag", "--force", "alone");
      expect(await workplace.git("push", app.url, "alone")).toMatchObject({ code: 0 });
      expect(await receiver.repos.readRef(app.appId, "refs/tags/alone")).toBe(second);
    });

    test("a refused branch shows its reason, exits 1 and stays where it was; the others of the push pass", async () => {
      const app = await receiver.newApp({
        receive: async ({ updates }) =>
          updates.map(({ ref }) =>
            ref === "refs/heads/main"
              ? { ref, ok: false, reason: "build failed,\n zyndra logs shop 42" }
              : { ref, ok: true, fallThrough: true },
          ),
      });
      const result = await workplace.git("push", app.url, "main", "main:refs/heads/topic");
      expect(result).toMatchObject({ code: 1 });
      expect(result.stderr).toContain("! [remote rejected] main -> main (build failed, zyndra logs shop 42)");
      expect(result.stderr).toContain("* [new branch]      main -> topic");
      expect(await mainOf(app)).toBeNull();
      expect(await receiver.repos.readRef(app.appId, "refs/heads/topic")).toBe(second);
    });

    test("a deleted branch goes, the deployed one stays with a reason", async () => {
      const app = await receiver.newApp();
      await workplace.ok("push", "--quiet", app.url, "main", "main:refs/heads/topic", `${second}:refs/tags/old`);
      expect(await workplace.git("push", app.url, ":topic", ":refs/tags/old")).toMatchObject({ code: 0 });
      expect(await receiver.repos.readRef(app.appId, "refs/heads/topic")).toBeNull();
      expect(await receiver.repos.readRef(app.appId, "refs/tags/old")).toBeNull();
      const kept = await workplace.git("push", app.url, ":main");
      expect(kept).toMatchObject({ code: 1 });
      expect(kept.stderr).toContain("! [remote rejected] main (main is deployed and stays)");
      expect(await mainOf(app)).toBe(second);
    });

    test("push options arrive in their order, as they were typed", async () => {
      const app = await receiver.newApp();
      const result = await workplace.git("push", "-o", "detach", "-o", "message=a b; $(c)", app.url, "main");
      expect(result).toMatchObject({ code: 0 });
      expect(receiver.seen.at(-1)!.options).toEqual(["detach", "message=a b; $(c)"]);
    });

    test("an atomic push is stored whole or not at all, its tags too", async () => {
      const app = await receiver.newApp();
      await workplace.ok("tag", "--force", "v1");
      expect(await workplace.git("push", "--atomic", app.url, "main:refs/heads/a", "main:refs/heads/b")).toMatchObject({
        code: 0,
      });
      expect(receiver.seen.at(-1)!.atomic).toBe(true);

      const strict = await receiver.newApp({
        receive: async ({ updates }) =>
          updates.map(({ ref }) =>
            ref.endsWith("/b") ? { ref, ok: false, reason: "not b" } : { ref, ok: true, fallThrough: true },
          ),
      });
      const result = await workplace.git(
        "push",
        "--atomic",
        strict.url,
        "main:refs/heads/a",
        "main:refs/heads/b",
        "v1",
      );
      expect(result).toMatchObject({ code: 1 });
      expect(result.stderr).toContain("main -> b (not b)");
      expect(result.stderr).toContain("main -> a (atomic push: refs/heads/b is refused)");
      expect(result.stderr).toContain("v1 -> v1 (atomic push: refs/heads/b is refused)");
      expect(await workplace.ok("ls-remote", strict.url)).toBe("");
    });

    test("an atomic push of what nobody refuses stores its tags too", async () => {
      const app = await receiver.newApp();
      await workplace.ok("tag", "--force", "v1");
      const result = await workplace.git("push", "--atomic", app.url, "main:refs/heads/a", "v1");
      expect(result).toMatchObject({ code: 0 });
      expect(await workplace.ok("ls-remote", app.url)).toContain("refs/tags/v1");
    });

    test("a pack of several megabytes comes after a probe, in chunks", async () => {
      const app = await receiver.newApp();
      const elsewhere = await openWorkplace();
      await elsewhere.commit("large.bin", randomBytes(3 * 1024 ** 2 + 17));
      const result = await elsewhere.git("push", app.url, "main");
      expect(result).toMatchObject({ code: 0 });
      expect(await mainOf(app)).toBe(await elsewhere.ok("rev-parse", "HEAD"));
      await clean(app);
      await elsewhere.remove();
    });

    test("a push from a shallow clone is refused with what to do, and passes afterwards", async () => {
      const app = await receiver.newApp();
      const shallow = await openWorkplace();
      await shallow.ok("fetch", "--quiet", "--depth=1", `file://${workplace.folder}`, "main:refs/heads/cut");
      const refused = await shallow.git("push", app.url, "cut:main", "cut:refs/heads/topic");
      expect(refused).toMatchObject({ code: 1 });
      expect(refused.stderr).toContain("cut -> main (shallow update not allowed)");
      expect(refused.stderr).toMatch(/remote: hint: .*git fetch --unshallow, then push again/);
      await shallow.ok("fetch", "--quiet", "--unshallow", `file://${workplace.folder}`);
      expect(await shallow.git("push", app.url, "cut:main")).toMatchObject({ code: 0 });
      await shallow.remove();
    });

    test("twenty pushes at once all arrive", async () => {
      const app = await receiver.newApp();
      const names = Array.from({ length: 20 }, (_, index) => `topic-${index}`);
      const results = await Promise.all(names.map((name) => workplace.git("push", app.url, `main:refs/heads/${name}`)));
      expect(results.map(({ code }) => code)).toEqual(names.map(() => 0));
      expect(
        (await workplace.ok("ls-remote", app.url)).split("\n").filter((line) => line.includes("topic-")),
      ).toHaveLength(20);
      await clean(app);
    });

    test("isomorphic-git pushes, sees the lines and is told the reason", async () => {
      const app = await receiver.newApp({
        receive: async (push, say) => {
          say("-----> Building ✔");
          return storeAll(receiver.repos, push);
        },
      });
      const lines: string[] = [];
      const push = (ref: string, remoteRef: string) =>
        isomorphic.push({
          fs,
          http: isomorphicHttp,
          dir: workplace.folder,
          url: app.bareUrl,
          ref,
          remoteRef,
          onAuth: () => ({ username: "any", password: goodToken }),
          onMessage: (line) => void lines.push(line),
        });
      const result = await push("main", "refs/heads/main");
      expect(result.ok).toBe(true);
      expect(lines.join("")).toContain("-----> Building ✔");
      expect(await mainOf(app)).toBe(second);
      await expect(push("main", "refs/zyndra/mine")).rejects.toThrow("only branches and tags can be pushed");
    });
  });

  describe("what the pusher sees", () => {
    test("lines arrive one by one, long before the end", async () => {
      const told = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
      const app = await receiver.newApp({
        receive: async (push, say) => {
          for (const [index, { promise }] of told.entries()) {
            say(`line ${index}`);
            await promise;
          }
          return storeAll(receiver.repos, push);
        },
      });
      const push = workplace.start("push", app.url, "main");
      for (const [index, { resolve }] of told.entries()) {
        await eventually(() => expect(push.stderr()).toContain(`remote: line ${index}`));
        expect(push.stderr()).not.toContain(`line ${index + 1}`);
        resolve();
      }
      expect(await push.result).toMatchObject({ code: 0 });
    });

    test("lines lose what would disturb a terminal and keep their colours", async () => {
      const app = await receiver.newApp({
        receive: async (push, say) => {
          say("10 %\r100 %\x1b[K\x07 \x1b[32mgrün\x1b[0m \x1b]0;title\x07ok\n");
          return storeAll(receiver.repos, push);
        },
      });
      const { stderr } = await workplace.git("push", app.url, "main");
      expect(stderr).toMatch(/remote: 100 % \x1b\[32mgrün\x1b\[0m ok *\n/);
    });

    test("a refusal while the objects are checked names the reason, and nothing is kept", async () => {
      let types: unknown[] = [];
      const app = await receiver.newApp({
        check: async (push) => {
          const { newId } = push.updates[0]!;
          types = [
            await receiver.repos.objectType(push.appId, newId, push.quarantineEnv),
            await receiver.repos.objectType(push.appId, newId),
          ];
          throw new UserError("too_large", "a.txt is larger than 1 byte", "make it smaller");
        },
      });
      const result = await workplace.git("push", app.url, "main");
      expect(result).toMatchObject({ code: 1 });
      expect(result.stderr).toContain("remote: error: a.txt is larger than 1 byte");
      expect(result.stderr).toContain("remote: hint: make it smaller");
      expect(result.stderr).toContain(
        "! [remote rejected] main -> main (a.txt is larger than 1 byte. make it smaller)",
      );
      expect(types).toEqual(["commit", null]);
      expect(await receiver.repos.objectType(app.appId, second)).toBeNull();
      await clean(app);
    });

    test("a refusal of the deploy, and a fault of ours, are sentences too", async () => {
      const app = await receiver.newApp({
        receive: async () => {
          throw new UserError("locked", "shop is locked by ana", "wait for her");
        },
      });
      const locked = await workplace.git("push", app.url, "main");
      expect(locked.stderr).toContain("remote: error: shop is locked by ana");
      expect(locked.stderr).toContain("main -> main (shop is locked by ana. wait for her)");
      const broken = await receiver.newApp({
        receive: async () => {
          throw new TypeError("secret detail");
        },
      });
      const { code, stderr } = await workplace.git("push", broken.url, "main");
      expect(code).toBe(1);
      expect(stderr).toContain("zyndra failed here, nothing was deployed");
      expect(stderr).not.toContain("secret detail");
    });

    test("a branch that the policy forgets is refused, not stored", async () => {
      const app = await receiver.newApp({ receive: async () => [] });
      const { stderr } = await workplace.git("push", app.url, "main");
      expect(stderr).toContain("main -> main (zyndra gave no answer for it)");
      expect(await mainOf(app)).toBeNull();
    });
  });

  describe("refs that may not be pushed", () => {
    test("other namespaces are refused one by one, the rest of the push passes", async () => {
      const app = await receiver.newApp();
      const result = await workplace.git(
        "push",
        app.url,
        "main",
        "main:refs/notes/x",
        "main:refs/zyndra/deploys/1",
        "main:refs/heads/topic",
      );
      expect(result).toMatchObject({ code: 1 });
      expect(result.stderr).toContain(
        "! [remote rejected] main -> refs/notes/x (only branches and tags can be pushed)",
      );
      expect(result.stderr).toContain("main -> refs/zyndra/deploys/1 (only branches and tags can be pushed)");
      expect(result.stderr).toContain("* [new branch]      main -> topic");
      expect(await mainOf(app)).toBe(second);
      expect(await workplace.ok("ls-remote", app.url)).not.toContain("refs/notes");
      expect(await receiver.repos.listDeployRefs(app.appId)).toEqual([]);
    });

    test("a large push of nothing else is read to its end and refused in words", async () => {
      const app = await receiver.newApp();
      const elsewhere = await openWorkplace();
      await elsewhere.commit("large.bin", randomBytes(3 * 1024 ** 2));
      const result = await elsewhere.git("push", app.url, "main:refs/notes/x");
      expect(result).toMatchObject({ code: 1 });
      expect(result.stderr).toContain(
        "! [remote rejected] main -> refs/notes/x (only branches and tags can be pushed)",
      );
      await elsewhere.remove();
    });

    test("names that git would not allow are refused before git sees them", async () => {
      const app = await receiver.newApp();
      for (const ref of ["refs/heads/../../evil", "refs/heads/a..b", "refs/heads/main.lock", "refs/heads/-x"]) {
        const body = await pushBody(workplace, [{ ref, newId: second }]);
        const { status, body: answer } = await post(app, body);
        expect(status).toBe(200);
        expect(answer.toString()).toMatch(
          new RegExp(`ng ${escapeRegExp(ref)} (git allows no such name|the name starts)`),
        );
      }
      expect(fs.existsSync(join(app.gitDir, "..", "evil"))).toBe(false);
      expect(await workplace.ok("ls-remote", app.url)).toBe("");
    });

    test("an atomic push with one of them is refused whole", async () => {
      const app = await receiver.newApp();
      const result = await workplace.git("push", "--atomic", app.url, "main", "main:refs/notes/x");
      expect(result).toMatchObject({ code: 1 });
      expect(result.stderr).toContain("main -> main (atomic push: refs/notes/x is refused)");
      expect(await mainOf(app)).toBeNull();
    });

    test("refs of the platform are shown to nobody", async () => {
      const app = await receiver.newApp();
      await workplace.ok("push", "--quiet", app.url, "main");
      await receiver.repos.writeKeepRef(app.appId, 1, second);
      for (const protocol of ["0", "2"]) {
        const refs = await workplace.ok("-c", `protocol.version=${protocol}`, "ls-remote", app.url);
        expect(refs).toContain("refs/heads/main");
        expect(refs).not.toContain("zyndra");
      }
    });

    test("trees with .git in them are refused", async () => {
      const app = await receiver.newApp();
      const evil = await openWorkplace();
      await evil.commit("a.txt", "a");
      const commit = await commitOfRawTree(evil, ".git");
      const result = await evil.git("push", app.url, `${commit}:refs/heads/main`);
      expect(result).toMatchObject({ code: 1 });
      expect(result.stderr).toContain("hasDotgit");
      expect(await mainOf(app)).toBeNull();
      await clean(app);
      await evil.remove();
    });
  });

  describe("who may", () => {
    test("a wrong token is refused with the reason, a missing one asked for, Bearer taken", async () => {
      const app = await receiver.newApp();
      const wrong = await workplace.git("push", app.url.replace(goodToken, "wrong"), "main");
      expect(wrong).toMatchObject({ code: 128 });
      expect(wrong.stderr).toContain("remote: this token is not known. zyndra login makes one");
      expect(wrong.stderr).toContain("Authentication failed");
      const none = await workplace.git("push", app.bareUrl, "main");
      expect(none.stderr).toContain("could not read Username");

      const bearer = await workplace.git(
        "-c",
        `http.extraHeader=Authorization: Bearer ${goodToken}`,
        "push",
        app.bareUrl,
        "main",
      );
      expect(bearer).toMatchObject({ code: 0 });
    });

    test("a credential helper is asked, and its token is sent on every request of a large push", async () => {
      const app = await receiver.newApp();
      const elsewhere = await openWorkplace();
      await elsewhere.commit("large.bin", randomBytes(1.5 * 1024 ** 2));
      await elsewhere.ok("config", "credential.helper", `!printf 'username=x\\npassword=${goodToken}\\n' #`);
      expect(await elsewhere.git("push", app.bareUrl, "main")).toMatchObject({ code: 0 });
      await elsewhere.remove();
    });

    test("every request is authenticated, the pack and the probe too", async () => {
      const app = await receiver.newApp();
      const body = await pushBody(workplace, [{ ref: "refs/heads/main", newId: second }]);
      for (const payload of [body, Buffer.from("0000")]) {
        const { status, head } = await post(app, payload, { auth: false });
        expect(status).toBe(401);
        expect(head.headers["www-authenticate"]).toMatch(/^Basic realm="/);
      }
      for (const authorization of ["Basic", "Basic !!!", "Bearer ", "basic Og==", "Negotiate abc"]) {
        const { status } = await post(app, body, { headers: { authorization } });
        expect(status).toBe(401);
      }
      expect(await mainOf(app)).toBeNull();
      const { request, response } = rawRequest(app, {
        path: "/git-upload-pack",
        headers: { "content-type": "application/x-git-upload-pack-request" },
        auth: false,
      });
      request.end("0000");
      expect((await response).status).toBe(401);
    });

    test("an unknown app is told apart from nothing, and how to list apps", async () => {
      const app = await receiver.newApp();
      for (const command of ["push", "fetch"]) {
        const result = await workplace.git(command, app.url.replace(app.name, "shpo"), "main");
        expect(result).toMatchObject({ code: 128 });
        expect(result.stderr).toContain('remote: No app is called "shpo". `zyndra apps` lists what there is.');
        expect(result.stderr).toMatch(/fatal: repository 'http:\/\/127\.0\.0\.1:\d+\/shpo\.git\/' not found/);
      }
      const odd = await workplace.git("ls-remote", app.url.replace(app.name, "Not_An-App"));
      expect(odd.stderr).toContain('No app is called "Not_An-App"');
    });

    test("someone who may only look gets a sentence", async () => {
      const app = await receiver.newApp({}, "readonly");
      const result = await workplace.git("push", app.url, "main");
      expect(result).toMatchObject({ code: 128 });
      expect(result.stderr).toContain("remote: viewers cannot push");
      expect(await workplace.git("ls-remote", app.url)).toMatchObject({ code: 0 });
    });

    test("paths that only look like a repository are none", async () => {
      const app = await receiver.newApp();
      const statuses = await Promise.all(
        [
          "/../x.git",
          "/%2e%2e/x.git",
          "/.git",
          "//etc/x.git",
          "/x.git/victim",
          `/${app.name}.git%00`,
          `/${app.name}.gitx`,
        ].map(async (path) => {
          const { request, response } = rawRequest(
            { ...app, bareUrl: app.bareUrl.slice(0, app.bareUrl.lastIndexOf("/")) },
            {
              path: "/",
              method: "GET",
            },
          );
          request.path = `${path}/info/refs?service=git-receive-pack`;
          request.end();
          return (await response).status;
        }),
      );
      expect(new Set(statuses)).toEqual(new Set([404]));
    });

    test("only git's own requests are answered", async () => {
      const app = await receiver.newApp();
      const ask = async (options: Parameters<typeof rawRequest>[1]) => {
        const { request, response } = rawRequest(app, options);
        request.end(options.method ? undefined : "0000");
        return (await response).status;
      };
      expect(await ask({ path: "/git-receive-pack", headers: { "content-type": "text/plain" } })).toBe(415);
      expect(await ask({ path: "/git-receive-pack", method: "PUT" })).toBe(405);
      expect(await ask({ path: "/info/refs", method: "GET" })).toBe(403);
      expect(await ask({ path: "/info/refs?service=git-upload-archive", method: "GET" })).toBe(403);
      expect(await ask({ path: "/HEAD", method: "GET" })).toBe(418);
      expect(await ask({ path: "/git-receive-pack", headers: { ...pushHeaders, "content-encoding": "br" } })).toBe(415);
    });
  });

  describe("bodies", () => {
    test("a gzipped push is read", async () => {
      const app = await receiver.newApp();
      const body = await pushBody(workplace, [{ ref: "refs/heads/main", newId: second }]);
      for (const encoding of ["gzip", "x-gzip"]) {
        const { status, body: answer } = await post(app, gzipSync(body), { headers: { "content-encoding": encoding } });
        expect(status).toBe(200);
        expect(answer.toString()).toContain("unpack ok");
      }
      expect(await mainOf(app)).toBe(second);
    });

    test("a client without side bands gets its plain report, one without reports an empty answer", async () => {
      const app = await receiver.newApp();
      const plain = await post(
        app,
        await pushBody(workplace, [{ ref: "refs/heads/main", newId: second }], "report-status"),
      );
      expect(plain.body.toString()).toBe("000eunpack ok\n0017ok refs/heads/main\n0000");
      const none = await post(app, await pushBody(workplace, [{ ref: "refs/heads/topic", newId: second }], "agent=x"));
      expect(none).toMatchObject({ status: 200 });
      expect(none.body.toString()).toBe("");
      expect(await receiver.repos.readRef(app.appId, "refs/heads/topic")).toBe(second);
    });

    test("Expect: 100-continue is answered", async () => {
      const app = await receiver.newApp();
      const { request, response } = rawRequest(app, {
        path: "/git-receive-pack",
        headers: { ...pushHeaders, expect: "100-continue" },
      });
      request.flushHeaders();
      await once(request, "continue");
      request.end(await pushBody(workplace, [{ ref: "refs/heads/main", newId: second }]));
      expect((await response).body.toString()).toContain("ok refs/heads/main");
    });

    test("a body that comes byte by byte is a push too", async () => {
      const app = await receiver.newApp();
      const { request, response } = rawRequest(app, { path: "/git-receive-pack", headers: pushHeaders });
      for (const byte of await pushBody(workplace, [{ ref: "refs/heads/main", newId: second }]))
        request.write(Buffer.from([byte]));
      request.end();
      expect((await response).body.toString()).toContain("ok refs/heads/main");
    });

    test("garbage is refused, and nothing is left of it", async () => {
      const app = await receiver.newApp();
      const good = await pushBody(workplace, [{ ref: "refs/heads/main", newId: second }]);
      const commands = good.subarray(0, good.indexOf("PACK"));
      expect((await post(app, Buffer.from("hello, world"))).status).toBe(400);
      expect((await post(app, Buffer.alloc(0))).status).toBe(400);
      expect((await post(app, good.subarray(0, 30))).status).toBe(400);
      expect((await post(app, good, { headers: { "content-encoding": "gzip" } })).status).toBe(400);
      const broken = gzipSync(randomBytes(200_000));
      broken.fill(7, 100_000);
      expect((await post(app, broken, { headers: { "content-encoding": "gzip" } })).status).toBe(400);
      expect((await post(app, Buffer.from("0000"))).body).toHaveLength(0);

      for (const pack of [Buffer.from("no pack at all"), randomBytes(3_000_000), good.subarray(commands.length, -30)]) {
        const { status, body } = await post(app, Buffer.concat([commands, pack]));
        expect(status).toBe(200);
        expect(body.toString()).toMatch(/ng refs\/heads\/main unpacker error/);
      }
      expect(await mainOf(app)).toBeNull();
      await clean(app);
    });

    test("a pusher who breaks off in the middle leaves nothing behind", async () => {
      const app = await receiver.newApp();
      const elsewhere = await openWorkplace();
      const commit = await elsewhere.commit("large.bin", randomBytes(2 * 1024 ** 2));
      const body = await pushBody(elsewhere, [{ ref: "refs/heads/main", newId: commit }]);
      for (const end of ["destroy", "reset"] as const) {
        const { request, response } = rawRequest(app, { path: "/git-receive-pack", headers: pushHeaders });
        request.write(body.subarray(0, body.length / 2));
        await eventually(() => quarantines(app.gitDir).then((found) => found.length > 0));
        if (end === "reset") request.socket!.resetAndDestroy();
        else request.destroy();
        await expect(response).rejects.toThrow();
        await clean(app);
      }
      expect(await mainOf(app)).toBeNull();
      expect(await post(app, body)).toMatchObject({ status: 200 });
      await elsewhere.remove();
    });

    test("a git that is killed in the middle of its upload leaves nothing behind", async () => {
      const app = await receiver.newApp();
      const elsewhere = await openWorkplace();
      await elsewhere.commit("large.bin", randomBytes(12 * 1024 ** 2));
      const push = elsewhere.start("push", app.url, "main");
      await eventually(() => quarantines(app.gitDir).then((found) => found.length > 0));
      process.kill(-push.child.pid!, "SIGKILL");
      await push.result;
      await clean(app);
      expect(await mainOf(app)).toBeNull();
      await elsewhere.remove();
    });

    test("a pusher who goes while the deploy runs does not stop it", async () => {
      const verdict = Promise.withResolvers<void>();
      const begun = Promise.withResolvers<Push>();
      const app = await receiver.newApp({
        receive: async (push, say) => {
          begun.resolve(push);
          await verdict.promise;
          // More than any pipe on the way holds: somebody must go on reading.
          for (let line = 0; line < 5_000; line++) say(`${line} ${"x".repeat(100)}`);
          return storeAll(receiver.repos, push);
        },
      });
      const pushing = workplace.start("push", app.url, "main", "main:refs/heads/topic");
      const push = await begun.promise;
      expect(push.gone.aborted).toBe(false);
      process.kill(-pushing.child.pid!, "SIGINT");
      await pushing.result;
      await eventually(() => push.gone.aborted);
      expect(receiver.processes().length).toBeGreaterThan(0);
      verdict.resolve();
      await eventually(async () => expect(await mainOf(app)).toBe(second));
      await eventually(async () => expect(await receiver.repos.readRef(app.appId, "refs/heads/topic")).toBe(second));
      await clean(app);
    });
  });

  describe("fetches", () => {
    test.each(["0", "1", "2"])("protocol %s clones, fetches and clones shallowly", async (protocol) => {
      const app = await receiver.newApp();
      await workplace.ok("push", "--quiet", app.url, `${first}:refs/heads/main`);
      const elsewhere = await openWorkplace();
      const version = ["-c", `protocol.version=${protocol}`];
      await elsewhere.ok(...version, "clone", "--quiet", app.url, "clone");
      await workplace.ok("push", "--quiet", app.url, "main");
      await elsewhere.ok(...version, "-C", "clone", "pull", "--quiet");
      expect(await elsewhere.ok("-C", "clone", "rev-parse", "HEAD")).toBe(second);
      await elsewhere.ok(...version, "clone", "--quiet", "--depth=1", app.url, "shallow");
      expect(await elsewhere.ok("-C", "shallow", "rev-list", "--count", "HEAD")).toBe("1");
      await elsewhere.remove();
    });

    test("version 2 is really spoken, and a request for nonsense is not", async () => {
      const app = await receiver.newApp();
      const refs = async (protocol: string) => {
        const { request, response } = rawRequest(app, {
          path: "/info/refs?service=git-upload-pack",
          method: "GET",
          headers: { "git-protocol": protocol },
        });
        request.end();
        return (await response).body.toString();
      };
      expect(await refs("version=2")).toMatch(/^000eversion 2\n/);
      expect(await refs("version=2; rm -rf /")).toMatch(/^001e# service=git-upload-pack\n/);
    });

    test("a gzipped negotiation is read, a broken one refused", async () => {
      const app = await receiver.newApp();
      await workplace.ok("push", "--quiet", app.url, "main");
      const wants = `0032want ${second}\n00000009done\n`;
      const ask = async (body: Buffer | string, encoding?: string) => {
        const { request, response } = rawRequest(app, {
          path: "/git-upload-pack",
          headers: {
            "content-type": "application/x-git-upload-pack-request",
            ...(encoding ? { "content-encoding": encoding } : {}),
          },
        });
        request.end(body);
        return response;
      };
      expect((await ask(gzipSync(wants), "gzip")).body.toString("latin1")).toContain("PACK");
      expect((await ask("0000")).status).toBe(200);
      expect((await ask(wants, "gzip")).status).toBe(400);
    });
  });

  /** Nothing of a push is left: no quarantine, no process. */
  async function clean(app: TestApp): Promise<void> {
    await eventually(() => expect(receiver.processes()).toEqual([]));
    expect(await quarantines(app.gitDir)).toEqual([]);
  }

  async function mainOf(app: TestApp): Promise<string | null> {
    return receiver.repos.readRef(app.appId, "refs/heads/main");
  }
});

async function post(app: TestApp, body: Buffer, options: { headers?: Record<string, string>; auth?: boolean } = {}) {
  const { request, response } = rawRequest(app, {
    path: "/git-receive-pack",
    auth: options.auth,
    headers: { ...pushHeaders, ...options.headers },
  });
  request.end(body);
  return response;
}

/** A commit whose tree has an entry that no client would make. */
async function commitOfRawTree(workplace: Workplace, entryName: string): Promise<string> {
  const blob = await workplace.ok("rev-parse", "HEAD:a.txt");
  const tree = Buffer.concat([Buffer.from(`100644 ${entryName}\0`), Buffer.from(blob, "hex")]);
  fs.writeFileSync(join(workplace.folder, "tree.raw"), tree);
  const treeId = await workplace.ok("hash-object", "-t", "tree", "-w", "--literally", "tree.raw");
  return workplace.ok("commit-tree", "-m", "Evil", treeId);
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
