import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, cp, lstat, mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ask, Refusal, Unreachable } from "./cli/api-client.ts";
import { UserError } from "./errors.ts";
import { duration } from "./model/deploy.ts";

/*
 * `npm run demo`: a whole Zyndra of its own, an app pushed to it with the real git, and the page that came of it; up until
 * Ctrl-C. All it makes lies in one folder, which is made fresh and removed at the end.
 */

const startedAt = Date.now();
const checkout = dirname(import.meta.dirname);
const platformProgram = join(import.meta.dirname, `main${import.meta.filename.slice(-3)}`);

const startWithinMs = 120_000;
const stopWithinMs = 10_000;
const pageWithinMs = 10_000;
/** Where the times of the steps end. */
const timeColumn = 76;

// A terminal that was closed is no reason to leave anything behind.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (stopping.signal.aborted) say("Still ending what the demo has started.");
    else stopping.abort(signal);
  });
}

process.exitCode = await runDemo(Number(process.env.PORT || 7878));

/** Answers the exit code: 0 after a demo that someone ended, 1 where it could not be shown, 130 where it was ended before. */
async function runDemo(port: number): Promise<number> {
  let demo: Demo | undefined;
  let code = 0;
  try {
    demo = await begin(port);
    await show(demo);
    await untilStopped(demo);
  } catch (error) {
    code = stopping.signal.aborted ? 130 : 1;
    if (!stopping.signal.aborted) await explain(error, demo);
  }
  if (demo) await end(demo);
  return code;
}

type Demo = {
  port: number;
  url: string;
  /** Holds all that the demo makes. */
  folder: string;
  dataDir: string;
  logPath: string;
  platform: ChildProcess | undefined;
  /** Whether it has taken requests. */
  isUp: boolean;
};

// --- The story

async function show(demo: Demo): Promise<void> {
  const { url, port } = demo;
  say(`Zyndra's demo. Everything it makes lies in ${shown(demo.folder)} and goes at the end.`);
  say("");
  const { code } = await timed(`Zyndra is up at ${url}`, () => startPlatform(demo));
  const { token } = await timed("it has an owner: ana", () =>
    ask<{ token: string }>(
      { url, version: "demo" },
      { method: "POST", path: "/api/setup", body: { code, name: "ana" } },
      stopping.signal,
    ),
  );
  const server = { url, token, version: "demo" };
  await timed("the app hello is made", () =>
    ask(server, { method: "POST", path: "/api/words", body: { words: ["apps:create", "hello"] } }, stopping.signal),
  );
  const repository = await timed(`${shown(join(checkout, "examples", "hello"))} is copied and committed`, () =>
    commitHello(demo, token),
  );

  say("");
  say("$ git push zyndra main");
  await push(repository);
  say("");

  const page = await timed("the page is fetched", () => fetchPage(port));
  say("");
  say(`GET / answers ${page.status}: ${page.title}`);
  say(`From the start to the live page: ${duration(Date.now() - startedAt)}`);
  say("");
  say(`  in a browser   http://hello.localhost:${port}/`);
  say(`  with curl      curl -H 'Host: hello.localhost' http://127.0.0.1:${port}/`);
  say("");
  say("An app of your own, from its git repository, in another terminal:");
  say("");
  say(`  export PATH="${join(checkout, "bin")}:$PATH"`);
  say(`  export ZYNDRA_URL=${url} ZYNDRA_TOKEN=${token}`);
  say("  zyndra apps:create shop");
  say("  zyndra git:remote shop");
  say("  git push zyndra HEAD:main");
  say("");
  say("Ctrl-C ends it all.");
}

/** Waits for Ctrl-C. @throws UserError where the platform ends before */
async function untilStopped({ platform }: Demo): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stopping.signal.addEventListener("abort", () => resolve(), { once: true });
    platform?.once("exit", (code, signal) => {
      if (!stopping.signal.aborted)
        reject(new UserError("unavailable", `Zyndra has ended by itself (${signal ?? `exit ${code}`})`));
    });
    if (stopping.signal.aborted) resolve();
  });
}

/** Ends all that was started, also apps and the database, which would outlive their platform; then the folder goes. */
async function end(demo: Demo): Promise<void> {
  say("");
  say("Ending what the demo has started ...");
  const beganAt = Date.now();
  try {
    // A platform that is up is asked to end in its own order; one that is still starting has none yet.
    if (!demo.isUp) await kill(demo.platform, "SIGTERM");
    await stopLeftovers(demo.dataDir);
    await kill(demo.platform, "SIGKILL");
    await rm(demo.folder, { recursive: true, force: true, maxRetries: 5 });
    say(`All of it has ended, and ${shown(demo.folder)} is gone (${duration(Date.now() - beganAt)}).`);
  } catch (error) {
    complain(
      `not all could be removed: ${(error as Error).message}`,
      `the next demo tries again; the folder is ${demo.folder}`,
    );
  }
}

/** Ends the platform's process with all children that are still of its group. Nothing running is no fault. */
async function kill(platform: ChildProcess | undefined, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (platform?.pid === undefined || platform.exitCode !== null || platform.signalCode !== null) return;
  const ended = once(platform, "exit");
  process.kill(-platform.pid, signal);
  const impatient = setTimeout(() => platform.kill("SIGKILL"), stopWithinMs);
  await ended;
  clearTimeout(impatient);
}

// --- The folder and the port

/** Takes the folder and looks at the port. @throws UserError where another demo or another program is in the way */
async function begin(port: number): Promise<Demo> {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new UserError("bad_input", "PORT must be a number from 1 to 65535", "PORT=7979 npm run demo");
  }
  const folder = await takeFolder();
  const demo: Demo = {
    port,
    url: `http://localhost:${port}`,
    folder,
    dataDir: join(folder, "data"),
    logPath: join(folder, "zyndra.log"),
    platform: undefined,
    isUp: false,
  };
  try {
    await assertPortFree(port);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return demo;
}

/** The demo's folder, empty: what a demo that was killed has left there is ended first. */
async function takeFolder(): Promise<string> {
  const folder = await writableFolder();
  const pidPath = join(folder, "demo.pid");
  const pid = Number(await readFile(pidPath, "utf8").catch(() => ""));
  if (pid > 0 && (await isDemo(pid))) {
    throw new UserError("conflict", `a demo runs here already (pid ${pid})`, "Ctrl-C in its terminal ends it");
  }
  const dataDir = join(folder, "data");
  if (await lstat(dataDir).catch(() => undefined)) {
    say("A demo before this one was killed: ending what it has left ...");
    await stopLeftovers(dataDir);
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(pidPath, String(process.pid));
  return folder;
}

/** In the checkout where one may write there, else one of this user's own among the temporary files. */
async function writableFolder(): Promise<string> {
  const inCheckout = join(checkout, ".zyndra", "demo");
  try {
    await mkdir(inCheckout, { recursive: true, mode: 0o700 });
    return inCheckout;
  } catch (error) {
    if (!["EACCES", "EROFS", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
  const userId = process.getuid?.() ?? 0;
  const elsewhere = join(tmpdir(), `zyndra-demo-${userId}`);
  await mkdir(elsewhere, { recursive: true, mode: 0o700 });
  // Among temporary files a folder of that name could be another's, or a link.
  const found = await lstat(elsewhere);
  if (found.isDirectory() && found.uid === userId) return elsewhere;
  throw new UserError(
    "conflict",
    `${elsewhere} is not a folder of yours`,
    "TMPDIR=FOLDER npm run demo uses another place",
  );
}

/** Whether a process is a demo: the number of one that was killed may be anybody's by now. */
async function isDemo(pid: number): Promise<boolean> {
  if (pid === process.pid) return false;
  const { stdout } = await output("ps", ["-o", "command=", "-p", String(pid)]).catch(() => ({ stdout: "" }));
  const text = stdout || (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""));
  return text.includes(import.meta.filename);
}

function assertPortFree(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      const hint = `choose another: PORT=${port < 65_535 ? port + 1 : 7878} npm run demo`;
      if (error.code === "EADDRINUSE")
        reject(new UserError("conflict", `port ${port} is taken by another program`, hint));
      else if (error.code === "EACCES")
        reject(new UserError("forbidden", `port ${port} needs rights that this user does not have`, hint));
      else reject(error);
    });
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve()));
  });
}

// --- The platform

/** Starts the platform on its embedded defaults and waits until it takes requests; answers the code that makes the owner. */
async function startPlatform(demo: Demo): Promise<{ code: string }> {
  await mkdir(demo.dataDir, { mode: 0o700 });
  // A file, not a pipe: the platform is not to stumble if this process is killed.
  const log = await open(demo.logPath, "a", 0o600);
  try {
    const environment = {
      ...withoutSettings(process.env),
      PORT: String(demo.port),
      HOST: "127.0.0.1",
      ZYNDRA_DATA: demo.dataDir,
    };
    // In a group of its own, since Ctrl-C goes to the whole group of the terminal: the demo ends it in its own time.
    demo.platform = spawn(process.execPath, [platformProgram], {
      detached: true,
      env: environment,
      stdio: ["ignore", log.fd, log.fd],
    });
    await once(demo.platform, "spawn");
  } finally {
    await log.close();
  }
  const deadline = Date.now() + startWithinMs;
  while (Date.now() < deadline) {
    stopping.signal.throwIfAborted();
    const greeting = parseGreeting(await readFile(demo.logPath, "utf8"));
    if (greeting) {
      demo.isUp = true;
      return greeting;
    }
    if (demo.platform.exitCode !== null || demo.platform.signalCode !== null) {
      throw new UserError("unavailable", "Zyndra could not start");
    }
    await delay(30);
  }
  throw new UserError("unavailable", `Zyndra was not up after ${duration(startWithinMs)}`);
}

/** What the platform's start prints once it is up: `Zyndra is up at URL`, then the line with the code. */
function parseGreeting(text: string): { code: string } | undefined {
  if (!/^Zyndra is up at \S+/m.test(text)) return undefined;
  const [, code] = /^\s*zyndra setup \S+ (\S+)$/m.exec(text) ?? [];
  return code === undefined ? undefined : { code };
}

/** Ends a platform that still runs on a folder, its apps and its database. Nothing there is no fault. */
async function stopLeftovers(dataDir: string): Promise<void> {
  const environment = { ...withoutSettings(process.env), ZYNDRA_DATA: dataDir };
  await output(process.execPath, [platformProgram, "stop", "--all"], { env: environment, timeout: 60_000 });
}

/** The demo runs on the defaults, whatever is set for another Zyndra on this machine. */
function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const settings =
    /^(ZYNDRA_.*|PORT|HOST|LOG_LEVEL|DATABASE_URL|REDIS_URL|PG.*|GIT_.*|BUILDER|RUNTIME|KUBECONFIG|SLACK_.*|GITHUB_.*)$/;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !settings.test(name)));
}

// --- The push

type Repository = { folder: string; environment: NodeJS.ProcessEnv };

/** A repository with a copy of the example as its first commit, and the remote to push it to. */
async function commitHello(demo: Demo, token: string): Promise<Repository> {
  const folder = join(demo.folder, "hello");
  await cp(join(checkout, "examples", "hello"), folder, { recursive: true });
  // A bare machine's git knows no author; a lived-in one has hooks, signing and proxies that are not meant for this.
  const author = { name: "ana", email: "ana@example.org" };
  const environment = {
    ...withoutSettings(process.env),
    HOME: demo.folder,
    XDG_CONFIG_HOME: demo.folder,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    GIT_COMMITTER_NAME: author.name,
    GIT_COMMITTER_EMAIL: author.email,
  };
  const git = (...args: string[]) => output("git", args, { cwd: folder, env: environment }).catch(asSentence);
  await git("init", "--quiet");
  await git("symbolic-ref", "HEAD", "refs/heads/main");
  await git("add", "--all");
  await git("commit", "--quiet", "--message", "Say hello");
  await git("remote", "add", "zyndra", `${demo.url}/hello.git`);
  // Written, not given on a command line, where every user of the machine could read it.
  const basic = Buffer.from(`ana:${token}`).toString("base64");
  await appendFile(
    join(folder, ".git", "config"),
    `[http]\n\textraHeader = Authorization: Basic ${basic}\n\tproxy =\n`,
  );
  return { folder, environment };
}

/** The real git with this terminal: what it shows is what every pusher sees. */
async function push({ folder, environment }: Repository): Promise<void> {
  const git = spawn("git", ["push", "zyndra", "main"], {
    cwd: folder,
    env: environment,
    stdio: ["ignore", "inherit", "inherit"],
  });
  const [code] = (await once(git, "exit")) as [number | null];
  stopping.signal.throwIfAborted();
  if (code !== 0) throw new UserError("unavailable", `the push did not succeed (git ended with ${code ?? "a signal"})`);
}

function asSentence(error: NodeJS.ErrnoException & { stderr?: string }): never {
  stopping.signal.throwIfAborted();
  if (error.code === "ENOENT")
    throw new UserError("unavailable", "git is not installed on this machine", "on Debian: apt-get install git");
  throw new UserError("unavailable", `git failed: ${(error.stderr || error.message).trim().split("\n").at(-1)}`);
}

/** The app's page, asked for as a browser does. Node resolves no NAME.localhost: the name goes into the Host header. */
async function fetchPage(port: number): Promise<{ status: number; title: string }> {
  const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(pageWithinMs)]);
  return new Promise((resolve, reject) => {
    const asked = get(
      { host: "127.0.0.1", port, path: "/", headers: { host: `hello.localhost:${port}` }, signal, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("error", reject);
        response.on("end", () => {
          const status = response.statusCode ?? 0;
          if (status === 200) resolve({ status, title: titleOf(text) });
          else reject(new UserError("unavailable", `the page answers HTTP ${status}`));
        });
      },
    );
    asked.on("error", reject);
  });
}

function titleOf(page: string): string {
  const [, heading] = /<h1[^>]*>(.*?)<\/h1>/is.exec(page) ?? /<title>(.*?)<\/title>/is.exec(page) ?? [];
  return (heading ?? page)
    .replace(/<[^>]*>/g, "")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 70);
}

// --- What is said

/** Does a step and says it with the time that it took. */
async function timed<T>(what: string, act: () => Promise<T>): Promise<T> {
  const beganAt = Date.now();
  const done = await act();
  const took = duration(Date.now() - beganAt);
  say(`  ${what.padEnd(timeColumn - took.length - 2)}${took}`);
  return done;
}

/** Says what went wrong; where it is the platform's, with the last lines of its log. */
async function explain(error: unknown, demo: Demo | undefined): Promise<void> {
  const isTold = error instanceof UserError || error instanceof Refusal || error instanceof Unreachable;
  if (isTold) complain(error.message, error.hint);
  else complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
  if (demo?.platform === undefined) return;
  const text = await readFile(demo.logPath, "utf8").catch(() => "");
  const lines = text.trimEnd().split("\n").slice(-15).map(logLine);
  if (text !== "") complain(`the last lines of Zyndra's log:\n${lines.map((line) => `       ${line}`).join("\n")}`);
}

/** A line of the log for reading: what was said, and why. */
function logLine(line: string): string {
  try {
    const { msg, err, time } = JSON.parse(line) as { msg?: string; err?: { message?: string }; time?: string };
    return [time?.slice(11, 19), msg, err?.message && `(${err.message})`].filter(Boolean).join(" ");
  } catch {
    return line;
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function complain(message: string, hint?: string): void {
  process.stderr.write(`error: ${message}\n${hint === undefined ? "" : `hint: ${hint}\n`}`);
}

/** A path as one would type it here. */
function shown(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith("..") ? path : fromHere || ".";
}

type Ran = { stdout: string; stderr: string };

function output(
  program: string,
  args: string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; timeout?: number } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { ...options, encoding: "utf8" }, (error, stdout, stderr) => {
      if (error) reject(Object.assign(error, { stderr }));
      else resolve({ stdout, stderr });
    });
  });
}
