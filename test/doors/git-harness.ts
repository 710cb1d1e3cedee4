import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../../src/errors.ts";
import { createGitDoor, type GitDoor, gitServerSettings } from "../../src/git-receiver/git/git-door.ts";
import type { GitLimits } from "../../src/git-receiver/git/limits.ts";
import { packet } from "../../src/git-receiver/git/pkt-line.ts";
import { isZeroId, type Push, type ReceiverPolicy, type RefVerdict } from "../../src/git-receiver/git/push.ts";
import type { TransportName } from "../../src/git-receiver/git/transport.ts";
import { openLog } from "../../src/log.ts";
import type { Actor } from "../../src/model/actor.ts";
import { openRepos, type Repos } from "../../src/repos/repos.ts";

export const goodToken = "zyt_good";

/** What an app does with a push: by default main is moved at once and everything else is stored. */
export type Behaviour = {
  check?: (push: Push) => Promise<void>;
  receive?: ReceiverPolicy["receive"];
};

export type Receiver = {
  door: GitDoor;
  repos: Repos;
  port: number;
  /** Pushes that the policy has seen, oldest first. */
  seen: Push[];
  newApp(behaviour?: Behaviour, prefix?: string): Promise<TestApp>;
  /** The command lines of its gits and hooks that run now. */
  processes(): string[];
  close(): Promise<void>;
};

export type TestApp = { appId: string; name: string; gitDir: string; url: string; bareUrl: string };

export async function startReceiver(transport: TransportName, limits: Partial<GitLimits> = {}): Promise<Receiver> {
  const dataDir = await mkdtemp(join(tmpdir(), "zyndra-git-"));
  const log = openLog("silent");
  const repos = await openRepos({ dataDir, log });
  const apps = new Map<string, { appId: string; behaviour: Behaviour }>();
  const seen: Push[] = [];

  const policy: ReceiverPolicy = {
    async authenticate({ authorization }) {
      if (!carriesGoodToken(authorization))
        throw new UserError("unauthenticated", "this token is not known", "zyndra login makes one");
      return ana;
    },
    async openRepository(_actor, name, need) {
      const app = apps.get(name);
      if (!app) throw new UserError("not_found", `No app is called "${name}"`, "`zyndra apps` lists what there is.");
      if (need === "push" && name.startsWith("readonly")) throw new UserError("forbidden", "viewers cannot push");
      return { appId: app.appId, appName: name, gitDir: repos.gitDir(app.appId) };
    },
    async checkPush(push) {
      seen.push(push);
      await apps.get(push.appName)?.behaviour.check?.(push);
    },
    async receive(push, say, signal) {
      const receive = apps.get(push.appName)?.behaviour.receive;
      return receive ? receive(push, say, signal) : storeAll(repos, push);
    },
  };
  const door = await createGitDoor({
    policy,
    git: repos.git,
    gitFolder: repos.gitFolder,
    transport,
    processEnvironment: process.env,
    limits,
    log,
  });
  const server = createServer(gitServerSettings, (request, response) => {
    if (!door.handle(request, response)) response.writeHead(418).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  let count = 0;

  return {
    door,
    repos,
    port,
    seen,
    processes: () => processesOf(dataDir),
    async newApp(behaviour = {}, prefix = "app") {
      const appId = randomUUID();
      const name = `${prefix}${++count}`;
      apps.set(name, { appId, behaviour });
      const gitDir = await repos.ensureRepo(appId);
      return {
        appId,
        name,
        gitDir,
        url: `http://any:${goodToken}@127.0.0.1:${port}/${name}.git`,
        bareUrl: `http://127.0.0.1:${port}/${name}.git`,
      };
    },
    async close() {
      await door.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function carriesGoodToken(authorization = ""): boolean {
  const [scheme, credentials = ""] = authorization.split(" ");
  if (scheme === "Bearer") return credentials === goodToken;
  return scheme === "Basic" && Buffer.from(credentials, "base64").toString().endsWith(`:${goodToken}`);
}

const ana: Actor = { userId: "u1", name: "ana", orgId: "o1", role: "developer", door: "git" };

/** What the platform does with a deploy that goes well, without the deploy. */
export async function storeAll(repos: Repos, push: Push): Promise<RefVerdict[]> {
  return Promise.all(
    push.updates.map(async ({ ref, oldId, newId }): Promise<RefVerdict> => {
      if (ref !== "refs/heads/main") return { ref, ok: true, fallThrough: true };
      if (isZeroId(newId)) return { ref, ok: false, reason: "main is deployed and stays" };
      const outcome = await repos.moveRef(push.appId, ref, newId, isZeroId(oldId) ? null : oldId);
      return outcome === "changed" ? { ref, ok: false, reason: "main moved" } : { ref, ok: true };
    }),
  );
}

export type GitResult = { code: number | null; stdout: string; stderr: string };
export type RunningGit = { child: ChildProcess; stderr(): string; result: Promise<GitResult> };

/** A pusher's machine: a folder with a working repository and a home without any configuration. */
export type Workplace = {
  folder: string;
  git(...args: string[]): Promise<GitResult>;
  /** As `git`, and must succeed: answers its trimmed output. */
  ok(...args: string[]): Promise<string>;
  start(...args: string[]): RunningGit;
  /** Writes a file and commits it; answers the commit. */
  commit(name: string, content: string | Buffer): Promise<string>;
  remove(): Promise<void>;
};

export async function openWorkplace(): Promise<Workplace> {
  const home = await mkdtemp(join(tmpdir(), "zyndra-pusher-"));
  const folder = join(home, "work");
  await mkdir(folder);
  const environment = clientEnvironment(home);
  const start = (...args: string[]) => startGit(args, folder, environment);
  const git = (...args: string[]) => start(...args).result;
  const ok = async (...args: string[]) => {
    const { code, stdout, stderr } = await git(...args);
    if (code !== 0) throw new Error(`git ${args.join(" ")} exited ${code}: ${stderr}`);
    return stdout.trim();
  };
  await ok("init", "--quiet", "--initial-branch=main");
  return {
    folder,
    git,
    ok,
    start,
    async commit(name, content) {
      await writeFile(join(folder, name), content);
      await ok("add", name);
      await ok("commit", "--quiet", "-m", `Add ${name}`);
      return ok("rev-parse", "HEAD");
    },
    remove: () => rm(home, { recursive: true, force: true }),
  };
}

function clientEnvironment(home: string): Record<string, string> {
  return {
    PATH: "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin",
    HOME: home,
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: "Ana",
    GIT_AUTHOR_EMAIL: "ana@example.org",
    GIT_COMMITTER_NAME: "Ana",
    GIT_COMMITTER_EMAIL: "ana@example.org",
  };
}

function startGit(args: string[], cwd: string, env: Record<string, string>): RunningGit {
  const child = spawn("git", args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const result = new Promise<GitResult>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
  return { child, stderr: () => stderr, result };
}

/** A request by hand: what a client sends that is not git. */
export function rawRequest(
  app: TestApp,
  options: { path: string; method?: string; headers?: Record<string, string>; auth?: boolean },
): {
  request: ReturnType<typeof httpRequest>;
  response: Promise<{ status: number; body: Buffer; head: IncomingMessage }>;
} {
  const url = new URL(`${app.bareUrl}${options.path}`);
  const authorization = options.auth === false ? {} : { authorization: `Bearer ${goodToken}` };
  const request = httpRequest({
    host: url.hostname,
    port: url.port,
    path: url.pathname + url.search,
    method: options.method ?? "POST",
    headers: { ...authorization, ...options.headers },
    agent: false,
  });
  const response = new Promise<{ status: number; body: Buffer; head: IncomingMessage }>((resolve, reject) => {
    request.once("error", reject);
    request.once("response", (head) => {
      const parts: Buffer[] = [];
      head.on("data", (part: Buffer) => parts.push(part));
      head.once("error", reject);
      head.once("end", () => resolve({ status: head.statusCode!, body: Buffer.concat(parts), head }));
    });
  });
  response.catch(() => {});
  return { request, response };
}

/** The body of a push as a client would send it. */
export async function pushBody(
  workplace: Workplace,
  updates: { ref: string; oldId?: string; newId: string }[],
  capabilities = "report-status side-band-64k",
): Promise<Buffer> {
  const commands = updates.map(({ ref, oldId, newId }, index) =>
    packet(`${oldId ?? zeroId} ${newId} ${ref}${index === 0 ? `\0${capabilities}` : ""}`),
  );
  const pack = await packOf(
    workplace,
    updates.map(({ newId }) => newId),
  );
  return Buffer.concat([...commands, Buffer.from("0000"), pack]);
}

export const zeroId: string = "0".repeat(40);
export const pushHeaders: Record<string, string> = { "content-type": "application/x-git-receive-pack-request" };

async function packOf(workplace: Workplace, ids: string[]): Promise<Buffer> {
  const child = spawn("git", ["pack-objects", "--revs", "--stdout", "-q"], { cwd: workplace.folder });
  const parts: Buffer[] = [];
  child.stdout.on("data", (part: Buffer) => parts.push(part));
  child.stdin.end(`${ids.join("\n")}\n`);
  await new Promise((resolve) => child.once("close", resolve));
  return Buffer.concat(parts);
}

/** Quarantines that git has left in a repository. */
export async function quarantines(gitDir: string): Promise<string[]> {
  return (await readdir(join(gitDir, "objects"))).filter((name) => name.includes("incoming-"));
}

/** The gits and hooks of a receiver that are still there, by the configuration file they were started with (Linux only). */
function processesOf(dataDir: string): string[] {
  if (process.platform !== "linux") return [];
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.flatMap((pid) => {
    try {
      const isOurs = readFileSync(`/proc/${pid}/environ`, "utf8").includes(`GIT_CONFIG_GLOBAL=${dataDir}/`);
      return isOurs ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}`] : [];
    } catch {
      return [];
    }
  });
}
