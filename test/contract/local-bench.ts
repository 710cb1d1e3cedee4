import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request as httpRequest, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { openLog } from "../../src/log.ts";
import { type Image, slugFolder, slugImage } from "../../src/model/image.ts";
import type { ProcessTypes } from "../../src/model/process-types.ts";
import {
  type SlugManifest,
  slugFilesFile,
  slugFilesText,
  slugManifestFile,
  slugManifestText,
} from "../../src/model/slug.ts";
import { type LocalRuntimeOptions, openLocalRuntime, stopAll } from "../../src/runtime/local/local.ts";
import { openRouter, type Router, type RouterOptions } from "../../src/runtime/local/router.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import type { RuntimeUnderTest } from "./runtime.ts";

/** A local runtime and a router on a data folder of their own, behind a listener as the platform's. */
export type LocalBench = RuntimeUnderTest & {
  dataDir: string;
  router: Router;
  /** The listener's port. */
  port: number;
  /** Any request to an app. */
  ask(appName: string, path: string, options?: AskOptions): Promise<Answer>;
  /** Closes the runtime as the end of the platform would, and opens another one on the same folder. */
  reopen(options?: Partial<LocalRuntimeOptions>): Promise<Runtime>;
};

export type AskOptions = { method?: string; headers?: Record<string, string>; body?: string | Buffer };
export type Answer = { status: number; body: string; headers: IncomingHttpHeaders };

export async function openLocalBench(
  options: Partial<LocalRuntimeOptions> & { router?: Partial<RouterOptions> } = {},
): Promise<LocalBench> {
  const dataDir = await mkdtemp(join(tmpdir(), "zyndra-runtime-"));
  const log = openLog("silent");
  const router = await openRouter({ dataDir, log, ...options.router });
  const { server, port } = await listen(router);
  const open = (again: Partial<LocalRuntimeOptions> = {}) =>
    openLocalRuntime({
      dataDir,
      log,
      publicUrl: (appName) => `http://${appName}.localhost:${port}`,
      settleMs: 300,
      stopGraceMs: 3_000,
      ...options,
      ...again,
    });
  const bench: LocalBench = {
    dataDir,
    router,
    port,
    runtime: await open(),
    makeImage: (appId, files, processTypes) => makeSlug(dataDir, appId, files, processTypes),
    ask: (appName, path, askOptions) => ask(port, appName, path, askOptions),
    get: (appName, path) => ask(port, appName, path),
    getAt: (host, path) => ask(port, "", path, { headers: { host } }),
    async reopen(again) {
      await bench.runtime.close();
      bench.runtime = await open(again);
      return bench.runtime;
    },
    async close() {
      await bench.runtime.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await router.close();
      await stopAll(dataDir);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return bench;
}

/** The folder of a finished build, as the local builder leaves it. */
export async function makeSlug(
  dataDir: string,
  appId: string,
  files: Record<string, string>,
  processTypes: ProcessTypes,
  manifest: Partial<SlugManifest> = {},
): Promise<Image> {
  const image = slugImage(appId, randomBytes(16).toString("hex"));
  const folder = slugFolder(join(dataDir, "slugs"), image);
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  await writeFile(join(folder, slugFilesFile), slugFilesText(Object.keys(files)));
  await writeFile(
    join(folder, slugManifestFile),
    slugManifestText({
      formatVersion: 1,
      buildId: "build",
      commit: "0".repeat(40),
      processTypes,
      pathDirs: [],
      env: {},
      sizeBytes: 1,
      summary: "built",
      ...manifest,
    }),
  );
  return image;
}

/** One request with the app's Host, on a connection of its own. */
export function ask(port: number, appName: string, path: string, options: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = httpRequest(
      {
        host: "127.0.0.1",
        port,
        path,
        method: options.method ?? "GET",
        agent: false,
        headers: { host: `${appName}.localhost:${port}`, ...options.headers },
      },
      (answer) => {
        let body = "";
        answer.setEncoding("utf8");
        answer.on("data", (text: string) => {
          body += text;
        });
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers }));
        answer.on("error", reject);
      },
    );
    asking.on("error", reject);
    asking.end(options.body);
  });
}

/** One listener, as the platform's: the Host decides. */
async function listen(router: Router): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    if (!router.handle(request, response)) response.end("Zyndra itself");
  });
  server.on("upgrade", (request, socket, head) => {
    if (!router.upgrade(request, socket, head)) socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, port: (server.address() as AddressInfo).port };
}
