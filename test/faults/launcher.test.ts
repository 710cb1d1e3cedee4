import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, onTestFinished, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { runMain } from "../support/spawned-platform.ts";

const root = join(import.meta.dirname, "../..");
const isRoot = process.getuid?.() === 0;

test("the words, the working folder and NODE_OPTIONS reach the program as they are, and its exit code comes back", async () => {
  const checkout = await checkoutWith({ "src/cli/main.ts": tellEverything });
  const elsewhere = await emptyFolder("else where");
  const { exitCode, output } = await end(
    launch(checkout, "zyndra", ["a b", "--flag=$x", ""], { cwd: elsewhere, env: { NODE_OPTIONS: "--no-deprecation" } }),
  );
  expect(JSON.parse(output)).toMatchObject({
    words: ["a b", "--flag=$x", ""],
    cwd: elsewhere,
    nodeOptions: "--no-deprecation",
    entry: join(checkout, "src/cli/main.ts"),
  });
  expect(exitCode).toBe(7);
});

test("what is typed reaches the program", async () => {
  const checkout = await checkoutWith({
    "src/cli/main.ts": "process.stdin.on('data', (text) => console.log(String(text).toUpperCase()));",
  });
  const child = launch(checkout, "zyndra", []);
  child.stdin.end("hello");
  expect((await end(child)).output).toBe("HELLO\n");
});

test("npm start and npm run demo find their stories, npm test passes its words to vitest", async () => {
  const story = "console.log(import.meta.url.split('/src/')[1], process.argv.slice(2).join());";
  const vitest = "console.log('vitest', process.argv.slice(2).join(), process.cwd());";
  const checkout = await checkoutWith({
    "src/main.ts": story,
    "src/demo.ts": story,
    "node_modules/vitest/vitest.mjs": vitest,
  });
  expect((await end(launch(checkout, "start.js", ["stop", "--all"]))).output).toBe("main.ts stop,--all\n");
  expect((await end(launch(checkout, "demo.js", []))).output).toBe("demo.ts \n");
  expect((await end(launch(checkout, "test.js", ["test/model", "-t", "x"]))).output).toBe(
    `vitest run,test/model,-t,x ${checkout}\n`,
  );
});

test("zyndra start runs the platform itself; with more words it is a line of the command line", async () => {
  const checkout = await checkoutWith({
    "src/main.ts": "console.log('platform', process.argv.slice(2).join());",
    "src/cli/main.ts": "console.log('command line', process.argv.slice(2).join());",
  });
  expect((await end(launch(checkout, "zyndra", ["start"]))).output).toBe("platform \n");
  expect((await end(launch(checkout, "zyndra", ["start", "--help"]))).output).toBe("command line start,--help\n");
  expect((await end(launch(checkout, "zyndra", ["start", "shop"]))).output).toBe("command line start,shop\n");
  expect((await end(launch(checkout, "zyndra", ["stop"]))).output).toBe("command line stop\n");
});

test.each([
  [{}, "zyndra start, zyndra recover, or"],
  [{ npm_lifecycle_event: "start" }, "npm start, npm start -- recover, or"],
  [{ npm_command: "exec" }, "npx zyndra start, npx zyndra recover, or"],
])("hints of the platform name it as it was started: %j", async (env, named) => {
  const { code, output } = await runMain(env, ["nonsense"]);
  expect(output).toContain(`hint: ${named}`);
  expect(code).toBe(1);
});

test("a packed package, which has no sources, runs the JavaScript that was made of them and installs nothing", async () => {
  const checkout = await checkoutWith({ "dist/cli/main.js": "console.log('from dist');" });
  await fs.rm(join(checkout, "src"), { recursive: true, force: true });
  await fs.rm(join(checkout, "package-lock.json"));
  await fs.rm(join(checkout, "node_modules/.package-lock.json"));
  expect(await end(launch(checkout, "zyndra", []))).toEqual({
    exitCode: 0,
    signal: null,
    output: "from dist\n",
    complaint: "",
  });
});

test("an old Node starts the one that was installed, and prints no warning about TypeScript", async () => {
  const checkout = await checkoutWith({
    "src/cli/main.ts": "const version: string = process.version; console.log(version, process.execPath);",
  });
  const { output, complaint } = await end(launch(checkout, "zyndra", [], { nodeVersion: "20.20.2" }));
  const installed = join(checkout, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
  expect(output).toBe(`${process.version} ${await fs.realpath(installed)}\n`);
  expect(complaint).toBe("");
});

test("where no Node 24 is installed, or this Node is too old to look for one, a sentence says so", async () => {
  const checkout = await checkoutWith({ "src/cli/main.ts": "" });
  await fs.rm(join(checkout, `node_modules/node-${process.platform}-${process.arch}`));
  const none = await end(launch(checkout, "zyndra", [], { nodeVersion: "20.20.2" }));
  expect(none.complaint).toMatch(
    /^error: Zyndra runs on Node 24; this is Node 20\.20\.2, and none is installed in .*\nhint: install Node 24 or newer.*\n$/,
  );
  expect(none.exitCode).toBe(1);
  const old = await end(launch(checkout, "zyndra", [], { nodeVersion: "16.20.0" }));
  expect(old.complaint).toMatch(/^error: Zyndra needs Node 18 or newer to start; this is Node 16\.20\.0 \(.*\)\n$/);
  expect(old.exitCode).toBe(1);
});

test("a signal to the launcher reaches the program once, and both end when the program decides", async () => {
  const checkout = await checkoutWith({ "src/main.ts": countSignals });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    const child = launch(checkout, "start.js", []);
    const ended = end(child);
    await firstLine(child);
    child.kill(signal);
    expect(await ended).toMatchObject({ exitCode: 3, output: `ready\n${signal}\n` });
  }
});

test.runIf(process.platform === "linux")("Ctrl-C in a terminal reaches the program once", async () => {
  const checkout = await checkoutWith({ "src/main.ts": countSignals });
  const command = [process.execPath, join(checkout, "bin/start.js")].map((word) => `'${word}'`).join(" ");
  // util-linux's script gives the launcher, put in place of its shell, a terminal of its own; what is typed there is typed into a keyboard.
  const terminal = listenTo(spawn("script", ["--quiet", "--return", "--command", `exec ${command}`, "/dev/null"]));
  const ended = end(terminal);
  await firstLine(terminal);
  terminal.stdin.write("\x03");
  const { exitCode, output } = await ended;
  expect(output.replaceAll("\r", "").replace("^C", "")).toBe("ready\nSIGINT\n");
  expect(exitCode).toBe(3);
});

test("a program that is killed takes the launcher with it, with the same signal", async () => {
  const checkout = await checkoutWith({ "src/main.ts": "process.kill(process.pid, 'SIGKILL');" });
  expect(await end(launch(checkout, "start.js", []))).toMatchObject({ exitCode: null, signal: "SIGKILL" });
});

test("what is missing is installed first, in one line, by the npm that runs us", async () => {
  const checkout = await emptyCheckout({ "src/main.ts": "console.log('up');" });
  const { output, complaint } = await end(launch(checkout, "start.js", [], { npm: installs }));
  expect(output).toBe("up\n");
  expect(complaint).toMatch(/^Installing what is missing with npm ci \(about a minute\) \.\.\. done in \d+ s\n$/);
  expect(await npmRuns(checkout)).toHaveLength(1);
  expect((await npmRuns(checkout))[0]).toMatch(/^ci --ignore-scripts /);
  expect((await end(launch(checkout, "start.js", [], { npm: installs }))).complaint).toBe("");
  expect(await fs.readdir(checkout)).not.toContain(".install.lock");
});

test("a new lock file is installed before the next start, one that only lost a package is not", async () => {
  const checkout = await checkoutWith({ "src/main.ts": "" });
  const file = join(checkout, "package-lock.json");
  const lock = JSON.parse(await fs.readFile(file, "utf8"));
  delete lock.packages["node_modules/pg"];
  await fs.writeFile(file, JSON.stringify(lock));
  await end(launch(checkout, "start.js", [], { npm: installs }));
  expect(await npmRuns(checkout)).toHaveLength(0);

  lock.packages["node_modules/zod"].version = "999.0.0";
  await fs.writeFile(file, JSON.stringify(lock));
  await end(launch(checkout, "start.js", [], { npm: installs }));
  expect(await npmRuns(checkout)).toHaveLength(1);
});

test("what only tests need is installed for tests only", async () => {
  const checkout = await checkoutWith({ "src/main.ts": "", "node_modules/vitest/vitest.mjs": "" });
  const file = join(checkout, "node_modules/.package-lock.json");
  const present = JSON.parse(await fs.readFile(file, "utf8"));
  delete present.packages["node_modules/vitest"];
  await fs.writeFile(file, JSON.stringify(present));
  await end(launch(checkout, "start.js", [], { npm: installs }));
  expect(await npmRuns(checkout)).toHaveLength(0);
  await end(launch(checkout, "test.js", [], { npm: installs, env: { NODE_ENV: "production" } }));
  expect((await npmRuns(checkout))[0]).toContain("--include=dev");
});

test("of three that start at once one installs, and the others wait for it", async () => {
  const checkout = await emptyCheckout({ "src/main.ts": "console.log('up');" });
  const npm = `await new Promise((done) => setTimeout(done, 500)); ${installs}`;
  const ended = await Promise.all([1, 2, 3].map(() => end(launch(checkout, "start.js", [], { npm }))));
  expect(ended.map(({ output }) => output)).toEqual(["up\n", "up\n", "up\n"]);
  expect(await npmRuns(checkout)).toHaveLength(1);
  expect(
    ended.filter(({ complaint }) =>
      /^Waiting for another start \(process \d+\) that is installing \.\.\.\n$/.test(complaint),
    ),
  ).toHaveLength(2);
});

test("an installation that was killed is done again; while its npm still works, the next start waits", async () => {
  const checkout = await emptyCheckout({ "src/main.ts": "console.log('up');" });
  const gate = join(checkout, "gate");
  const npm = `while (!fs.existsSync(${JSON.stringify(gate)})) await new Promise((done) => setTimeout(done, 10));`;
  const killed = launch(checkout, "start.js", [], { npm });
  await eventually(async () => (await npmRuns(checkout)).length === 1);
  killed.kill("SIGKILL");
  await once(killed, "close");

  const next = launch(checkout, "start.js", [], { npm: installs });
  const ended = end(next);
  await eventually(() => next.complaint.includes("Waiting for another start"));
  expect(await npmRuns(checkout)).toHaveLength(1);
  await fs.writeFile(gate, "");
  expect((await ended).output).toBe("up\n");
  expect(await npmRuns(checkout)).toHaveLength(2);
});

test("Ctrl-C during the installation ends both, and the next start begins anew", async () => {
  const checkout = await emptyCheckout({ "src/main.ts": "console.log('up');" });
  const child = launch(checkout, "start.js", [], { npm: "await new Promise((done) => setTimeout(done, 60_000));" });
  const ended = end(child);
  await eventually(async () => (await npmRuns(checkout)).length === 1);
  child.kill("SIGINT");
  expect(await ended).toMatchObject({ signal: "SIGINT", output: "" });
  expect((await end(launch(checkout, "start.js", [], { npm: installs }))).output).toBe("up\n");
});

test.each([
  [
    "npm error code ENOTFOUND\nnpm error network request to host failed",
    /^error: the packages .* could not be fetched: the network does not answer \(ENOTFOUND\)\nhint: connect this machine/m,
  ],
  [
    "npm error code EACCES\nnpm error syscall mkdir",
    /^error: .* needs an installation, and cannot be written\nhint: as the user whom it belongs to: cd .* && npm ci$/m,
  ],
  ["npm error code ENOSPC", /^error: the disk that holds .* is full\nhint: /m],
  [
    "npm error code E404\nnpm error 404 no such package",
    /^error: npm ci failed:\nnpm error code E404\nnpm error 404 no such package\nhint: to see all of it: cd .* && npm ci$/m,
  ],
])("npm's failure is told in a sentence: %s", async (printed, told) => {
  const checkout = await emptyCheckout({ "src/main.ts": "console.log('up');" });
  const npm = `console.error(${JSON.stringify(printed)}); process.exit(1);`;
  const { exitCode, output, complaint } = await end(launch(checkout, "start.js", [], { npm }));
  expect(complaint).toMatch(told);
  expect(output).toBe("");
  expect(exitCode).toBe(1);
  expect(await fs.readdir(checkout)).not.toContain(".install.lock");
});

test.runIf(isRoot && process.platform === "linux")(
  "an ordinary user starts what root has installed, and is told what to do where it is not",
  async () => {
    const checkout = await checkoutWith({ "src/main.ts": "console.log('up as', process.getuid());" });
    // The Node of this machine may lie where the user cannot go, so both it and the modules stand in the copy.
    const node = join(checkout, "node");
    await fs.copyFile(process.execPath, node);
    const nobody = { uid: 65_534, node };
    expect(await end(launch(checkout, "start.js", [], nobody))).toMatchObject({
      output: "up as 65534\n",
      complaint: "",
    });

    await fs.rm(join(checkout, "node_modules/.package-lock.json"));
    const { exitCode, complaint } = await end(launch(checkout, "start.js", [], nobody));
    expect(complaint).toBe(
      `error: ${checkout} needs an installation, and cannot be written\nhint: as the user whom it belongs to: cd ${checkout} && npm ci\n`,
    );
    expect(exitCode).toBe(1);
  },
);

test.runIf(process.env.CI)(
  "a real npm installs a fresh copy, and an old Node then runs it",
  { timeout: 300_000 },
  async () => {
    const checkout = await emptyCheckout({ "src/main.ts": "import 'pg'; console.log('up on', process.version);" });
    const { output, complaint } = await end(launch(checkout, "start.js", [], { nodeVersion: "20.20.2" }));
    expect(complaint).toMatch(/^Installing .* done in \d+ s\n$/);
    expect(output).toMatch(/^up on v24\./);
  },
);

// ---- what the stories above are told with

const tellEverything = `
  console.log(JSON.stringify({ words: process.argv.slice(2), cwd: process.cwd(), nodeOptions: process.env.NODE_OPTIONS, entry: process.argv[1] }));
  process.exitCode = 7;`;

/** Ends a moment after the first signal, so that a second one would be seen. */
const countSignals = `
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => { console.log(signal); setTimeout(() => process.exit(3), 200); });
  setInterval(() => {}, 1_000);
  console.log("ready");`;

/** What stands in for npm puts a finished node_modules in its place. */
const installs = "fs.cpSync(path.join(root, 'finished'), path.join(root, 'node_modules'), { recursive: true });";

/** A checkout of which everything is real but the programs given: bin/ and the lock file copied, the modules linked. */
async function checkoutWith(files: Record<string, string>): Promise<string> {
  const checkout = await emptyCheckout(files);
  await fs.cp(join(checkout, "finished"), join(checkout, "node_modules"), { recursive: true, force: false });
  return checkout;
}

/** The same before anything was installed. */
async function emptyCheckout(files: Record<string, string>): Promise<string> {
  const checkout = await emptyFolder("check out");
  await fs.cp(join(root, "bin"), join(checkout, "bin"), { recursive: true });
  for (const file of ["package.json", "package-lock.json"]) await fs.copyFile(join(root, file), join(checkout, file));
  const finished = join(checkout, "finished");
  await fs.mkdir(finished);
  await fs.copyFile(join(root, "node_modules/.package-lock.json"), join(finished, ".package-lock.json"));
  const node = `node-${process.platform}-${process.arch}`;
  await fs.symlink(join(root, "node_modules", node), join(finished, node));
  for (const [file, content] of Object.entries(files)) {
    await fs.mkdir(join(checkout, file, ".."), { recursive: true });
    await fs.writeFile(join(checkout, file), content);
  }
  return checkout;
}

async function emptyFolder(name: string): Promise<string> {
  const folder = join(await fs.mkdtemp(join(inject("runFolder"), "launcher-")), name);
  await fs.mkdir(folder);
  await fs.chmod(join(folder, ".."), 0o755);
  onTestFinished(() => fs.rm(join(folder, ".."), { recursive: true, force: true }));
  return folder;
}

type Launched = ChildProcessWithoutNullStreams & { output: string; complaint: string };
type LaunchOptions = {
  cwd?: string;
  env?: Record<string, string>;
  /** What the launcher takes its own Node for. */
  nodeVersion?: string;
  /** The body of a script that stands in for npm; it has `fs`, `path` and `root`. */
  npm?: string;
  uid?: number;
  node?: string;
};

function launch(checkout: string, program: string, words: string[], options: LaunchOptions = {}): Launched {
  const { NODE_OPTIONS: _ours, npm_execpath: _npm, ...inherited } = process.env;
  const env: NodeJS.ProcessEnv = { ...inherited, ...options.env };
  const flags: string[] = [];
  if (options.nodeVersion !== undefined) {
    const pretence = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: ${JSON.stringify(options.nodeVersion)} } });`;
    flags.push("--import", `data:text/javascript,${encodeURIComponent(pretence)}`);
  }
  if (options.npm !== undefined) env.npm_execpath = standInForNpm(checkout, options.npm);
  const child = spawn(options.node ?? process.execPath, [...flags, join(checkout, "bin", program), ...words], {
    cwd: options.cwd ?? checkout,
    env,
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  return listenTo(child);
}

function listenTo(child: ChildProcessWithoutNullStreams): Launched {
  onTestFinished(() => void child.kill("SIGKILL"));
  const launched = Object.assign(child, { output: "", complaint: "" });
  child.stdout.setEncoding("utf8").on("data", (text: string) => (launched.output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (launched.complaint += text));
  return launched;
}

async function end(launched: Launched) {
  const [exitCode, signal] = (await once(launched, "close")) as [number | null, NodeJS.Signals | null];
  return { exitCode, signal, output: launched.output, complaint: launched.complaint };
}

async function firstLine(launched: Launched): Promise<void> {
  await eventually(() => launched.output.includes("\n"));
}

let standIns = 0;

function standInForNpm(checkout: string, body: string): string {
  const file = join(checkout, `npm-${++standIns}`, "npm-cli.js");
  mkdirSync(join(file, ".."));
  const script = `
    import fs from "node:fs";
    import path from "node:path";
    const root = process.cwd();
    fs.appendFileSync(path.join(root, "npm-runs"), process.argv.slice(2).join(" ") + "\\n");
    ${body}`;
  writeFileSync(file, script);
  return file;
}

/** The words of each time that npm was called. */
async function npmRuns(checkout: string): Promise<string[]> {
  const text = await fs.readFile(join(checkout, "npm-runs"), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}
