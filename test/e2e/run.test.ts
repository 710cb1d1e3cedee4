import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { EndSignal } from "../../src/runtime/runtime.ts";
import { type LocalBench, openLocalBench } from "../contract/local-bench.ts";
import { eventually } from "../support/eventually.ts";
import { livePlatform } from "../support/live-platform.ts";
import type { TestPlatform } from "../support/platform.ts";

/**
 * `zyndra run` as a program of its own, at a real terminal: that of a shell which runs below another local runtime, whose
 * pseudo-terminals are tried in test/contract/one-offs.ts.
 */
let platform: TestPlatform;
let bench: LocalBench;
let folder: string;
const program = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const zyndra = `'${process.execPath}' --disable-warning=ExperimentalWarning '${program}'`;

beforeAll(async () => {
  platform = await livePlatform();
  bench = await openLocalBench();
});
afterAll(async () => {
  await bench?.close();
  await platform?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zyndra-run-"));
  return () => rm(folder, { recursive: true, force: true });
});

const environment = (on = platform) => ({ ZYNDRA_URL: on.url, ZYNDRA_TOKEN: on.token, FOLDER: folder });

describe("in a pipe", () => {
  /** Runs a line of a shell in which `zyndra` is the program. */
  async function shell(line: string): Promise<{ code: number | null; out: string; err: string }> {
    const env = { PATH: process.env.PATH, HOME: folder, ...environment() };
    const child = spawn("/bin/sh", ["-c", `zyndra() { ${zyndra} "$@"; }; ${line}`], { env, cwd: folder });
    child.stdin.end();
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (err += chunk));
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, out, err };
  }

  test("it is a program like others", async () => {
    expect(await shell("echo hats | zyndra run shop cat")).toEqual({ code: 0, out: "hats\n", err: "" });
    expect((await shell("zyndra run shop false")).code).toBe(1);
    await shell("zyndra run shop 'echo out; echo err >&2' > out.txt 2> err.txt");
    expect(await readFile(join(folder, "out.txt"), "utf8")).toBe("out\n");
    expect(await readFile(join(folder, "err.txt"), "utf8")).toBe("err\n");
    expect((await shell("zyndra run shop -- sh -c 'exit 42'")).code).toBe(42);
  });

  test("bytes go through it unchanged, many of them too", async () => {
    const line =
      "head -c 20000000 /dev/urandom > sent; zyndra run shop cat < sent > received; cmp sent received && echo same";
    expect(await shell(line)).toEqual({ code: 0, out: "same\n", err: "" });
  });

  test("input comes in pieces of any size, and all of it arrives", async () => {
    const perl = `perl -e '$| = 1; print "x" x (1 + ($_ * 7919) % 70_000) for 1 .. 300'`;
    const { out } = await shell(
      `${perl} > sent; ${perl} | zyndra run shop cat > received; cmp sent received && echo same`,
    );
    expect(out).toBe("same\n");
  });

  test("a reader that has seen enough ends it, and the command", async () => {
    expect((await shell("zyndra run shop yes | head -n 2")).out).toBe("y\ny\n");
    await eventually(async () => expect(await runs()).toEqual([]));
  });

  test("output that nobody reads is not even fetched", async () => {
    const env = { PATH: process.env.PATH, HOME: folder, ...environment() };
    const child = spawn("/bin/sh", ["-c", `exec ${zyndra} run shop yes`], { env });
    await new Promise((resolve) => child.stdout.once("readable", resolve));
    let [fetched, quietSince] = [0, performance.now()];
    await eventually(async () => {
      const now = Number(/^rchar: (\d+)/m.exec(await readFile(`/proc/${child.pid}/io`, "utf8"))![1]);
      if (now !== fetched) [fetched, quietSince] = [now, performance.now()];
      return fetched > 50_000_000 || performance.now() - quietSince > 500;
    });
    child.kill("SIGKILL");
    expect(fetched).toBeLessThan(50_000_000);
    await eventually(async () => expect(await runs()).toEqual([]));
  });
});

describe("at a terminal", () => {
  test("the program has one of the same size and kind, the size follows, colours come through", async () => {
    const typist = await sitDown(
      `zyndra run shop sh -c 'stty size; echo $TERM; printf "\\033[31mred\\033[0m\\n"; read go; stty size'`,
    );
    await typist.seen("red");
    typist.resize(120, 50);
    // The size comes before what is typed after it.
    typist.type("go\r");
    await typist.seen("it ended with 0");
    expect(typist.screen()).toContain("33 91\r\nxterm-256color\r\n\x1b[31mred\x1b[0m\r\n");
    expect(typist.screen()).toContain("50 120\r\n");
  });

  test("a shell's whole life: its prompt, a job that Ctrl-C ends, Ctrl-D", async () => {
    const typist = await sitDown("zyndra run shop sh -i");
    await typist.seen("$ ", "# ");
    typist.type("echo $((6 * 7)); sleep 600\r");
    await typist.seen("\r\n42\r\n");
    typist.type("\x03");
    typist.type("echo still here | tr a-z A-Z\r");
    await typist.seen("STILL HERE");
    typist.type("exit 7\r");
    await typist.seen("it ended with 7");
    await typist.rises();
  });

  test("a program that draws has the screen to itself: no line end is changed on the way", async () => {
    const typist = await sitDown(
      `zyndra run shop 'stty raw -echo; printf "a\\nb\\033[3D"; dd bs=1 count=1 2>/dev/null | od -c; stty sane'`,
    );
    await typist.seen("a\nb");
    typist.type("\x03");
    await typist.seen("003");
    await typist.seen("it ended with 0");
  });

  test("--no-tty, and a pipe on either side, give the program none", async () => {
    for (const line of [
      "zyndra run --no-tty shop tty",
      "echo x | zyndra run shop tty",
      "zyndra run shop tty | cat; false",
    ]) {
      const typist = await sitDown(line);
      await typist.seen("it ended with 1");
      expect(typist.screen()).toContain("not a tty");
    }
  });

  test("Ctrl-C without one interrupts the command, and its exit code is passed on", async () => {
    const typist = await sitDown(
      `zyndra run --no-tty shop sh -c 'trap "echo tidied up; exit 9" INT; echo ready; while :; do sleep 0.1; done'`,
    );
    await typist.seen("ready");
    typist.type("\x03");
    await typist.seen("it ended with 9");
    expect(typist.screen()).toContain("tidied up");
  });

  test("whoever presses Ctrl-C again does not wait", async () => {
    const typist = await sitDown(`zyndra run --no-tty shop sh -c 'trap "" INT; echo ready; sleep 600'`);
    await typist.seen("ready");
    typist.type("\x03");
    await eventually(() => {
      typist.type("\x03");
      return typist.screen().includes("it ended with 130");
    });
    await eventually(async () => expect(await runs()).toEqual([]));
  });

  test.each(["SIGTERM", "SIGHUP"] as const)(
    "%s ends it, puts the terminal back and ends the command",
    async (signal) => {
      const typist = await sitDown("sh -c 'echo $$ > $FOLDER/pid; exec zyndra-program run shop sleep 600'");
      await eventually(async () => expect(await runs()).toEqual([expect.objectContaining({ command: "sleep 600" })]));
      process.kill(Number(await readFile(join(folder, "pid"), "utf8")), signal);
      await typist.seen(signal === "SIGTERM" ? "it ended with 143" : "it ended with 129");
      await eventually(async () => expect(await runs()).toEqual([]));
    },
  );

  test("a platform that stops, or is gone, ends it with a word and puts the terminal back", async () => {
    await using doomed = await livePlatform();
    const typist = await sitDown("zyndra run shop sh -c 'printf \"\\033[?1049hdrawn\"; sleep 600'", doomed);
    await typist.seen("drawn");
    await doomed[Symbol.asyncDispose]();
    await typist.seen("it ended with 1");
    expect(typist.screen()).toMatch(/drawn\x1b\[\?1049l.*error:.* Zyndra is being stopped, and has ended run\.1\r\n/s);
  });

  type Typist = {
    screen(): string;
    type(keys: string): void;
    resize(columns: number, rows: number): void;
    /** Waits until one of these texts is on the screen. */
    seen(...texts: string[]): Promise<void>;
    /** Waits until the shell has ended. */
    rises(): Promise<number>;
  };

  /**
   * Somebody at a terminal of 91 columns and 33 rows types a line of shell. Afterwards it says with what that ended, and the
   * terminal must be as it was.
   */
  async function sitDown(line: string, on = platform): Promise<Typist> {
    const script = join(folder, "line.sh");
    await writeFile(
      script,
      `zyndra() { ${zyndra} "$@"; }
trap : INT # Ctrl-C is for what it has started.
before=$(stty -g)
${line.replaceAll("zyndra-program", zyndra.replaceAll("'", '"'))}
code=$?
test "$(stty -g)" = "$before" || { echo "the terminal is not as it was: $(stty -a)"; exit 99; }
echo "it ended with $code"
`,
    );
    const appId = randomUUID();
    const spec = {
      ...{ appId, appName: "desk", releaseId: randomUUID(), version: 1, formation: {}, processTypes: {} },
      image: await bench.makeImage(appId, {}, {}),
      env: { PATH: process.env.PATH!, ...environment(on) },
    };
    const keyboard = new PassThrough();
    let screen = "";
    let hear = (_: EndSignal) => {};
    const stdout = new Writable({
      write(chunk, _, done) {
        screen += chunk;
        done();
      },
    });
    const ended = bench.runtime.processes.attach(
      spec,
      `exec sh '${script}'`,
      {
        ...{ stdin: keyboard, stdout, stderr: stdout },
        terminal: { type: "xterm-256color", size: { columns: 91, rows: 33 } },
        onSignal: (listener) => {
          hear = listener;
        },
      },
      new AbortController().signal,
    );
    ended.catch(() => {});
    return {
      screen: () => screen,
      type: (keys) => void keyboard.write(keys),
      resize: (columns, rows) => hear({ kind: "resize", size: { columns, rows } }),
      seen: (...texts) =>
        eventually(
          () => {
            if (!texts.some((text) => screen.includes(text)))
              throw new Error(`${texts} is not in ${JSON.stringify(screen)}`);
          },
          { withinMs: 30_000 },
        ),
      rises: () => ended,
    };
  }
});

const runs = async () => ((await platform.ask("ps", { app: "shop" })).data as { runs: object[] }).runs;
