import { randomUUID } from "node:crypto";
import { cp, mkdir, writeFile } from "node:fs/promises";
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
