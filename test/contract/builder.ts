import { randomUUID } from "node:crypto";
import { cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Builder, BuildOutcome, BuildRequest } from "../../src/builder/builder.ts";
import type { LogLine } from "../../src/model/log-line.ts";

/** A builder to try, and how to take it away. */
export type BuilderUnderTest = { builder: Builder; dispose(): Promise<void> };

/** What every builder must do, whatever it builds with (src/builder/builder.ts). */
export function describeBuilder(name: string, create: () => Promise<BuilderUnderTest>): void {
  describe(`the ${name} builder`, () => {
    test("builds an app and answers its image, processes and size", async () => {
      await using build = await open(create);
      const outcome = await build.run(requestOf(fixture("worker-web")));
      expect(outcome).toMatchObject({
        ok: true,
        processTypes: { web: { command: "node web.js" }, worker: { command: "node worker.js" } },
        releaseCommand: "node release.js",
      });
      if (!outcome.ok) return;
      expect(outcome.image).not.toBe("");
      expect(outcome.sizeBytes).toBeGreaterThan(0);
      expect(outcome.summary).toMatch(/\d (kB|MB)/);
    });

    test("answers the same image when a finished build is asked for again", async () => {
      await using build = await open(create);
      const request = requestOf(fixture("worker-web"));
      const first = await build.run(request);
      expect(await build.run(request)).toEqual(first);
    });

    test("says the plan before it does it", async () => {
      await using build = await open(create);
      await build.run(requestOf(fixture("broken-build")));
      const planAt = build.lines.findIndex((line) => line.kind === "text" && line.text.includes("npm run build"));
      const outputAt = build.lines.findIndex((line) => line.kind === "output");
      expect(planAt).toBeGreaterThanOrEqual(0);
      expect(planAt).toBeLessThan(outputAt);
    });

    test("answers a failing build with its cause and its last lines", async () => {
      await using build = await open(create);
      const outcome = await build.run(requestOf(fixture("broken-build")));
      expect(outcome).toMatchObject({
        ok: false,
        cause: { headline: "npm run build failed (exit 1)", detail: "TypeError: the page has no title (build.js:2)" },
      });
      if (outcome.ok) return;
      expect(outcome.cause.lastLines?.length).toBeLessThanOrEqual(20);
      expect(outcome.cause.lastLines).toContain("building the page");
    });

    test("answers with a refusal where nothing says how to build", async () => {
      await using build = await open(create);
      const outcome = await build.run(requestOf(files({ "README.md": "# Nothing\n" })));
      expect(outcome).toMatchObject({
        ok: false,
        cause: { headline: "found nothing to build", detail: expect.stringContaining("package.json") },
      });
    });

    test("answers with the line where a Procfile is broken", async () => {
      await using build = await open(create);
      const outcome = await build.run(requestOf(files({ Procfile: "web: ./a\nworker\n" })));
      expect(outcome).toMatchObject({ ok: false, cause: { detail: 'Procfile:2: "worker" has no colon' } });
    });

    test("gives the build the config vars and the commit", async () => {
      await using build = await open(create);
      const source = files({
        "package.json": JSON.stringify({ scripts: { build: "echo $APP_COLOR $SOURCE_VERSION", start: "x" } }),
      });
      const request = { ...requestOf(source), env: { APP_COLOR: "teal" } };
      await build.run(request);
      expect(build.output()).toContain(`teal ${request.commit}`);
    });

    test("runs exactly the processes that the app's files name; web without a command is found as without them", async () => {
      await using build = await open(create);
      const source = files({
        "package.json": JSON.stringify({ scripts: { start: "node server.js" } }),
        Procfile: "web: ./not-this\nclock: ./nor-this\n",
      });
      const settings: BuildRequest["settings"] = {
        processes: { web: {}, worker: { command: "node worker.js" } },
        hooks: { release: { command: "./migrate" } },
        origins: { "processes.worker.command": "zyndra.yml:4", "hooks.release": "zyndra.yml:7" },
      };
      const outcome = await build.run({ ...requestOf(source), settings });
      expect(outcome).toMatchObject({ ok: true });
      if (!outcome.ok) return;
      expect(outcome.processTypes).toEqual({
        web: { command: "node server.js" },
        worker: { command: "node worker.js" },
      });
      expect(build.texts()).toContain("web: node server.js; zyndra.yml: worker, release");
    });

    test("builds anything whose processes are all named", async () => {
      await using build = await open(create);
      const settings: BuildRequest["settings"] = { processes: { web: { command: "./serve" } } };
      const outcome = await build.run({ ...requestOf(files({ serve: "#!/bin/sh\n" })), settings });
      expect(outcome).toMatchObject({ ok: true, processTypes: { web: { command: "./serve" } } });
    });

    test("builds the folder that is named, with what lies beside it", async () => {
      await using build = await open(create);
      const source = files({
        "shared/word.txt": "hats",
        "apps/shop/package.json": JSON.stringify({
          scripts: { build: "cat ../../shared/word.txt", start: "node a.js" },
        }),
        "package.json": JSON.stringify({ scripts: { build: "echo wrong; exit 1", start: "x" } }),
      });
      const outcome = await build.run({ ...requestOf(source), settings: { build: { root: "apps/shop" } } });
      expect(outcome).toMatchObject({ ok: true, processTypes: { web: { command: "node a.js" } } });
      expect(build.output()).toContain("hats");
    });

    test.each(["nothing", "../..", "link", "file"])("refuses a folder that is none: %s", async (root) => {
      await using build = await open(create);
      const source: Source = async (intoDir, signal) => {
        await files({ "real/index.html": "hats", file: "x" })(intoDir, signal);
        await symlink("real", join(intoDir, "link"));
      };
      const outcome = await build.run({ ...requestOf(source), settings: { build: { root } } });
      expect(outcome).toMatchObject({ ok: false, cause: { headline: `there is no folder ${root} to build` } });
    });

    test("serves the folder that is named, after what package.json builds", async () => {
      await using build = await open(create);
      const source = files({
        "package.json": JSON.stringify({
          scripts: { build: "mkdir -p site && echo hats > site/index.html", start: "node not-this.js" },
        }),
        Procfile: "web: ./nor-this\n",
      });
      const settings: BuildRequest["settings"] = { build: { builder: "static", output: "site" } };
      const outcome = await build.run({ ...requestOf(source), settings });
      expect(outcome).toMatchObject({ ok: true });
      if (outcome.ok) expect(Object.keys(outcome.processTypes)).toEqual(["web"]);
      if (outcome.ok) expect(outcome.processTypes.web!.command).toContain(" site");
      const none = await build.run({
        ...requestOf(source),
        settings: { build: { builder: "static", output: "dist" } },
      });
      expect(none).toMatchObject({ ok: false, cause: { detail: "looked for dist/index.html" } });
    });

    test("gives the build its public variables, below the config vars", async () => {
      await using build = await open(create);
      const source = files({
        "package.json": JSON.stringify({ scripts: { build: "echo $LEVEL $HAT", start: "x" } }),
      });
      const settings: BuildRequest["settings"] = { build: { args: { LEVEL: "3", HAT: "red" } } };
      await build.run({ ...requestOf(source), env: { HAT: "teal" }, settings });
      expect(build.output()).toContain("3 teal");
    });

    test("ends a build that takes longer than the app's files allow", async () => {
      await using build = await open(create);
      const source = files({ "package.json": JSON.stringify({ scripts: { build: "sleep 600", start: "x" } }) });
      const outcome = await build.run({ ...requestOf(source), settings: { build: { timeoutMs: 2_000 } } });
      expect(outcome).toMatchObject({ ok: false, cause: { headline: "the build took longer than 2.0 s" } });
    });

    test("ends a build whose signal aborts, and rejects with the reason", async () => {
      await using build = await open(create);
      const source = files({
        "package.json": JSON.stringify({ scripts: { build: "echo begun; sleep 600", start: "x" } }),
      });
      const stop = new AbortController();
      const reason = new Error("cancelled by ana");
      const outcome = build.run(requestOf(source), stop.signal, (line) => {
        if (line.text === "begun") stop.abort(reason);
      });
      await expect(outcome).rejects.toBe(reason);
    });

    test("does not begin with a signal that is aborted already", async () => {
      await using build = await open(create);
      await expect(
        build.run(requestOf(fixture("worker-web")), AbortSignal.abort(new Error("too late"))),
      ).rejects.toThrow("too late");
    });

    test("removes images, absent ones too", async () => {
      await using build = await open(create);
      const outcome = await build.run(requestOf(fixture("worker-web")));
      if (!outcome.ok) throw new Error(outcome.cause.headline);
      await build.builder.removeImages([outcome.image]);
      await build.builder.removeImages([outcome.image]);
    });

    test("removes all of an app, and its running build with it", async () => {
      await using build = await open(create);
      const source = files({
        "package.json": JSON.stringify({ scripts: { build: "echo begun; sleep 600", start: "x" } }),
      });
      const request = requestOf(source);
      const { promise: begun, resolve } = Promise.withResolvers<void>();
      const outcome = build.run(request, undefined, (line) => {
        if (line.text === "begun") resolve();
      });
      const refused = expect(outcome).rejects.toThrow("its app was removed");
      await begun;
      await build.builder.removeApp(request.appId);
      await refused;
      await build.builder.removeApp(request.appId);
    });
  });
}

type Source = BuildRequest["unpackSource"];

const appsDir = join(dirname(fileURLToPath(import.meta.url)), "..", "fixtures", "apps");

/** The files of one of the apps in test/fixtures/apps. */
export function fixture(app: string): Source {
  return (intoDir) => cp(join(appsDir, app), intoDir, { recursive: true, verbatimSymlinks: true });
}

/** Files given by their texts. */
export function files(texts: Record<string, string>): Source {
  return async (intoDir) => {
    for (const [path, text] of Object.entries(texts)) {
      await mkdir(dirname(join(intoDir, path)), { recursive: true });
      await writeFile(join(intoDir, path), text);
    }
  };
}

export function requestOf(unpackSource: Source, appId: string = randomUUID()): BuildRequest {
  return {
    buildId: randomUUID(),
    appId,
    appName: "shop",
    commit: "3f2c1ab".padEnd(40, "0"),
    unpackSource,
    env: {},
    settings: {},
    skipCache: false,
  };
}

async function open(create: () => Promise<BuilderUnderTest>) {
  const { builder, dispose } = await create();
  return { builder, ...recorder(builder), [Symbol.asyncDispose]: dispose };
}

/** Builds and keeps the lines. */
export function recorder(builder: Builder) {
  const lines: LogLine[] = [];
  return {
    lines,
    output: () => lines.filter((line) => line.kind === "output").map((line) => line.text),
    texts: () => lines.filter((line) => line.kind !== "output").map((line) => line.text),
    run(
      request: BuildRequest,
      signal: AbortSignal = new AbortController().signal,
      onLine: (line: LogLine) => void = () => {},
    ): Promise<BuildOutcome> {
      return builder.build(
        request,
        (line) => {
          lines.push(line);
          onLine(line);
        },
        signal,
      );
    },
  };
}
