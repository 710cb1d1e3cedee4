import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { BuildOutcome } from "../../src/builder/builder.ts";
import { createLocalBuilder, type LocalBuilderOptions } from "../../src/builder/local/local.ts";
import { registryVariables } from "../../src/config.ts";
import { slugFolder } from "../../src/model/image.ts";
import { parseSlugFiles, parseSlugManifest, slugFilesFile, slugManifestFile, slugPath } from "../../src/model/slug.ts";
import { eventually } from "../support/eventually.ts";
import { describeBuilder, files, fixture, recorder, requestOf } from "./builder.ts";

const machinePath = process.env.PATH!;
const isLinux = process.platform === "linux";

let dataDir: string;
let started: ChildProcess[] = [];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "zyndra-builder-"));
});

afterEach(async () => {
  for (const child of started) child.kill("SIGKILL");
  started = [];
  await rm(dataDir, { recursive: true, force: true });
});

function optionsOf(more: Partial<LocalBuilderOptions> = {}): LocalBuilderOptions {
  return { dataDir, buildTimeoutMs: 300_000, path: machinePath, passEnv: registryVariables(process.env), ...more };
}

function open(more: Partial<LocalBuilderOptions> = {}) {
  const builder = createLocalBuilder(optionsOf(more));
  return { builder, ...recorder(builder) };
}

describeBuilder("local", async () => {
  const dir = await mkdtemp(join(tmpdir(), "zyndra-builder-"));
  return {
    builder: createLocalBuilder(optionsOf({ dataDir: dir })),
    dispose: () => rm(dir, { recursive: true, force: true }),
  };
});

describe("a Node app", () => {
  test("is installed, built with its development dependencies, pruned, and runs", { timeout: 120_000 }, async () => {
    const build = open();
    const slugDir = slugOf(await build.run({ ...requestOf(fixture("node-hello")), env: { APP_COLOR: "teal" } }));
    expect(build.texts()[0]).toBe("Node 24 (engines), npm ci (package-lock.json), npm run build, npm prune");
    expect(JSON.parse(await readFile(join(slugDir, "built.json"), "utf8"))).toMatchObject({
      isNumber: true,
      color: "teal",
    });
    expect(await readdir(join(slugDir, "node_modules"))).toContain("ms");
    expect(await readdir(join(slugDir, "node_modules"))).not.toContain("is-number");
    expect(build.output()).toContain("built the app");
    expect(await get(await start(slugDir))).toBe("hello, a day has 86400000 ms\n");
  });

  test("takes its dependencies from the cache when the lock file is the same, without any registry", {
    timeout: 120_000,
  }, async () => {
    const { appId } = await built(requestOf(fixture("node-hello")));
    const offline = open({ passEnv: { npm_config_registry: "http://127.0.0.1:9/", npm_config_fetch_retries: "0" } });
    const outcome = await offline.run(requestOf(fixture("node-hello"), appId));
    expect(outcome).toMatchObject({ ok: true, summary: expect.stringContaining("dependencies from cache") });
    expect(offline.texts()).toContain("dependencies from cache (package-lock.json has not changed)");
    expect(await get(await start(slugOf(outcome)))).toContain("hello");

    const anew = await offline.run({ ...requestOf(fixture("node-hello"), appId), skipCache: true });
    expect(anew).toMatchObject({ ok: false, cause: { headline: "the package registry cannot be reached" } });
  });

  test("is built with an empty cache each time, as its files say", { timeout: 120_000 }, async () => {
    const { appId } = await built(requestOf(fixture("node-hello")));
    const again = open();
    await again.run({ ...requestOf(fixture("node-hello"), appId), settings: { build: { cache: false } } });
    expect(again.texts()).not.toContain("dependencies from cache (package-lock.json has not changed)");
  });

  test("shares its cache with no other app", { timeout: 120_000 }, async () => {
    await built(requestOf(fixture("node-hello")));
    const offline = open({ passEnv: { npm_config_registry: "http://127.0.0.1:9/", npm_config_fetch_retries: "0" } });
    expect(await offline.run(requestOf(fixture("node-hello")))).toMatchObject({ ok: false });
  });

  test("never gets a dependency that was changed in its cache", { timeout: 120_000 }, async () => {
    const { appId, slugDir } = await built(requestOf(fixture("node-hello")));
    // The slug and the cache may share this file: who writes into one, writes into the other.
    await writeFile(join(slugDir, "node_modules/ms/index.js"), "module.exports = () => 'poisoned';\n");
    const entries = join(dataDir, "build-cache", appId, "dependencies");
    for (const key of await readdir(entries))
      await writeFile(join(entries, key, "files/node_modules/ms/index.js"), "module.exports = () => 'poisoned';\n");
    const again = await built(requestOf(fixture("node-hello"), appId));
    expect(again.texts).not.toContain("dependencies from cache (package-lock.json has not changed)");
    expect(await get(await start(again.slugDir))).toContain("86400000");
  });

  test("is not served from the cache when package.json left its lock file behind", { timeout: 120_000 }, async () => {
    const { appId } = await built(requestOf(fixture("node-hello")));
    const changed = requestOf(async (intoDir, signal) => {
      await fixture("node-hello")(intoDir, signal);
      const path = join(intoDir, "package.json");
      await writeFile(path, (await readFile(path, "utf8")).replace('"ms": "2.1.3"', '"ms": "2.1.2"'));
    }, appId);
    expect(await open().run(changed)).toMatchObject({
      ok: false,
      cause: {
        headline: "package-lock.json does not match package.json",
        hint: "npm install, commit package-lock.json, push again",
      },
    });
  });

  test.each(["node-pnpm", "node-yarn", "node-yarn-berry"])(
    "of another package manager is built and runs: %s",
    { timeout: 240_000 },
    async (app) => {
      const { appId, slugDir } = await built(requestOf(fixture(app)));
      expect(await get(await start(slugDir))).toContain("86400000");
      expect(await readdir(join(slugDir, "node_modules"))).not.toContain("is-number");
      const again = await built(requestOf(fixture(app), appId));
      expect(again.texts.join("\n")).toContain("dependencies from cache");
      expect(await get(await start(again.slugDir))).toContain("86400000");
    },
  );

  test("without dependencies is built without npm, and its crash is left to its first start", async () => {
    const build = open();
    const outcome = await build.run(requestOf(fixture("crash-at-start")));
    expect(outcome).toMatchObject({ ok: true, processTypes: { web: { command: "node server.js" } } });
    expect(build.texts()[0]).toBe("Node 24, no dependencies");
  });

  test("that asks for another Node is told which one it gets", async () => {
    const build = open();
    await build.run(
      requestOf(files({ "package.json": JSON.stringify({ engines: { node: "18.x" }, scripts: { start: "x" } }) })),
    );
    expect(build.lines).toContainEqual({
      kind: "warning",
      text: `package.json asks for Node 18.x, this machine has Node ${process.versions.node}: it is used`,
    });
  });

  test("is refused in words where the machine has no npm", async () => {
    const build = open({ path: "/nowhere" });
    const outcome = await build.run(
      requestOf(files({ "package.json": JSON.stringify({ scripts: { build: "x", start: "x" } }) })),
    );
    expect(outcome).toMatchObject({ ok: false, cause: { headline: "npm is not on this machine" } });
  });

  test("with a committed node_modules gets its own instead", { timeout: 120_000 }, async () => {
    const build = open();
    const source = async (intoDir: string, signal: AbortSignal) => {
      await fixture("node-hello")(intoDir, signal);
      await files({ "node_modules/ms/index.js": "module.exports = () => 'committed';\n" })(intoDir, signal);
    };
    const slugDir = slugOf(await build.run(requestOf(source)));
    expect(build.texts().join("\n")).toContain("node_modules is in the commit");
    expect(await readFile(join(slugDir, "node_modules/ms/index.js"), "utf8")).not.toContain("committed");
  });
});

const hasPython = works("python3", ["-m", "ensurepip", "--version"]);

describe.skipIf(!hasPython)("a Python app", () => {
  test("is installed into an environment of its own that moves with the slug and its cache", {
    timeout: 240_000,
  }, async () => {
    const { appId, slugDir } = await built(requestOf(fixture("python-six")));
    expect(await get(await start(slugDir))).toBe("hello from Python with six 1.17.0\n");
    const again = await built(requestOf(fixture("python-six"), appId));
    expect(again.texts).toContain("dependencies from cache (requirements.txt has not changed)");
    expect(await get(await start(again.slugDir))).toBe("hello from Python with six 1.17.0\n");
    // pip's own script begins with the path of the environment's Python.
    expect(execFileSync(join(again.slugDir, ".venv/bin/pip"), ["--version"], { encoding: "utf8" })).toContain(
      again.slugDir,
    );
  });

  test("without dependencies runs too, also with a file that is named like one of Python's own", {
    timeout: 120_000,
  }, async () => {
    const source = async (intoDir: string, signal: AbortSignal) => {
      await fixture("python-plain")(intoDir, signal);
      await files({ "subprocess.py": "raise SystemExit('not the module you wanted')\n" })(intoDir, signal);
    };
    const { slugDir } = await built(requestOf(source));
    expect(await get(await start(slugDir))).toContain("main.py");
  });

  test("with a requirement that does not exist is told which", { timeout: 120_000 }, async () => {
    const outcome = await open().run(requestOf(files({ "requirements.txt": "six==99.0\n", Procfile: "web: x\n" })));
    expect(outcome).toMatchObject({ ok: false, cause: { headline: "pip finds no six==99.0 for this Python" } });
  });
});

describe.skipIf(!works("go", ["version"]))("a Go app", () => {
  test("is compiled to one program and runs", { timeout: 600_000 }, async () => {
    const { slugDir } = await built(requestOf(fixture("go-hello")));
    expect(await get(await start(slugDir))).toBe("hello from Go\n");
  });

  test("that does not compile is told where", { timeout: 600_000 }, async () => {
    const outcome = await open().run(
      requestOf(
        files({ "go.mod": "module x\n\ngo 1.21\n", "main.go": "package main\n\nfunc main() {\n\tx := 1\n}\n" }),
      ),
    );
    expect(outcome).toMatchObject({
      ok: false,
      cause: {
        headline: "go build failed (exit 1)",
        detail: expect.stringMatching(/^main\.go:4 declared and not used: x/),
      },
    });
  });
});

describe("a site of files", () => {
  test("is served with its types, pages and tags", async () => {
    const port = await start((await built(requestOf(fixture("static-site")))).slugDir);
    const page = await fetchFile(port, "/");
    expect(page).toMatchObject({ status: 200, body: expect.stringContaining("A site of files") });
    expect(page.headers["content-type"]).toBe("text/html; charset=utf-8");
    expect((await fetchFile(port, "/style.css")).headers["content-type"]).toBe("text/css; charset=utf-8");
    expect(await fetchFile(port, "/about/")).toMatchObject({ status: 200, body: expect.stringContaining("About") });
    expect(await fetchFile(port, "/about?x=1")).toMatchObject({ status: 301, headers: { location: "./about/?x=1" } });
    expect(await fetchFile(port, "/nowhere")).toMatchObject({ status: 404, body: expect.stringContaining("Not here") });
    expect(await fetchFile(port, "/", { headers: { "if-none-match": page.headers.etag! } })).toMatchObject({
      status: 304,
      body: "",
    });
    expect(
      await fetchFile(port, "/", { headers: { "if-modified-since": page.headers["last-modified"]! } }),
    ).toMatchObject({ status: 304 });
    expect(await fetchFile(port, "/", { method: "HEAD" })).toMatchObject({
      status: 200,
      body: "",
      headers: { "content-length": String(page.body.length) },
    });
    expect(await fetchFile(port, "/", { method: "POST" })).toMatchObject({
      status: 405,
      headers: { allow: "GET, HEAD" },
    });
  });

  test("is served in parts", async () => {
    const port = await start((await built(requestOf(fixture("static-site")))).slugDir);
    const whole = "h1 { color: teal; }\n";
    const part = (range: string, more = {}) => fetchFile(port, "/style.css", { headers: { range, ...more } });
    expect(await part("bytes=0-1")).toMatchObject({
      status: 206,
      body: "h1",
      headers: { "content-range": `bytes 0-1/${whole.length}` },
    });
    expect(await part("bytes=5-")).toMatchObject({ status: 206, body: whole.slice(5) });
    expect(await part("bytes=-3")).toMatchObject({ status: 206, body: whole.slice(-3) });
    expect(await part("bytes=99-")).toMatchObject({
      status: 416,
      headers: { "content-range": `bytes */${whole.length}` },
    });
    expect(await part("bytes=5-1")).toMatchObject({ status: 200, body: whole });
    expect(await part("bytes=0-1,3-4")).toMatchObject({ status: 200, body: whole });
    expect(await part("bytes=0-1", { "if-range": '"another"' })).toMatchObject({ status: 200, body: whole });
  });

  test("shows nothing but its files: no dot files, nothing above it, nothing behind a link", async () => {
    const outside = join(dataDir, "outside.txt");
    await writeFile(outside, "secret");
    const source = async (intoDir: string, signal: AbortSignal) => {
      await fixture("static-site")(intoDir, signal);
      await symlink(outside, join(intoDir, "link.txt"));
    };
    const port = await start((await built(requestOf(source))).slugDir);
    for (const path of [
      "/.env",
      "/.zyndra-slug.json",
      "/.zyndra/static-server.mjs",
      "/link.txt",
      "/../outside.txt",
      "/%2e%2e/outside.txt",
      "/..%2foutside.txt",
      "/about/..%5c..%5coutside.txt",
      "/%00",
      "/%",
    ]) {
      const answer = await fetchFile(port, path);
      expect([path, answer.status], answer.body).toEqual([path, expect.toBeOneOf([400, 404])]);
      expect(answer.body).not.toContain("secret");
    }
  });

  test("that a build makes is served from its output, and every page of it from index.html", async () => {
    const build = open();
    const slugDir = slugOf(await build.run(requestOf(fixture("static-build"))));
    const port = await start(slugDir);
    expect((await fetchFile(port, "/")).body).toContain("Built");
    expect((await fetchFile(port, "/orders/7")).body).toContain("Built");
    expect((await fetchFile(port, "/assets/app.js")).headers["content-type"]).toContain("javascript");
    expect((await fetchFile(port, "/assets/lost.js")).status).toBe(404);
  });

  test("whose build makes nothing is told where it was looked for", async () => {
    const outcome = await open().run(
      requestOf(files({ "package.json": JSON.stringify({ scripts: { build: "echo nothing" } }) })),
    );
    expect(outcome).toMatchObject({
      ok: false,
      cause: {
        headline: "the build made nothing that could be served",
        detail: expect.stringContaining("dist/index.html"),
      },
    });
  });
});

describe("what a build may see and touch", () => {
  test("is no variable of the platform's own", async () => {
    process.env.ZYNDRA_TEST_SECRET = "platform";
    try {
      const build = open();
      await build.run({
        ...requestOf(shellBuild("env")),
        env: { DATABASE_URL: "postgres://the-apps-own", PATH: "/evil", HOME: "/root" },
      });
      const names = build.output().map((line) => line.split("=")[0]);
      expect(build.output()).toContain("DATABASE_URL=postgres://the-apps-own");
      expect(build.output().find((line) => line.startsWith("HOME="))).not.toBe("HOME=/root");
      expect(build.output().find((line) => line.startsWith("PATH="))).toContain(dirname(process.execPath));
      expect(names).not.toContain("ZYNDRA_TEST_SECRET");
      const foreign = names.filter((name) => /^(PG|REDIS|VITEST|SLACK|GITHUB)/.test(name!));
      expect(foreign).toEqual([]);
    } finally {
      delete process.env.ZYNDRA_TEST_SECRET;
    }
  });

  test("does not lead through links of the commit", async () => {
    const outside = join(dataDir, "outside");
    await mkdir(outside);
    await writeFile(join(outside, "kept.txt"), "kept");
    const links = async (intoDir: string) => {
      await files({
        "package.json": JSON.stringify({ scripts: { postinstall: "echo hi", start: "x" } }),
        "requirements.txt": "",
      })(intoDir, AbortSignal.abort());
      for (const name of ["node_modules", ".venv", ".zyndra", slugManifestFile, slugFilesFile])
        await symlink(outside, join(intoDir, name));
      await symlink("/etc/passwd", join(intoDir, "passwd"));
    };
    const slugDir = slugOf(await open().run(requestOf(links)));
    expect(await readdir(outside)).toEqual(["kept.txt"]);
    expect((await lstat(join(slugDir, slugManifestFile))).isFile()).toBe(true);
    expect((await lstat(join(slugDir, slugFilesFile))).isFile()).toBe(true);
    expect(await readlink(join(slugDir, "passwd"))).toBe("/etc/passwd");
  });

  test("says which files the build has left below the folder of its commands", async () => {
    const source = files({
      "README.md": "of the repository",
      "api/Procfile": "web: true\n",
      "api/public/images/logo.png": "a logo",
      "api/uploads/.gitkeep": "",
    });
    const request = { ...requestOf(source), settings: { build: { root: "api" } } };
    const slugDir = slugOf(await open().run(request));
    const names = parseSlugFiles(await readFile(join(slugDir, "api", slugFilesFile), "utf8"));
    expect(names).toEqual(expect.arrayContaining(["Procfile", "public/images/logo.png", "uploads/.gitkeep"]));
    expect(names).not.toContain("README.md");
  });

  test("does not put the server of a static site behind a link of the commit", async () => {
    const outside = join(dataDir, "outside");
    await mkdir(outside);
    const source = async (intoDir: string, signal: AbortSignal) => {
      await fixture("static-site")(intoDir, signal);
      await symlink(outside, join(intoDir, ".zyndra"));
    };
    const slugDir = slugOf(await open().run(requestOf(source)));
    expect(await readdir(outside)).toEqual([]);
    expect((await lstat(join(slugDir, ".zyndra"))).isDirectory()).toBe(true);
  });

  test.each(["Procfile", "package.json", "requirements.txt"])(
    "a %s that is a link is refused, not read",
    async (name) => {
      const source = (intoDir: string) => symlink("/etc/passwd", join(intoDir, name));
      const outcome = await open().run(requestOf(source));
      expect(outcome).toMatchObject({ ok: false, cause: { headline: `${name} is a symbolic link` } });
      expect(JSON.stringify(outcome)).not.toContain("root:");
    },
  );

  test("is readable by nobody else, whatever the umask", async () => {
    const umask = process.platform === "win32" ? 0 : safeUmask();
    expect(umask).toBeTypeOf("number");
    await open().run(requestOf(fixture("worker-web")));
    for (const name of ["slugs", "builds", "build-cache"])
      expect((await stat(join(dataDir, name))).mode & 0o077).toBe(0);
  });
});

describe("the end of a build", () => {
  test("leaves nothing running and no work folder", async () => {
    const build = open();
    await build.run(requestOf(shellBuild("sleep 600 >/dev/null 2>&1 & echo left $!")));
    await eventually(() => !isAlive(pidIn(build.output(), "left")));
    expect(await readdir(join(dataDir, "builds"))).toEqual([]);
  });

  test("comes although a background process holds the output open", async () => {
    const outcome = await open().run(requestOf(shellBuild("sleep 600 & echo done")));
    expect(outcome).toMatchObject({ ok: true });
  });

  test.skipIf(!isLinux)(
    "reaches, when cancelled, also who ignores SIGTERM and who left the group, within 2 s",
    async () => {
      const build = open();
      const stop = new AbortController();
      const script = `trap '' TERM; setsid sh -c 'trap "" TERM; echo away $$; while :; do sleep 1; done' & echo here $$; while :; do sleep 1; done`;
      const outcome = build.run(requestOf(shellBuild(script)), stop.signal);
      outcome.catch(() => {});
      const pids = await eventually(() => [pidIn(build.output(), "away"), pidIn(build.output(), "here")]);
      const cancelledAt = performance.now();
      stop.abort(new Error("cancelled"));
      await expect(outcome).rejects.toThrow("cancelled");
      // It takes 1.6 s on an idle machine; a busy one may be slow to answer.
      expect(performance.now() - cancelledAt).toBeLessThan(4_000);
      expect(pids.map(isAlive)).toEqual([false, false]);
    },
  );

  test("comes with the time limit, and says what was still running", async () => {
    const outcome = await open({ buildTimeoutMs: 3_000 }).run(requestOf(shellBuild("echo begun; sleep 600")));
    expect(outcome).toMatchObject({
      ok: false,
      cause: {
        headline: "the build took longer than 3.0 s",
        detail: "npm run build was still running",
        lastLines: expect.arrayContaining(["begun"]),
      },
    });
  });

  test.skipIf(!isLinux)(
    "comes for what a killed platform left, when the same build is asked for again",
    { timeout: 60_000 },
    async () => {
      const request = requestOf(shellBuild("echo left $$; while :; do sleep 1; done"));
      const pid = await buildInPlatformThatIsKilled(request);
      expect(isAlive(pid)).toBe(true);
      const build = open();
      const outcome = await build.run({ ...request, unpackSource: fixture("worker-web") });
      expect(outcome).toMatchObject({ ok: true });
      expect(isAlive(pid)).toBe(false);
      expect(await readdir(join(dataDir, "builds"))).toEqual([]);
    },
  );

  test("replaces a slug that was left half made", async () => {
    const request = requestOf(fixture("worker-web"));
    const slugDir = slugOf(await open().run(request));
    await rm(join(slugDir, slugManifestFile));
    await writeFile(join(slugDir, "stale.txt"), "");
    expect(slugOf(await open().run(request))).toBe(slugDir);
    expect(await readdir(slugDir)).not.toContain("stale.txt");
  });
});

describe("what a build prints", () => {
  test("comes as plain lines, without colours, progress and the platform's own folders", async () => {
    const build = open();
    await build.run(
      requestOf(
        shellBuild(String.raw`printf '\033[31mred\033[0m\n10%%\r100%%\n'; echo at $PWD/app.js:3; printf 'no end'`),
      ),
    );
    expect(build.output()).toEqual(expect.arrayContaining(["red", "100%", "at app.js:3", "no end"]));
  });

  test("may be a flood: it is cut, and the build goes on", { timeout: 60_000 }, async () => {
    const build = open();
    const before = process.memoryUsage().rss;
    const outcome = await build.run(
      requestOf(
        shellBuild(
          "yes 'a line of no use' | head -c 300000000; head -c 50000000 /dev/zero | tr '\\\\0' x; echo; echo the end",
        ),
      ),
    );
    expect(outcome).toMatchObject({ ok: true });
    expect(build.output().length).toBeLessThanOrEqual(20_000);
    expect(build.texts()).toContain("the build prints too much: the rest of its output is left out here");
    expect(process.memoryUsage().rss - before).toBeLessThan(300_000_000);
  });

  test("may be nothing for long: then the log says what is waited for", async () => {
    const build = open({ silentAfterMs: 200 });
    const stop = new AbortController();
    const outcome = build.run(requestOf(shellBuild("sleep 600")), stop.signal, (line) => {
      if (line.text.startsWith("still waiting for npm run build")) stop.abort(new Error("seen"));
    });
    await expect(outcome).rejects.toThrow("seen");
  });
});

test("a full disk refuses a build before it begins", async () => {
  const outcome = await open({ minFreeBytes: 1e18 }).run(requestOf(fixture("worker-web")));
  expect(outcome).toMatchObject({ ok: false, cause: { headline: "the disk of this machine is full" } });
});

test("removed images and apps are gone from the disk", async () => {
  const build = open();
  const request = requestOf(fixture("worker-web"));
  const outcome = await build.run(request);
  const slugDir = slugOf(outcome);
  if (outcome.ok) await build.builder.removeImages([outcome.image, "registry.example.org/shop@sha256:00"]);
  expect(await readdir(dirname(slugDir))).toEqual([]);
  await build.builder.removeApp(request.appId);
  for (const name of ["slugs", "builds", "build-cache"]) expect(await readdir(join(dataDir, name))).toEqual([]);
});

/** An app whose build is this shell script. */
function shellBuild(script: string) {
  return files({
    "package.json": JSON.stringify({ scripts: { build: "sh build.sh", start: "x" } }),
    "build.sh": script,
  });
}

function slugOf(outcome: BuildOutcome): string {
  if (!outcome.ok) throw new Error(`the build failed: ${JSON.stringify(outcome.cause, null, 2)}`);
  return slugFolder(join(dataDir, "slugs"), outcome.image);
}

async function built(request: ReturnType<typeof requestOf>) {
  const build = open();
  const slugDir = slugOf(await build.run(request));
  return { appId: request.appId, slugDir, texts: build.texts() };
}

/** Starts a slug's web as a runtime would, and answers its port once it listens. */
async function start(slugDir: string): Promise<number> {
  const manifest = parseSlugManifest(await readFile(join(slugDir, slugManifestFile), "utf8"));
  const port = await freePort();
  const env = {
    ...manifest.env,
    PATH: slugPath(slugDir, manifest, "/usr/local/bin:/usr/bin:/bin"),
    PORT: String(port),
  };
  const child = spawn("sh", ["-c", `exec ${manifest.processTypes.web!.command}`], {
    cwd: slugDir,
    env,
    stdio: ["ignore", "ignore", "ignore"],
  });
  started.push(child);
  await eventually(() => fetchFile(port, "/").then(() => true));
  return port;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

async function get(port: number): Promise<string> {
  return (await fetchFile(port, "/")).body;
}

/** The path is sent as it is: `fetch` would tidy it. */
async function fetchFile(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
) {
  const request = httpRequest({ port, path, agent: false, ...options }).end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await textOf(response) };
}

function works(program: string, args: string[]): boolean {
  try {
    execFileSync(program, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

function pidIn(lines: string[], word: string): number {
  const line = lines.find((text) => text.startsWith(`${word} `));
  if (!line) throw new Error(`no line "${word} …" in ${lines.join(" | ")}`);
  return Number(line.split(" ")[1]);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return (
      !isLinux ||
      !/^State:\s+Z/m.test(
        execFileSync("cat", [`/proc/${pid}/status`], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
      )
    );
  } catch {
    return false;
  }
}

function safeUmask(): number {
  try {
    return process.umask(0o000);
  } catch {
    // Worker threads cannot set it.
    return process.umask();
  }
}

/** Runs the build in another process, kills that with SIGKILL once the build prints its pid, and answers the pid. */
async function buildInPlatformThatIsKilled(request: ReturnType<typeof requestOf>): Promise<number> {
  const module = fileURLToPath(new URL("../../src/builder/local/local.ts", import.meta.url));
  const program = `
    const { createLocalBuilder } = await import(${JSON.stringify(module)});
    const { mkdir, writeFile } = await import("node:fs/promises");
    const request = ${JSON.stringify(request)};
    request.unpackSource = async (dir) => {
      await writeFile(dir + "/package.json", '{"scripts": {"build": "sh build.sh", "start": "x"}}');
      await writeFile(dir + "/build.sh", "echo left $$; while :; do sleep 1; done");
    };
    const builder = createLocalBuilder(${JSON.stringify(optionsOf())});
    await builder.build(request, (line) => console.log(line.text), new AbortController().signal);
  `;
  const platform = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  started.push(platform);
  let printed = "";
  platform.stdout.on("data", (chunk) => {
    printed += chunk;
  });
  const pid = await eventually(() => pidIn(printed.split("\n"), "left"));
  platform.kill("SIGKILL");
  await once(platform, "exit");
  return pid;
}
