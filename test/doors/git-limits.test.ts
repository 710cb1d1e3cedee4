import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm, utimes } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openHookServer } from "../../src/git-receiver/git/hook-server.ts";
import type { GitLimits } from "../../src/git-receiver/git/limits.ts";
import type { Push } from "../../src/git-receiver/git/push.ts";
import { transportNames } from "../../src/git-receiver/git/transport.ts";
import { eventually } from "../support/eventually.ts";
import {
  openWorkplace,
  pushBody,
  pushHeaders,
  quarantines,
  type Receiver,
  rawRequest,
  startReceiver,
  storeAll,
  type Workplace,
  zeroId,
} from "./git-harness.ts";

describe.each(transportNames)("limits and endings over %s", (transport) => {
  let workplace: Workplace;
  let head: string;
  const receivers: Receiver[] = [];

  beforeAll(async () => {
    workplace = await openWorkplace();
    head = await workplace.commit("a.txt", "a");
  });
  afterEach(async () => {
    await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
  });
  afterAll(() => workplace?.remove());

  async function start(limits: Partial<GitLimits> = {}): Promise<Receiver> {
    const receiver = await startReceiver(transport, limits);
    receivers.push(receiver);
    return receiver;
  }

  test("a push that is too large is refused in a sentence, and nothing of it is kept", async () => {
    const receiver = await start({ maxPackBytes: 2 * 1024 ** 2 });
    const app = await receiver.newApp();
    const elsewhere = await openWorkplace();
    await elsewhere.commit("large.bin", randomBytes(3 * 1024 ** 2));
    const result = await elsewhere.git("push", app.url, "main");
    expect(result).toMatchObject({ code: 1 });
    expect(result.stderr).toContain("! [remote rejected] main -> main (the push is larger than 2 MiB)");
    expect(await receiver.repos.readRef(app.appId, "refs/heads/main")).toBeNull();
    await eventually(() => expect(receiver.processes()).toEqual([]));
    expect(await quarantines(app.gitDir)).toEqual([]);
    await elsewhere.remove();
  });

  test("too many refs are refused in a sentence, a list without end is not read", async () => {
    const receiver = await start({ maxRefs: 3, maxCommandBytes: 4_096 });
    const app = await receiver.newApp();
    const names = ["a", "b", "c", "d"].map((name) => `main:refs/heads/${name}`);
    const result = await workplace.git("push", app.url, ...names);
    expect(result).toMatchObject({ code: 1 });
    expect(result.stderr).toContain("main -> d (a push may change 3 refs, not 4)");
    expect(await workplace.git("push", app.url, ...names.slice(1))).toMatchObject({ code: 0 });

    const updates = Array.from({ length: 100 }, (_, index) => ({ ref: `refs/heads/x${index}`, newId: head }));
    const { request, response } = rawRequest(app, { path: "/git-receive-pack", headers: pushHeaders });
    request.end(await pushBody(workplace, updates));
    const answer = await response;
    expect(answer.status).toBe(413);
    expect(answer.body.toString()).toContain("the push names too many refs or options");
  });

  test("an upload that stands still is broken off, before and within its pack", async () => {
    const receiver = await start({ bodyIdleMs: 300 });
    const app = await receiver.newApp();
    const body = await pushBody(workplace, [{ ref: "refs/heads/main", newId: head }]);

    const early = rawRequest(app, { path: "/git-receive-pack", headers: pushHeaders });
    early.request.write(body.subarray(0, 20));
    expect(await early.response).toMatchObject({ status: 400 });

    const late = rawRequest(app, { path: "/git-receive-pack", headers: pushHeaders });
    late.request.write(body.subarray(0, -30));
    expect((await late.response).body.toString()).toMatch(/ng refs\/heads\/main the upload stood still for 1 s/);
    await eventually(() => expect(receiver.processes()).toEqual([]));
    expect(await quarantines(app.gitDir)).toEqual([]);
  });

  test("more pushes at once than an app may have are refused in a sentence", async () => {
    const receiver = await start({ maxPushesPerApp: 1 });
    const [begun, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const app = await receiver.newApp({
      receive: async (push) => {
        begun.resolve();
        await go.promise;
        return storeAll(receiver.repos, push);
      },
    });
    const first = workplace.start("push", app.url, "main");
    await begun.promise;
    const result = await workplace.git("push", app.url, "main:refs/heads/topic");
    expect(result).toMatchObject({ code: 1 });
    expect(result.stderr).toContain("main -> topic (app1 has 1 pushes running already. try again in a moment)");
    go.resolve();
    expect(await first.result).toMatchObject({ code: 0 });
    expect(await workplace.git("push", app.url, "main:refs/heads/topic")).toMatchObject({ code: 0 });
  });

  test("a full disk refuses cleanly", async () => {
    const receiver = await start({ minFreeBytes: Number.MAX_SAFE_INTEGER });
    const app = await receiver.newApp();
    const result = await workplace.git("push", app.url, "main");
    expect(result).toMatchObject({ code: 128 });
    expect(result.stderr).toMatch(/remote: the platform's disk is full \(\d+ MiB left\): nothing was stored\./);
    expect(await workplace.git("ls-remote", app.url)).toMatchObject({ code: 0 });
  });

  test("a platform that stops answers the pushers who wait, and takes nothing new", async () => {
    const receiver = await start();
    const begun = Promise.withResolvers<void>();
    const app = await receiver.newApp({
      receive: async ({ updates }, say, signal) => {
        begun.resolve();
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        say("hint: it goes on without you");
        return updates.map(({ ref }) => ({ ref, ok: false, reason: "zyndra restarts; deploy #42 goes on" }));
      },
    });
    const push = workplace.start("push", app.url, "main");
    await begun.promise;
    await receiver.door.close();
    const result = await push.result;
    expect(result).toMatchObject({ code: 1 });
    expect(result.stderr).toContain("remote: hint: it goes on without you");
    expect(result.stderr).toContain("! [remote rejected] main -> main (zyndra restarts; deploy #42 goes on)");
    const next = await workplace.git("push", app.url, "main");
    expect(next.stderr).toContain("remote: zyndra is restarting. push again in a moment");
  });

  test("a policy that does not end is left, and its pusher is told", async () => {
    const receiver = await start({ closeMs: 200 });
    const begun = Promise.withResolvers<void>();
    const app = await receiver.newApp({
      receive: () => {
        begun.resolve();
        return new Promise(() => {});
      },
    });
    const push = workplace.start("push", app.url, "main");
    await begun.promise;
    await receiver.door.close();
    const result = await push.result;
    expect(result).toMatchObject({ code: 1 });
    expect(result.stderr).toContain("remote: error: zyndra stopped; a deploy that had begun goes on");
    expect(result.stderr).toContain("main -> main (interrupted: zyndra deploys shows what became of it)");
    expect(await receiver.repos.readRef(app.appId, "refs/heads/main")).toBeNull();
  });

  test.runIf(process.platform === "linux")(
    "a git that is killed under a running deploy still gives the pusher an answer",
    async () => {
      const receiver = await start();
      const begun = Promise.withResolvers<Push>();
      const go = Promise.withResolvers<void>();
      const app = await receiver.newApp({
        receive: async (push) => {
          begun.resolve(push);
          await go.promise;
          return storeAll(receiver.repos, push);
        },
      });
      const push = workplace.start("push", app.url, "main");
      await begun.promise;
      for (const line of receiver.processes().filter((command) => command.includes("receive-pack"))) {
        process.kill(Number(line.split(" ")[0]), "SIGKILL");
      }
      const result = await push.result;
      expect(result).toMatchObject({ code: 1 });
      expect(result.stderr).toContain("main -> main (interrupted: zyndra deploys shows what became of it)");
      go.resolve();
      await eventually(async () => expect(await receiver.repos.readRef(app.appId, "refs/heads/main")).toBe(head));
      await eventually(() => expect(receiver.processes()).toEqual([]));
    },
  );

  test("a flood of lines is cut, and says so", async () => {
    const receiver = await start();
    const app = await receiver.newApp({
      receive: async (push, say) => {
        for (let line = 0; line < 40_000; line++) say(`${line} ${"x".repeat(100)}`);
        return storeAll(receiver.repos, push);
      },
    });
    const { code, stderr } = await workplace.git("push", app.url, "main");
    expect(code).toBe(0);
    expect(stderr).toMatch(/remote: \(\d+ lines left out: this connection did not take them\)/);
  });
});

describe("past the receiver", () => {
  let receiver: Receiver;
  let workplace: Workplace;
  let head: string;
  beforeAll(async () => {
    receiver = await startReceiver("direct");
    workplace = await openWorkplace();
    head = await workplace.commit("a.txt", "a");
  });
  afterAll(async () => {
    await receiver?.close();
    await workplace?.remove();
  });

  test.each(["with Zyndra's configuration", "without it"])(
    "a branch cannot be pushed into a repository %s",
    async (how) => {
      const app = await receiver.newApp();
      const environment = how.startsWith("without")
        ? { PATH: process.env.PATH!, HOME: tmpdir(), GIT_CONFIG_NOSYSTEM: "1" }
        : receiver.repos.gitEnvironment();
      const pushed = promisify(execFile)(
        "git",
        ["-C", workplace.folder, "-c", "protocol.file.allow=always", "push", app.gitDir, "main"],
        {
          env: environment as NodeJS.ProcessEnv,
        },
      );
      await expect(pushed).rejects.toThrow(/proc-receive hook/);
      expect(await receiver.repos.readRef(app.appId, "refs/heads/main")).toBeNull();
    },
  );

  test.runIf(process.platform === "linux")(
    "a hook for a push that nobody knows is refused, and so is whoever talks nonsense to its socket",
    async () => {
      const app = await receiver.newApp();
      const begun = Promise.withResolvers<string>();
      const waiting = await receiver.newApp({
        receive: async (push) => {
          begun.resolve(push.id);
          await new Promise<void>((resolve) => push.gone.addEventListener("abort", () => resolve()));
          return [];
        },
      });
      const push = workplace.start("push", waiting.url, "main");
      await begun.promise;
      const relay = receiver.processes().find((command) => command.includes("proc-receive"))!;
      const variables = execFileSync("cat", [`/proc/${relay.split(" ")[0]}/environ`])
        .toString()
        .split("\0");
      const socket = variables.find((variable) => variable.startsWith("ZYNDRA_HOOK_SOCKET="))!.split("=")[1]!;
      const hook = relay
        .split(" ")
        .find((part) => part.endsWith("proc-receive"))!
        .replace("proc-receive", "pre-receive");
      for (const id of ["", "another"]) {
        const outcome = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
          const child = execFile(
            hook,
            { env: { ...receiver.repos.gitEnvironment(), ZYNDRA_HOOK_SOCKET: socket, ZYNDRA_PUSH: id } },
            (error, _out, stderr) => resolve({ code: error?.code, stderr }),
          );
          child.stdin!.end(`${zeroId} ${head} refs/heads/main\n`);
        });
        expect(outcome).toEqual({ code: 1, stderr: "error: zyndra does not know this push: push again\n" });
      }
      const nonsense = connect(socket);
      nonsense.on("error", () => {});
      nonsense.end("GET / HTTP/1.1\r\n\r\n");
      await new Promise((resolve) => nonsense.once("close", resolve));
      process.kill(-push.child.pid!, "SIGKILL");
      await push.result;
      expect(await workplace.git("push", app.url, "main")).toMatchObject({ code: 0 });
    },
  );

  test("the socket of a platform that was killed is cleared away at the next start, a living one is not", async () => {
    const folders = await mkdtemp(join(tmpdir(), "zyndra-sockets-"));
    const script = `
      const { openHookServer } = await import(${JSON.stringify(new URL("../../src/git-receiver/git/hook-server.ts", import.meta.url).href)});
      await openHookServer({ folders: [${JSON.stringify(folders)}], log: {}, answerHook: async () => {} });
      process.kill(process.pid, "SIGKILL");`;
    await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]).catch(() => {});
    const [dead] = await readdir(folders);
    const open = () => openHookServer({ folders: [folders], log: {} as never, answerHook: async () => {} });
    const living = await open();
    const old = new Date(Date.now() - 120_000);
    for (const name of await readdir(folders)) await utimes(join(folders, name), old, old);
    const next = await open();
    const left = await readdir(folders);
    expect(left).toHaveLength(2);
    expect(left).not.toContain(dead);
    await Promise.all([living.close(), next.close()]);
    expect(await readdir(folders)).toEqual([]);
    await rm(folders, { recursive: true });
  });

  test("hooks that cannot start are told at the start", async () => {
    const folder = await mkdtemp(join(tmpdir(), "zyndra-noperl-"));
    const { createGitDoor } = await import("../../src/git-receiver/git/git-door.ts");
    const opening = createGitDoor({
      policy: {} as never,
      git: { path: "git", environment: { PATH: folder } },
      gitFolder: folder,
      transport: "direct",
      processEnvironment: {},
      log: { debug() {}, info() {}, warn() {}, error() {} } as never,
    });
    await expect(opening).rejects.toThrow(/git's hooks do not start here: .*env/);
    await rm(folder, { recursive: true, force: true });
  });
});
