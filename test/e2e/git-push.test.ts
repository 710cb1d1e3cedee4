import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { brokenBuild, crashingApp, gatedApp, webApp } from "../support/apps.ts";
import { eventually } from "../support/eventually.ts";
import { getPage } from "../support/get-page.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";

let platform: TestPlatform;
let gates: string;
let appNumber = 0;

beforeAll(async () => {
  platform = await testPlatform();
  gates = await mkdtemp(join(tmpdir(), "zyndra-gates-"));
});

afterAll(async () => {
  await platform?.[Symbol.asyncDispose]();
  if (gates) await rm(gates, { recursive: true, force: true });
});

/** A fresh app, and a checkout whose remote it is. */
async function newApp(): Promise<{ name: string; url: string; pusher: Pusher }> {
  const name = `app${++appNumber}`;
  await platform.ask("apps:create", { app: name });
  return { name, url: urlOf(name), pusher: await newPusher(remoteOf(name, platform.token)) };
}

const urlOf = (name: string) => `http://${name}.localhost:${platform.port}`;
const remoteOf = (name: string, token: string) => `http://ana:${token}@127.0.0.1:${platform.port}/${name}.git`;
const openGate = (name: string) => writeFile(join(gates, name), "");
const bodyOf = async (url: string) => (await getPage(url)).body;
const listDeploys = async (app: string) =>
  (await platform.ask("deploys", { app })).data as {
    number: number;
    status: string;
    cause: { headline: string } | null;
  }[];

describe("a push", () => {
  test("puts an app on the air, and the next one replaces it", async () => {
    const { name, url, pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit(webApp("first"), "Sell hats");
    const first = await pusher.push("main");
    expect(first.output).toMatch(new RegExp(`remote: ${name}, deploy #1: [0-9a-f]{7} "Sell hats" by ana`));
    expect(first.output).toMatch(
      /remote: -----> Building\n[\s\S]*remote: -----> Releasing v1\n[\s\S]*remote: -----> Rolling out\n/,
    );
    expect(first.output).toMatch(new RegExp(`remote: success: ${name} v1 is live at ${url}`));
    expect(first.output).toContain("* [new branch]      main -> main");
    expect(first.exitCode).toBe(0);
    expect(await bodyOf(url)).toBe("first");

    await pusher.commit(webApp("second"));
    const second = await pusher.push("main");
    expect(second.output).toMatch(/success: \S+ v2 is live/);
    expect(second.exitCode).toBe(0);
    expect(await bodyOf(url)).toBe("second");
  });

  test("whose build fails is refused with the reason, and the old version keeps serving; mended, it goes through", async () => {
    const { url, pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit(webApp("good"));
    await pusher.push("main");
    await pusher.commit(brokenBuild());
    const refused = await pusher.push("main");
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toContain("compiling hats");
    expect(refused.output).toMatch(/remote: error: .*build.*\n/);
    expect(refused.output).toMatch(/! \[remote rejected\] main -> main \(.*build.*; v1 keeps serving\)/);
    expect(await bodyOf(url)).toBe("good");

    const again = await pusher.push("main");
    expect(again.exitCode).toBe(1);
    expect(again.output).toContain("deploy #3");

    await pusher.commit(webApp("mended"));
    expect((await pusher.push("main")).exitCode).toBe(0);
    expect(await bodyOf(url)).toBe("mended");
  });

  test("of an app that crashes at its start tells why, with its last lines", async () => {
    const { name, pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit(crashingApp());
    const refused = await pusher.push("main");
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toMatch(/remote: error: web crashes at start: Cannot find module 'express'/);
    expect(refused.output).toMatch(/remote: hint: .*npm install express/);
    expect(refused.output).toContain("! [remote rejected] main -> main (web crashes at start)");
    expect(await getPage(urlOf(name))).toMatchObject({
      status: 404,
      body: expect.stringContaining("git push zyndra main"),
    });
  });

  test("of what nothing is known about is refused, and says what was looked for", async () => {
    const { pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit({ "notes.txt": "hats\n" });
    const refused = await pusher.push("main");
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toMatch(/Procfile/);
    expect(refused.output).toMatch(/package\.json/);
  });

  test("the same commit again after a failure that had another cause goes through", async () => {
    const { name, url, pusher } = await newApp();
    await using _ = pusher;
    const app = webApp("needs a word");
    app["server.js"] =
      `if (!process.env.WORD) { console.error("WORD is not set"); process.exit(1); }\n${app["server.js"]}`;
    await pusher.commit(app);
    expect((await pusher.push("main")).exitCode).toBe(1);
    await platform.ask("config:set", { app: name, vars: ["WORD=hello-hats"] });
    const again = await pusher.push("main");
    expect(again.output).toMatch(/success: .* is live/);
    expect(again.exitCode).toBe(0);
    expect(await bodyOf(url)).toBe("needs a word");
  });

  test("of a branch that is not deployed is stored, and says what to type; deploy brings it to life", async () => {
    const { name, url, pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit(webApp("hats"));
    const stored = await pusher.push("main:feature/hats");
    expect(stored.exitCode).toBe(0);
    expect(stored.output).toContain(
      "hint: nothing is deployed from `feature/hats`; to deploy it: git push zyndra feature/hats:main",
    );
    expect(await listDeploys(name)).toEqual([]);
    await platform.ask("deploy", { app: name, ref: "feature/hats" });
    await eventually(async () => expect(await bodyOf(url)).toBe("hats"));
  });

  test("of tags is stored, a deletion of main is refused with what to do instead", async () => {
    const { name, pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit(webApp("tagged"));
    await pusher.push("main");
    await pusher.git("tag", "-a", "v1.0", "-m", "First");
    expect((await pusher.push("v1.0")).output).toContain("* [new tag]         v1.0 -> v1.0");
    const refused = await pusher.push("--delete", "main");
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toContain("! [remote rejected] main (main is what is deployed and cannot be deleted)");
    expect(refused.output).toContain(`zyndra apps:destroy ${name}`);
  });

  test("with -o detach is accepted as soon as it is queued, says how to follow, and the next push tells how it ended", async () => {
    const { name, url, pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit(webApp("detached"));
    const pushed = await pusher.push("-o", "detach", "main");
    expect(pushed.exitCode).toBe(0);
    expect(pushed.output).toContain(`deploy #1 is queued; how it goes: zyndra deploys:logs ${name} 1`);
    await eventually(async () => expect(await bodyOf(url)).toBe("detached"));
    await eventually(async () => expect(await listDeploys(name)).toMatchObject([{ status: "live" }]));

    await pusher.commit(brokenBuild());
    await pusher.push("-o", "detach", "main");
    await eventually(async () => expect((await listDeploys(name))[0]).toMatchObject({ number: 2, status: "failed" }));
    await pusher.commit(webApp("mended"));
    const next = await pusher.push("main");
    expect(next.output).toMatch(/remote: meanwhile deploy #2 ended: failed, .*build/);
    expect(next.output.match(/meanwhile deploy #2/g)).toHaveLength(1);
  });

  test("of paths that no program can handle is refused before anything is kept", async () => {
    const { name, pusher } = await newApp();
    await using _ = pusher;
    const blob = execFileSync("git", ["hash-object", "-w", "--stdin"], { cwd: pusher.folder, input: "x" })
      .toString()
      .trim();
    let tree = "";
    for (let depth = 0; depth < 600; depth++) {
      const entry = depth === 0 ? `100644 blob ${blob}\tf` : `040000 tree ${tree}\td`;
      tree = execFileSync("git", ["mktree"], { cwd: pusher.folder, input: `${entry}\n` })
        .toString()
        .trim();
    }
    const commit = (await pusher.git("commit-tree", "-m", "Deep", tree)).output.trim();
    const refused = await pusher.push(`${commit}:refs/heads/main`);
    expect(refused.output).toMatch(/the path d\/d\/\S+ is too long/);
    expect(refused.exitCode).toBe(1);
    expect(await listDeploys(name)).toEqual([]);
  });

  test("with an option that is not known is refused before anything is kept", async () => {
    const { name, pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit(webApp("x"));
    const refused = await pusher.push("-o", "detatch", "main");
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toContain("Did you mean -o detach?");
    expect(await listDeploys(name)).toEqual([]);
  });

  test("of a tag's own id as main, of main/x, and of main with others under --atomic are refused", async () => {
    const { pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit(webApp("x"));
    await pusher.git("tag", "-a", "v2", "-m", "Second");
    const tag = (await pusher.git("rev-parse", "v2")).output.trim();
    expect((await pusher.push(`${tag}:refs/heads/main`)).output).toMatch(/push TAG\^\{\}:main/);
    expect((await pusher.push("main:main/x")).output).toMatch(/would stand in the way of main/);
    const atomic = await pusher.push("--atomic", "main", "main:other");
    expect(atomic.output).toMatch(/push main by itself/);
    expect(atomic.exitCode).toBe(1);
    expect((await pusher.git("ls-remote", "zyndra")).output).toBe("");
  });
});

describe("two at once", () => {
  test("a push while a deploy runs waits and says for whom; of two that wait the newest wins, and the other is told", async () => {
    const { name, url, pusher } = await newApp();
    await using _ = pusher;
    await platform.ask("config:set", { app: name, vars: [`GATES=${gates}`] });
    await pusher.commit(gatedApp("first", { start: `${name}-1` }));
    const first = pusher.startPush("main");
    await first.printed(/Rolling out/);

    await pusher.commit(webApp("second"));
    const second = pusher.startPush("main");
    await second.printed(/waiting for deploy #1 \(ana, .*, rolling out\)/);
    await pusher.commit(webApp("third"));
    const third = pusher.startPush("main");
    await third.printed(/waiting for deploy #1/);

    await openGate(`${name}-1`);
    expect((await first.ended).exitCode).toBe(0);
    const superseded = await second.ended;
    expect(superseded.exitCode).toBe(1);
    expect(superseded.output).toMatch(
      /\[remote rejected\] main -> main \(superseded by deploy #3 \(ana\), which contains it/,
    );
    const won = await third.ended;
    expect(won.exitCode).toBe(0);
    expect(await bodyOf(url)).toBe("third");
  });

  test("of two pushers with different commits the loser is told to pull, and after pulling goes through", async () => {
    const { name, url, pusher } = await newApp();
    await using _ = pusher;
    const ben = await platform.member(`ben-${name}`, "developer");
    await using other = await newPusher(remoteOf(name, ben.token), { name: "Ben Example" });
    await pusher.commit(webApp("base"));
    await pusher.push("main");
    await other.git("pull", "--quiet", "zyndra", "main");
    await platform.ask("config:set", { app: name, vars: [`GATES=${gates}`], detach: true });

    await pusher.commit(gatedApp("ana's", { start: `${name}-1` }));
    const winner = pusher.startPush("main");
    await winner.printed(/Rolling out/);
    await other.commit({ "server.js": webApp("ben's")["server.js"]! });
    const loser = other.startPush("main");
    await loser.printed(/waiting for deploy/);
    await openGate(`${name}-1`);

    expect((await winner.ended).exitCode).toBe(0);
    const lost = await loser.ended;
    expect(lost.exitCode).toBe(1);
    expect(lost.output).toMatch(
      /\[remote rejected\] main -> main \(main moved: deploy #\d+ \(ana\) went live; git pull, push again/,
    );
    expect(await bodyOf(url)).toBe("ana's");

    await other.git("pull", "--quiet", "--rebase", "-X", "theirs", "zyndra", "main");
    expect((await other.push("main")).exitCode).toBe(0);
  });

  test("the same commit pushed while it is deployed follows that deploy", async () => {
    const { name, pusher } = await newApp();
    await using _ = pusher;
    await platform.ask("config:set", { app: name, vars: [`GATES=${gates}`] });
    await pusher.commit(gatedApp("once", { start: `${name}-1` }));
    const first = pusher.startPush("main");
    await first.printed(/Rolling out/);
    const second = pusher.startPush("main");
    await second.printed(/deploy #1 brings this commit already/);
    await openGate(`${name}-1`);
    expect((await first.ended).exitCode).toBe(0);
    expect((await second.ended).exitCode).toBe(0);
    expect(await listDeploys(name)).toHaveLength(1);
  });
});

describe("an end from elsewhere", () => {
  test("cancel ends the build with all its processes, and the push is refused by name", async () => {
    const { name, pusher } = await newApp();
    await using _ = pusher;
    await platform.ask("config:set", { app: name, vars: [`GATES=${gates}`] });
    await pusher.commit(gatedApp("never", { build: `${name}-1` }));
    const push = pusher.startPush("main");
    await eventually(() => pidsAt(`${name}-1`));
    const [builder] = await pidsAt(`${name}-1`);
    await platform.ask("cancel", { app: name });
    const refused = await push.ended;
    expect(refused.exitCode).toBe(1);
    expect(refused.output).toContain("[remote rejected] main -> main (cancelled by ana)");
    await eventually(() => expect(isRunning(builder!)).toBe(false), { withinMs: 4_000 });
    expect(await listDeploys(name)).toMatchObject([{ number: 1, status: "cancelled" }]);
  });

  test("cancel of a waiting deploy ends it at once, and the one before goes on", async () => {
    const { name, url, pusher } = await newApp();
    await using _ = pusher;
    await platform.ask("config:set", { app: name, vars: [`GATES=${gates}`] });
    await pusher.commit(gatedApp("kept", { start: `${name}-1` }));
    const first = pusher.startPush("main");
    await first.printed(/Rolling out/);
    await pusher.commit(webApp("dropped"));
    const second = pusher.startPush("main");
    await second.printed(/waiting for/);
    await platform.ask("deploys:cancel", { app: name, number: 2 });
    expect((await second.ended).output).toContain("(cancelled by ana)");
    await openGate(`${name}-1`);
    expect((await first.ended).exitCode).toBe(0);
    expect(await bodyOf(url)).toBe("kept");
  });

  test("a live deploy cannot be cancelled; what to do instead is said", async () => {
    const { name, pusher } = await newApp();
    await using _ = pusher;
    await pusher.commit(webApp("live"));
    await pusher.push("main");
    await expect(platform.ask("cancel", { app: name })).rejects.toThrow(/nothing of app\d+ is being deployed/);
    await expect(platform.ask("deploys:cancel", { app: name, number: 1 })).rejects.toThrow(/is live already/);
  });

  test("Ctrl-C in the pusher's terminal leaves the deploy running", async () => {
    const { name, url, pusher } = await newApp();
    await using _ = pusher;
    await platform.ask("config:set", { app: name, vars: [`GATES=${gates}`] });
    await pusher.commit(gatedApp("went on", { start: `${name}-1` }));
    const push = pusher.startPush("main");
    await push.printed(/Ctrl-C leaves it running; `zyndra cancel \S+` stops it[\s\S]*Rolling out/);
    push.kill("SIGINT");
    await push.ended;
    await openGate(`${name}-1`);
    await eventually(async () => expect(await bodyOf(url)).toBe("went on"));
    await eventually(async () => {
      expect((await pusher.git("ls-remote", "zyndra", "refs/heads/main")).output).toContain(
        (await pusher.git("rev-parse", "HEAD")).output.trim(),
      );
    });
  });

  test("destroy ends a running deploy, tells the pusher by whom, and removes the app", async () => {
    const { name, pusher } = await newApp();
    await using _ = pusher;
    await platform.ask("config:set", { app: name, vars: [`GATES=${gates}`] });
    await pusher.commit(gatedApp("doomed", { start: `${name}-1` }));
    const push = pusher.startPush("main");
    await push.printed(/Rolling out/);
    await platform.ask("apps:destroy", { app: name });
    expect((await push.ended).output).toMatch(/\[remote rejected\] main -> main \((cancelled by ana|ana destroyed)/);
    await eventually(async () =>
      expect((await platform.ask("apps", {})).data).not.toContainEqual(expect.objectContaining({ name })),
    );
    expect((await pusher.push("main")).output).toMatch(/repository .* not found/);
  });
});

describe("what is live changes without a push", () => {
  test("a config change releases again without a build, and a rollback brings code and config back", async () => {
    const { name, url, pusher } = await newApp();
    await using _ = pusher;
    await platform.ask("config:set", { app: name, vars: ["GREETING=good-morning"] });
    await pusher.commit(webApp("one"));
    await pusher.push("main");
    expect(await bodyOf(`${url}/env/GREETING`)).toBe("good-morning");

    await platform.ask("config:set", { app: name, vars: ["GREETING=good-evening"] });
    await eventually(async () => expect(await bodyOf(`${url}/env/GREETING`)).toBe("good-evening"));
    await pusher.commit(webApp("two"));
    await pusher.push("main");
    expect(await bodyOf(url)).toBe("two");

    await eventually(async () => expect((await listDeploys(name)).every(({ status }) => status === "live")).toBe(true));
    await platform.ask("releases:rollback", { app: name, version: "v1" });
    await eventually(async () => expect(await bodyOf(url)).toBe("one"));
    expect(await bodyOf(`${url}/env/GREETING`)).toBe("good-morning");
    const releases = (await platform.ask("releases", { app: name })).data as { version: number; description: string }[];
    expect(
      releases.map(({ version, description }) => `v${version} ${description.replace(/^[0-9a-f]{7}/, "COMMIT")}`),
    ).toEqual(["v4 rollback to v1", "v3 COMMIT A change", "v2 config: GREETING", "v1 COMMIT A change"]);
    // A rollback does not move main: the next push is made over what was pushed last.
    await pusher.commit(webApp("three"));
    expect((await pusher.push("main")).exitCode).toBe(0);
    expect(await bodyOf(url)).toBe("three");
  });

  test("ps:scale changes how many processes run, and ps shows them", async () => {
    const { name, pusher } = await newApp();
    await using _ = pusher;
    const app = webApp("scaled");
    app["worker.js"] = "console.log('at work'); setInterval(() => {}, 1000);\n";
    app.Procfile = "web: node server.js\nworker: node worker.js\n";
    await pusher.commit(app);
    await pusher.push("main");
    const up = async () => {
      const { processes } = (await platform.ask("ps", { app: name })).data as {
        processes: { name: string; state: string }[];
      };
      return processes.filter(({ state }) => state === "up").map((process) => process.name);
    };
    expect(await up()).toEqual(["web.1"]);
    await platform.ask("ps:scale", { app: name, changes: ["web=2", "worker=1"] });
    await eventually(async () => expect(await up()).toEqual(["web.1", "web.2", "worker.1"]));
    await platform.ask("ps:scale", { app: name, changes: ["web=0", "worker=0"] });
    await eventually(async () => expect(await up()).toEqual([]));
    await eventually(async () => expect((await getPage(urlOf(name))).status).toBe(503));
    await expect(platform.ask("ps:scale", { app: name, changes: ["wbe=1"] })).rejects.toThrow(/no process type "wbe"/);
  });

  test("the release command runs before the switch, and its failure keeps the old version", async () => {
    const { url, pusher } = await newApp();
    await using _ = pusher;
    const withRelease = (text: string, command: string) => ({
      ...webApp(text),
      Procfile: `web: node server.js\nrelease: ${command}\n`,
    });
    await pusher.commit(withRelease("released", "echo migrating hats"));
    const good = await pusher.push("main");
    expect(good.output).toMatch(/Releasing v1[\s\S]*migrating hats[\s\S]*Rolling out/);
    await pusher.commit(withRelease("not released", "echo no luck && exit 4"));
    const refused = await pusher.push("main");
    expect(refused.output).toMatch(/error: the release command failed: .*exit 4/);
    expect(refused.output).toMatch(/hint: mend it, then push again; zyndra deploys:retry \S+ 2 tries the same again/);
    expect(refused.exitCode).toBe(1);
    expect(await bodyOf(url)).toBe("released");
  });
});

test("a config var's value is never printed, though build and app print it", async () => {
  const { name, pusher } = await newApp();
  await using _ = pusher;
  await platform.ask("config:set", { app: name, vars: ["API_KEY=correct-horse-battery"] });
  const app = webApp("quiet");
  app["package.json"] = JSON.stringify({
    name: "app",
    scripts: { start: "node server.js", build: `node -e "console.log('key is', process.env.API_KEY)"` },
  });
  app["server.js"] = `console.log("started with", process.env.API_KEY); require("nothing");\n`;
  await pusher.commit(app);
  const { output } = await pusher.push("main");
  expect(output).toMatch(/key is \S*API_KEY/);
  expect(output).not.toContain("correct-horse-battery");
  const { rows } = await platform.deps.db.db.execute(
    "select data::text as text from events union all select cause::text from deploys",
  );
  expect(rows.map((row) => String(row.text)).join("\n")).not.toContain("correct-horse-battery");
});

async function pidsAt(gate: string): Promise<number[]> {
  return (await readFile(join(gates, `${gate}.reached`), "utf8")).trim().split("\n").map(Number);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
