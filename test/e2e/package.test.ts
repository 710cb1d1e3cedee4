import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { registryVariables } from "../../src/config.ts";
import { webApp } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { getPage } from "../support/get-page.ts";
import { newPusher } from "../support/pusher.ts";

/*
 * The package as a stranger gets it: packed, installed into an empty folder, and run from there; the whole of Zyndra too,
 * on the embedded defaults.
 */

const root = join(import.meta.dirname, "../..");
/** The Node that `node` is on this machine, and the one that Zyndra runs on. */
const nodes = { "the machine's own Node": "node", "Node 24": process.execPath };

let folder: string;
/** Why it could not be installed, where that is the network's fault. */
let missing: string | undefined;
let packed: { path: string; sizeBytes: number; files: string[] };
let port: number;
let url: string;
let platform: ChildProcess;
let token: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "zyndra-package-"));
  for (const name of ["tarball", "installed", "server", "home"]) await mkdir(join(folder, name));
  packed = await pack(join(folder, "tarball"));
  missing = await install();
  port = await freePort();
  url = `http://localhost:${port}`;
}, 180_000);

afterAll(async () => {
  if (platform?.exitCode === null) {
    platform.kill("SIGTERM");
    await once(platform, "exit");
  }
  if (missing === undefined) await zyndra(process.execPath, ["stop", "--all"], { cwd: join(folder, "server") });
  await rm(folder, { recursive: true, force: true });
}, 60_000);

test("the package is small, and holds neither sources nor tests", () => {
  const rooms = new Set(packed.files.map((file) => file.split("/")[0]));
  expect([...rooms].sort()).toEqual(
    ["CHANGELOG.md", "LICENSE", "README.md", "bin", "dist", "docs", "migrations", "package.json"].sort(),
  );
  expect(packed.files.filter((file) => /\.ts$|test|demo|^migrations.*snapshot/.test(file))).toEqual([]);
  expect(packed.sizeBytes).toBeLessThan(1_000_000);
});

test("what is no TypeScript stands beside what looks for it", async () => {
  const sources = await readdir(join(root, "src"), { recursive: true, withFileTypes: true });
  const others = sources
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".ts"))
    .map((entry) => join("dist", join(entry.parentPath, entry.name).slice(join(root, "src").length)));
  expect(others).toContain("dist/runtime/local/keeper.pl");
  expect(packed.files).toEqual(expect.arrayContaining(others));
});

describe("installed,", () => {
  beforeEach((context) => context.skip(missing !== undefined, `the registry cannot be reached (${missing})`));

  test("a whole Zyndra starts from it, with whatever Node there is, and gets its owner", async () => {
    platform = spawn(nodes["the machine's own Node"], [program(), "start"], {
      cwd: join(folder, "server"),
      env: environment({ PORT: String(port), LOG_LEVEL: "warn" }),
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [platform.stdout!, platform.stderr!]) stream.on("data", (chunk) => (output += chunk));
    await eventually(
      () => {
        if (platform.exitCode !== null) throw new Error(`it ended with ${platform.exitCode}:\n${output}`);
        return output.includes("zyndra setup");
      },
      { withinMs: 60_000, what: output },
    );
    const [, code = ""] = /^ {2}zyndra setup \S+ (\S+)$/m.exec(output)!;
    const made = await zyndra(process.execPath, ["setup", url, code, "--name", "ana", "--json"]);
    expect(made).toMatchObject({ code: 0, err: "" });
    token = JSON.parse(made.out).token;
    expect(await stat(join(folder, "server", ".zyndra", "postgres"))).toBeDefined();
  });

  test.each(Object.entries(nodes))(
    "with %s the command line logs in, makes an app and lets git push it",
    async (name, node) => {
      const app = name === "Node 24" ? "shop" : "blog";
      const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
      expect(await zyndra(node, ["--version"])).toEqual({ code: 0, out: `zyndra ${version}\n`, err: "" });
      expect(await zyndra(node, ["login", url, "--token", token])).toMatchObject({ code: 0, err: "" });
      expect(await zyndra(node, ["apps:create", app])).toMatchObject({ code: 0 });

      await using pusher = await newPusher("nowhere");
      await pusher.commit(webApp(`hello from ${app}`));
      const env = environment({ GIT_CONFIG_NOSYSTEM: "1", GIT_TERMINAL_PROMPT: "0" });
      expect(await zyndra(node, ["git:remote", app], { cwd: pusher.folder })).toMatchObject({ code: 0 });
      const pushed = await run("git", ["push", "zyndra", "main"], { cwd: pusher.folder, env });
      expect(pushed.err).toMatch(new RegExp(`success: ${app} v1 is live`));
      expect(pushed.code).toBe(0);
      const opened = await zyndra(node, ["open"], { cwd: pusher.folder });
      expect(opened.out).toBe(`http://${app}.localhost:${port}\n`);
      expect(await getPage(opened.out.trim())).toEqual({ status: 200, body: `hello from ${app}` });
      expect((await zyndra(node, ["logs"], { cwd: pusher.folder })).out).toContain("listening");
    },
  );

  test("stop and recover find the Zyndra of the folder", async () => {
    const cwd = join(folder, "server");
    const recovered = await zyndra("node", ["recover"], { cwd });
    expect(recovered.out).toMatch(/^A new token for ana;/);
    const ended = once(platform, "exit");
    const stopped = await zyndra("node", ["stop", "--all"], { cwd });
    expect(stopped).toMatchObject({
      code: 0,
      out: expect.stringContaining("its apps and its database have stopped too"),
    });
    expect(await ended).toEqual([0, null]);
  });

  test("without the optional packages it is the command line for Node 24, and says what the rest needs", async () => {
    await install("--omit=optional");
    const modules = await readdir(join(folder, "installed", "node_modules"), { recursive: true });
    expect(modules.filter((path) => path.endsWith("/bin/postgres") || path.endsWith("/bin/node"))).toEqual([]);
    expect(await zyndra(process.execPath, ["--version"])).toMatchObject({ code: 0, err: "" });
    const olderNode = ["--import", `data:text/javascript,${encodeURIComponent(pretendToBeNode20)}`];
    expect(await zyndra(process.execPath, ["--version"], { flags: olderNode })).toEqual({
      code: 1,
      out: "",
      err: expect.stringMatching(
        /^error: Zyndra runs on Node 24; this is Node 20\.\S+, .*\nhint: .*npm install --global zyndra --include=optional\n$/,
      ),
    });
    const started = await zyndra(process.execPath, ["start"], {
      cwd: join(folder, "home"),
      env: { PORT: String(await freePort()) },
    });
    expect(started).toMatchObject({
      code: 1,
      err: expect.stringMatching(/error: PostgreSQL for \S+ \(.*\) is not installed\nhint: set DATABASE_URL/),
    });
  }, 120_000);
});

const pretendToBeNode20 = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } });`;

// --- How it is packed, installed and called

async function pack(destination: string): Promise<typeof packed> {
  const { code, out, err } = await run("npm", ["pack", "--json", "--pack-destination", destination], { cwd: root });
  if (code !== 0) throw new Error(`npm pack failed:\n${err}`);
  const [made] = Object.values(JSON.parse(out) as Record<string, PackReport>);
  const { filename, size, files } = made!;
  return { path: join(destination, filename), sizeBytes: size, files: files.map(({ path }) => path) };
}

type PackReport = { filename: string; size: number; files: { path: string }[] };

/** Needs the registry, where the packages were not fetched before. A machine without a network is told from a fault of ours. */
async function install(...options: string[]): Promise<string | undefined> {
  const flags = [
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--no-progress",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=500",
  ];
  const cwd = join(folder, "installed");
  const { code, err } = await run("npm", ["install", ...flags, ...options, packed.path], { cwd });
  if (code === 0) return undefined;
  const [, network] =
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED)\b/.exec(err) ?? [];
  if (network !== undefined && !process.env.CI) return network;
  throw new Error(`npm install failed:\n${err}`);
}

function program(): string {
  return join(folder, "installed", "node_modules", ".bin", "zyndra");
}

type Ran = { code: number; out: string; err: string };
type RunOptions = { cwd?: string; env?: Record<string, string | undefined>; flags?: string[] };

function zyndra(node: string, words: string[], { cwd, env, flags = [] }: RunOptions = {}): Promise<Ran> {
  return run(node, [...flags, program(), ...words], {
    cwd: cwd ?? join(folder, "installed"),
    env: environment(env),
  });
}

/** Someone's own, without settings of a Zyndra. */
function environment(more: Record<string, string | undefined> = {}): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: join(folder, "home"), ...more };
}

/** npm gets no more of what the npm that runs the tests has set than how to reach the registry. */
function run(name: string, args: string[], options: { cwd: string; env?: NodeJS.ProcessEnv }): Promise<Ran> {
  const { PATH, HOME } = process.env;
  const env = options.env ?? { PATH, HOME, ...registryVariables(process.env) };
  return new Promise((resolve) => {
    // Nothing is left running where the hook's own limit comes first.
    execFile(name, args, { ...options, env, timeout: 150_000, maxBuffer: 16 * 1024 * 1024 }, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, out, err: code === -1 ? `${err}${error?.message}` : err });
    });
  });
}
