import { PassThrough } from "node:stream";
import type { ReadStream, WriteStream } from "node:tty";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openTerminal } from "../../src/cli/terminal.ts";
import type { Terminal } from "../../src/cli/world.ts";
import { eventually } from "../support/eventually.ts";
import { livePlatform } from "../support/live-platform.ts";
import type { TestPlatform } from "../support/platform.ts";
import { type Desk, openDesk, type Ran, type RunOptions } from "./cli-harness.ts";

/** `zyndra run` as it is typed, on a whole platform with real processes. */
let platform: TestPlatform;
let desk: Desk;

beforeAll(async () => {
  platform = await livePlatform();
});
afterAll(() => platform?.[Symbol.asyncDispose]());
beforeEach(async () => {
  desk = await openDesk();
});
afterEach(() => desk[Symbol.asyncDispose]());

const zyndra = (words: string | string[], options: RunOptions = {}) =>
  desk.zyndra(words, { override: { url: platform.url, token: platform.token }, ...options });

const runs = async () => ((await platform.ask("ps", { app: "shop" })).data as { runs: object[] }).runs;

/** Does each thing once, when the output contains its text. */
function whenSaid(
  text: string,
  act: () => void,
  ...more: [text: string, act: () => void][]
): { onOutput(ran: Ran): void } {
  const awaited = [[text, act] as const, ...more];
  return {
    onOutput({ out }) {
      while (awaited.length > 0 && out.includes(awaited[0]![0])) awaited.shift()![1]();
    },
  };
}

describe("a command", () => {
  test("prints what it prints, each stream apart, and ends as it does", async () => {
    expect(await zyndra("run shop true")).toEqual({ code: 0, out: "", err: "" });
    expect(await zyndra("run shop false")).toEqual({ code: 1, out: "", err: "" });
    expect(await zyndra(["run", "shop", "echo out; echo err >&2; exit 7"])).toEqual({
      code: 7,
      out: "out\n",
      err: "err\n",
    });
    expect((await zyndra(["run", "shop", "kill -9 $$"])).code).toBe(137);
  });

  test("has the release's folder, its config vars and a name", async () => {
    const { out } = await zyndra([
      "run",
      "shop",
      "ls server.js; echo $ZYNDRA_APP $ZYNDRA_PROCESS $ZYNDRA_RELEASE_VERSION",
    ]);
    expect(out).toMatch(/^server\.js\nshop run\.\d+ v1\n$/);
  });

  test("gets what is piped in, and its end", async () => {
    expect(await zyndra("run shop cat", { stdin: "hats\nand more" })).toMatchObject({ code: 0, out: "hats\nand more" });
    expect(await zyndra("run shop wc -c", { stdin: "x".repeat(2_000_000) })).toMatchObject({ out: "2000000\n" });
  });

  test("keeps its words and flags to itself", async () => {
    expect((await zyndra("run shop node --version")).out).toMatch(/^v2\d\.\d+\.\d+\n$/);
    for (const words of ["--json --help -v -h", "-- --json -a blog", "-n --app=blog --server x"]) {
      expect((await zyndra(`run shop printf %s| ${words}`)).out).toBe(`${words.split(" ").join("|")}|`);
      expect((await zyndra(`run -a shop printf %s| ${words}`)).out).toBe(`${words.split(" ").join("|")}|`);
    }
    expect((await zyndra(["run", "shop", "echo", "$HOME", "it's", "a  b"])).out).toBe("$HOME it's a  b\n");
    expect((await zyndra("run shop -- node --version")).out).toMatch(/^v2/);
  });

  test("may be typed without the app in its folder", async () => {
    const override = { url: platform.url, token: platform.token, app: "shop" };
    expect((await zyndra("run echo shop --json", { override })).out).toBe("shop --json\n");
    expect((await zyndra("run shop echo shop", { override })).out).toBe("shop\n");
  });

  test("comes unchanged with --json, which has nothing to add", async () => {
    expect(await zyndra("--json run shop echo hats")).toEqual({ code: 0, out: "hats\n", err: "" });
  });

  test("understands what Heroku's users and scripts type", async () => {
    expect((await zyndra("run -x -a shop -- false")).code).toBe(1);
    expect((await zyndra("run --exit-code --no-tty --app shop echo hats")).out).toBe("hats\n");
    expect((await zyndra("run -i shop cat", { stdin: "hats" })).out).toBe("hats");
  });

  test("is interrupted by the first Ctrl-C, and answers it itself", async () => {
    const ctrlC = new AbortController();
    const ran = await zyndra(
      ["run", "shop", "trap 'echo tidied up; exit 5' INT; echo ready; while :; do sleep 0.1; done"],
      { interrupted: ctrlC.signal, stdin: new PassThrough(), ...whenSaid("ready", () => ctrlC.abort()) },
    );
    expect(ran).toEqual({ code: 5, out: "ready\ntidied up\n", err: "" });
  });
});

test("the log of a process that it has not says which ones it has", async () => {
  expect(await zyndra("logs shop -p nosuch")).toEqual({
    code: 0,
    out: "",
    err: expect.stringMatching(/^hint: no process nosuch: shop has web, .*router\n$/),
  });
});

describe("is refused", () => {
  test("with a sentence and what to type", async () => {
    await platform.ask("apps:create", { app: "empty" });
    expect(await zyndra("run empty ls")).toEqual({
      code: 1,
      out: "",
      err: "error: nothing of empty is live yet\nhint: git push zyndra main\n",
    });
    expect(await zyndra("run shop")).toMatchObject({
      code: 2,
      err: expect.stringContaining(
        "error: which command? For example: npm run migrate\nhint: for example: zyndra run shop npm run migrate\n",
      ),
    });
    expect(await zyndra("run shop -t ls")).toMatchObject({
      code: 2,
      err: expect.stringContaining("error: -t needs a terminal, for both input and output\n"),
    });
    expect(await zyndra("run -t --no-tty shop ls")).toMatchObject({ code: 2 });
    expect(await zyndra("run -t --detach shop ls")).toMatchObject({ code: 2 });
  });
});

describe("at a terminal", () => {
  test("of unknown size it has the size that all terminals had once", () => {
    const sizeOf = (columns: number, rows: number) =>
      openTerminal({} as ReadStream, { columns, rows } as WriteStream, "xterm").size();
    expect(sizeOf(0, 0)).toEqual({ columns: 80, rows: 24 });
    expect(sizeOf(91, 33)).toEqual({ columns: 91, rows: 33 });
  });

  /** A terminal that remembers what was done to it. */
  function aTerminal() {
    const done: string[] = [];
    const size = { columns: 91, rows: 33 };
    let resized = () => {};
    const terminal: Terminal = {
      type: "xterm-256color",
      size: () => size,
      onResize(listener) {
        resized = listener;
        return () => void done.push("resizes are not heard any more");
      },
      makeRaw() {
        done.push("raw");
        return () => void done.push("restored");
      },
    };
    const resize = (columns: number, rows: number) => {
      Object.assign(size, { columns, rows });
      resized();
    };
    return { terminal, done, resize };
  }

  test("it has one, says so, and the terminal is put back", async () => {
    const { terminal, done } = aTerminal();
    const { code, out, err } = await zyndra(["run", "shop", "test -t 0 -a -t 1 && stty size; echo $TERM; exit 4"], {
      terminal,
      stdin: new PassThrough(),
    });
    expect({ code, out }).toEqual({ code: 4, out: "33 91\r\nxterm-256color\r\n" });
    expect(err).toMatch(/^run\.\d+ in shop v1\n$/);
    expect(done).toEqual(["raw", "resizes are not heard any more", "restored"]);
  });

  test("keys go to it, Ctrl-C and Ctrl-D too, and the size follows", async () => {
    const { terminal, resize } = aTerminal();
    const stdin = new PassThrough();
    const ran = zyndra(
      [
        ...["run", "shop"],
        // A shell may miss a signal that comes while it starts a program; Perl is there already when it says so.
        `trap 'echo caught; stty size' INT; perl -e '$| = 1; print "ready\\n"; sleep 600'; cat; echo over`,
      ],
      {
        terminal,
        stdin,
        ...whenSaid("ready", () => {
          resize(120, 50);
          stdin.write("\x03");
        }, ["50 120", () => stdin.write("typed\r\x04")]),
      },
    );
    const { code, out } = await ran;
    expect(code).toBe(0);
    expect(out).toMatch(/ready\r\n\^C.*caught\r\n50 120\r\ntyped\r\ntyped\r\nover\r\n$/s);
  });

  test("--no-tty gives it none", async () => {
    const { terminal, done } = aTerminal();
    const ran = await zyndra(["run", "--no-tty", "shop", "test -t 1 || echo none"], { terminal, stdin: "" });
    expect(ran).toEqual({ code: 0, out: "none\n", err: "" });
    expect(done).toEqual([]);
  });

  test("when the connection breaks the terminal is put back, with what the program had switched on", async () => {
    await using doomed = await livePlatform();
    const { terminal, done } = aTerminal();
    const { code, out, err } = await zyndra(["run", "shop", "printf '\\033[?1049h\\033[?25lready'; sleep 600"], {
      override: { url: doomed.url, token: doomed.token },
      terminal,
      stdin: new PassThrough(),
      ...whenSaid("ready", () => void doomed[Symbol.asyncDispose]()),
    });
    expect(code).toBe(1);
    expect(out).toBe("\x1b[?1049h\x1b[?25lready\x1b[?1049l\x1b[?25h\x1b[0m");
    expect(err).toMatch(/error: Zyndra is being stopped, and has ended run\.1\n$/);
    expect(done.at(-1)).toBe("restored");
  });
});

describe("detached", () => {
  test("it runs by itself, and says where its output is and how to end it", async () => {
    for (const words of ["run --detach shop", "run:detached shop", "run -d -a shop"]) {
      const { code, out, err } = await zyndra([...words.split(" "), "echo from afar; sleep 600"]);
      expect(code).toBe(0);
      const [, name] = /^(run\.\d+) runs in shop v1\n$/.exec(out) ?? [];
      expect(name).toBeDefined();
      expect(err).toContain(`hint: zyndra logs shop --tail --process ${name} shows its output`);
      await eventually(async () =>
        expect((await zyndra(`logs shop --process ${name}`)).out).toMatch(new RegExp(` ${name} +from afar\n`)),
      );
      expect(await runs()).toEqual([
        expect.objectContaining({ name, by: "ana", command: "echo from afar; sleep 600" }),
      ]);
      expect((await zyndra(`run:stop shop ${name}`)).out).toBe(`${name} of shop is being stopped\n`);
      await eventually(async () =>
        expect((await zyndra(`logs shop --process ${name}`)).out).toMatch(/zyndra: stopped after .* s\n$/),
      );
    }
  });

  test("its end stands in the log", async () => {
    await zyndra(["run:detached", "shop", "exit 3"]);
    await eventually(async () => expect((await zyndra("logs shop")).out).toMatch(/run\.\d+ +zyndra: exit 3 after /));
  });
});
