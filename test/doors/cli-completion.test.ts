import { execFile, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher } from "../support/pusher.ts";
import { standInBuilder, standInRuntime } from "../support/stand-ins.ts";
import { type Desk, openDesk } from "./cli-harness.ts";

const bin = join(import.meta.dirname, "../../bin");

let platform: TestPlatform;
let url: string;
let desk: Desk;

beforeAll(async () => {
  platform = await testPlatform({ overrides: { builder: standInBuilder(), runtime: standInRuntime() } });
  url = `http://localhost:${platform.port}`;
  for (const app of ["shop", "shop-two", "blog"]) await platform.ask("apps:create", { app });
  await using pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
  await pusher.commit({ "a.txt": "a" });
  expect((await pusher.push("main")).exitCode).toBe(0);
});
afterAll(() => platform?.[Symbol.asyncDispose]());
beforeEach(async () => {
  desk = await openDesk();
});
afterEach(() => desk[Symbol.asyncDispose]());

const logIn = () => desk.zyndra(`login ${url} --token ${platform.token}`);
const git = (...args: string[]) => execFileSync("git", args, { cwd: desk.work, env: identity() });
const identity = () => ({
  PATH: process.env.PATH,
  HOME: desk.folder,
  GIT_AUTHOR_NAME: "Ana",
  GIT_AUTHOR_EMAIL: "ana@example.org",
  GIT_COMMITTER_NAME: "Ana",
  GIT_COMMITTER_EMAIL: "ana@example.org",
});

/** What the last word of a line may become; a space at the end begins a new one. */
async function candidates(line: string, shell = "bash"): Promise<string[]> {
  const { code, out, err } = await desk.zyndra(["completion:candidates", shell, "--", ...line.split(" ")]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out.split("\n").slice(0, -1);
}

describe("what a word may become", () => {
  test("before any login are this program's own commands", async () => {
    expect(await candidates("lo")).toEqual(["login", "logout"]);
    expect(await candidates("ps")).toEqual([]);
    expect(await candidates("")).not.toContain("git:credential");
    expect(await candidates("completion ")).toEqual(["bash", "zsh", "fish"]);
  });

  test("are the server's commands, by all of their names", async () => {
    await logIn();
    expect(await candidates("ps:s")).toEqual(expect.arrayContaining(["ps:scale"]));
    expect(await candidates("sca")).toEqual(["scale"]);
    expect(await candidates("help ps:sc")).toEqual(["ps:scale"]);
    expect(await candidates("shpo ")).toEqual([]);
  });

  test("are apps where an app may stand, and not where a new one is named", async () => {
    await logIn();
    expect(await candidates("logs sh")).toEqual(["shop", "shop-two"]);
    expect(await candidates("open ")).toEqual(["blog", "shop", "shop-two"]);
    expect(await candidates("logs --app b")).toEqual(["blog"]);
    expect(await candidates("logs -a b")).toEqual(["blog"]);
    expect(await candidates("logs --app=b")).toEqual(["--app=blog"]);
    expect(await candidates("apps:create ")).toEqual([]);
    expect(await candidates("logs shop ")).toEqual([]);
  });

  test("are flags of the command, and those that every command has", async () => {
    await logIn();
    expect(await candidates("logs --t")).toEqual(["--tail"]);
    expect(await candidates("logs shop --")).toEqual(expect.arrayContaining(["--tail", "--app", "--json", "--server"]));
    expect(await candidates("login --t")).toEqual(["--token"]);
    expect(await candidates("login --token ")).toEqual([]);
    expect(await candidates("--js")).toEqual(["--json"]);
  });

  test("are process types to scale, servers to use, branches to deploy", async () => {
    await logIn();
    expect(await candidates("ps:scale shop ")).toEqual(["web=", "worker="]);
    expect(await candidates("scale shop web=2 wo")).toEqual(["worker="]);
    expect(await candidates("servers:use local")).toEqual([`localhost:${platform.port}`]);
    expect(await candidates("apps --server l")).toEqual([`localhost:${platform.port}`]);
    git("init", "--quiet", "--initial-branch=main");
    git("commit", "--quiet", "--allow-empty", "--message", "x");
    git("branch", "feature/hats");
    expect(await candidates("deploy shop fea")).toEqual(["feature/hats"]);
  });

  test("are config vars, releases, add-ons and tokens by their names", async () => {
    await logIn();
    await platform.ask("config:set", { app: "blog", vars: ["LOG_LEVEL=debug"] });
    expect(await candidates("config:unset blog ")).toEqual(["LOG_LEVEL"]);
    expect(await candidates("config:get --app blog LO")).toEqual(["LOG_LEVEL"]);
    expect(await candidates("releases:rollback shop ")).toEqual(["v1"]);
    expect(await candidates("tokens:revoke s")).toEqual(["setup"]);
    expect(await candidates("addons:info ")).toEqual([]);
    expect(await candidates("volumes:create ")).toEqual([]);
    expect(await candidates("ps:restart shop w")).toEqual(["web", "worker"]);
  });

  test("in a folder with an app may be left out, and what comes next is completed as well", async () => {
    await logIn();
    git("init", "--quiet", "--initial-branch=main");
    await desk.zyndra("git:remote shop");
    expect(await candidates("ps:scale ")).toEqual(["web=", "worker=", "blog", "shop", "shop-two"]);
    expect(await candidates("ps:scale web=1 w")).toEqual(["web=", "worker="]);
    expect(await candidates("ps:scale blog w")).toEqual([]);
  });

  test("are never what a shell would run", async () => {
    await logIn();
    git("init", "--quiet", "--initial-branch=main");
    git("commit", "--quiet", "--allow-empty", "--message", "x");
    for (const branch of ["good", "$(id)", "a;b", "`a`", "a'b", "a&b"]) git("branch", branch);
    expect((await candidates("deploy shop ")).sort()).toEqual(["good", "main"]);
  });

  test("are drawn as each shell wants them", async () => {
    await logIn();
    const [fish] = await candidates("ps:sc", "fish");
    expect(fish).toMatch(/^ps:scale\tChange how many/);
    const [zsh] = await candidates("ps:sc", "zsh");
    expect(zsh).toMatch(/^sps\\:scale:Change how many/);
    expect(await candidates("ps:scale shop web", "zsh")).toEqual(["oweb=:process type"]);
  });
});

describe("what is kept", () => {
  const kept = async (kind: string) => {
    const folder = join(desk.folder, "cache", "zyndra");
    const [name] = (await readdir(folder)).filter((each) => each.startsWith(kind));
    return name === undefined ? undefined : join(folder, name);
  };

  test("answers for a server that is away, for this user alone", async () => {
    await logIn();
    await candidates("logs sh");
    expect((await stat((await kept("apps"))!)).mode & 0o777).toBe(0o600);
    const gone = await testPlatform({ overrides: { builder: standInBuilder(), runtime: standInRuntime() } });
    const goneUrl = `http://localhost:${gone.port}`;
    await gone.ask("apps:create", { app: "wiki" });
    await desk.zyndra(`login ${goneUrl} --token ${gone.token}`);
    expect(await candidates("logs w")).toEqual(["wiki"]);
    await gone[Symbol.asyncDispose]();
    expect(await candidates("logs w")).toEqual(["wiki"]);
    expect(await candidates("scal")).toEqual(["scale"]);
  });

  test("of apps is forgotten when a command has changed them", async () => {
    await logIn();
    expect(await candidates("logs h")).toEqual([]);
    await desk.zyndra("apps:create hats");
    expect(await candidates("logs h")).toEqual(["hats"]);
    await desk.zyndra("apps:destroy hats --confirm hats");
  });

  test("of commands is renewed in the background once it is a day old", async () => {
    await logIn();
    await candidates("ps");
    const path = (await kept("commands"))!;
    await writeFile(path, "[]");
    const yesterday = new Date(Date.now() - 25 * 60 * 60_000);
    await utimes(path, yesterday, yesterday);
    // The background knows nothing of this test's folders, but for what its environment says.
    const before = { ...process.env };
    Object.assign(process.env, {
      XDG_CONFIG_HOME: join(desk.folder, "config"),
      XDG_CACHE_HOME: join(desk.folder, "cache"),
    });
    try {
      expect(await candidates("scal")).toEqual([]);
    } finally {
      process.env = before;
    }
    await eventually(async () => expect(await candidates("scal")).toEqual(["scale"]));
  });

  test("help renews it, too", async () => {
    await logIn();
    await desk.zyndra("help");
    expect(await kept("commands")).toBeDefined();
  });
});

describe("completion", () => {
  test("says how to have it; a shell that is not known is refused", async () => {
    const { code, out } = await desk.zyndra("completion");
    expect(code).toBe(0);
    expect(out).toContain("zyndra completion bash > ");
    expect(out).toContain("~/.config/fish/completions/zyndra.fish");
    expect(await desk.zyndra("completion csh")).toMatchObject({
      code: 2,
      err: 'error: "csh" is not a shell that can be told how to complete\nhint: these can: bash, zsh, fish\n',
    });
    expect((await desk.zyndra("completion zsh")).out).toMatch(/^#compdef zyndra\n# Completion of zyndra's words/);
  });
});

const bash = ["/bin/bash", "/usr/bin/bash", "/opt/homebrew/bin/bash"].find((path) => existsSync(path));

describe.runIf(bash)("in bash", () => {
  beforeEach(async () => {
    await logIn();
    await mkdir(join(desk.folder, "shell"));
    await writeFile(script(), (await desk.zyndra("completion bash")).out);
  });

  const script = () => join(desk.folder, "shell", "completion.bash");
  const environment = () => ({
    PATH: `${bin}:${process.env.PATH}`,
    HOME: desk.folder,
    XDG_CONFIG_HOME: join(desk.folder, "config"),
    XDG_CACHE_HOME: join(desk.folder, "cache"),
    TERM: "dumb",
    PS1: "> ",
  });

  /** What the function puts in the place of the last part of a line, as bash has taken it apart. */
  function replies(line: string, setUp = ":"): Promise<string[]> {
    const program = `${setUp}; source "$1"; COMP_LINE="$2"; COMP_POINT=\${#2}; _zyndra; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const args = ["--norc", "-c", program, "bash", script(), line];
    return new Promise((resolve, reject) => {
      execFile(bash!, args, { cwd: desk.work, env: environment() }, (error, out, complaint) => {
        if (error ?? complaint) reject(error ?? new Error(complaint));
        else resolve(out.split("\n").filter((each) => each !== ""));
      });
    });
  }

  test("a colon and an equals sign are seen as bash sees them, with and without them among its word breaks", async () => {
    expect(await replies("zyndra ps:sc")).toEqual(["scale"]);
    expect(await replies("zyndra ps:sc", 'COMP_WORDBREAKS=" "')).toEqual(["ps:scale"]);
    expect(await replies("zyndra logs --app=sh")).toEqual(["shop", "shop-two"]);
    expect(await replies("zyndra ps:scale shop ")).toEqual(["web=", "worker="]);
    expect(await replies("zyndra --server localhost:")).toEqual([String(platform.port)]);
    expect(await replies("zyndra nonsense ")).toEqual([]);
  });

  test("the Tab key writes a whole command, which then does what it says", { timeout: 120_000 }, async (context) => {
    const hasScript = existsSync("/usr/bin/script");
    if (!hasScript) context.skip("there is no util-linux script here to make a terminal with");
    const shell = spawn("script", ["--quiet", "--return", "--command", `${bash} --norc --noprofile -i`, "/dev/null"], {
      cwd: desk.work,
      env: environment(),
    });
    let screen = "";
    shell.stdout.on("data", (chunk) => (screen += chunk));
    const until = (text: string) =>
      eventually(() => screen.includes(text), { withinMs: 30_000, what: `${text} in:\n${screen}` });
    try {
      shell.stdin.write(`bind 'set enable-bracketed-paste off'; source ${script()}; echo "ready"$((1+1))\n`);
      await until("ready2");
      shell.stdin.write("zyndra ps:sc\t");
      await until("zyndra ps:scale ");
      shell.stdin.write("bl\t");
      await until("zyndra ps:scale blog ");
      shell.stdin.write("\x15zyndra apps:in\t");
      await until("zyndra apps:info ");
      shell.stdin.write("shop-\t\n");
      await until("zyndra apps:info shop-two ");
      await until(`http://shop-two.test`);
    } finally {
      shell.stdin.end("\x15exit\n");
      shell.kill("SIGTERM");
    }
  });
});
