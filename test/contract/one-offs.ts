import { randomUUID } from "node:crypto";
import { PassThrough, Readable, Writable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EndSignal, OtherEnd, ReleaseSpec, Runtime } from "../../src/runtime/runtime.ts";
import { eventually } from "../support/eventually.ts";
import { files, processTypes, type RuntimeUnderTest } from "./runtime.ts";

/** The contract of a Runtime's one-off commands: what passes between one and whoever is attached to it. */
export function describeOneOffs(name: string, create: () => Promise<RuntimeUnderTest>): void {
  describe(`one-off commands of runtime ${name}`, () => {
    let under: RuntimeUnderTest;
    let runtime: Runtime;
    let spec: ReleaseSpec;
    beforeAll(async () => {
      under = await create();
      runtime = under.runtime;
      const appId = randomUUID();
      const image = await under.makeImage(appId, files, processTypes);
      const env = { VERSION: "v1" };
      spec = {
        ...{ appId, appName: "one-offs", releaseId: randomUUID(), version: 1, image, env, processTypes },
        formation: {},
      };
    });
    afterAll(() => under?.close());

    const attach = (command: string, end: OtherEnd, signal = never) =>
      runtime.processes.attach(spec, command, end, signal, { name: "run.3" });

    test.each([
      ["true", 0],
      ["exit 7", 7],
      ["kill -TERM $$", 143],
      ["there-is-no-such-program", 127],
    ])("%s ends with %d", async (command, code) => {
      expect(await attach(command, anEnd())).toBe(code);
      expect(await attach(command, anEnd({ terminal }))).toBe(code);
    });

    test("a command has the release's environment and its own name, and its output comes apart", async () => {
      const end = anEnd();
      await attach(`echo "$VERSION $ZYNDRA_PROCESS"; echo to stderr > /dev/stderr; echo more > /dev/stdout`, end);
      expect(end.output()).toBe("v1 run.3\nmore\n");
      expect(end.errors()).toBe("to stderr\n");
    });

    test("bytes pass unchanged both ways, and the end of the input is told", async () => {
      const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) % 256));
      const received: Buffer[] = [];
      const end = anEnd({
        stdin: Readable.from(chunksOf(bytes, 70_001)),
        stdout: new Writable({
          write(chunk, _, done) {
            received.push(chunk);
            done();
          },
        }),
      });
      expect(await attach("cat", end)).toBe(0);
      expect(Buffer.concat(received).equals(bytes)).toBe(true);
    });

    test("a command that does not read its input is not held up by it", async () => {
      expect(await attach("exit 4", anEnd({ stdin: Readable.from(endless()) }))).toBe(4);
      expect(await attach("head -c 3", anEnd({ stdin: Readable.from(endless()) }))).toBe(0);
      expect(await attach("exec <&-; sleep 0.3; exit 5", anEnd({ stdin: Readable.from(endless()) }))).toBe(5);
    });

    test("input is read no faster than the command takes it", async () => {
      let taken = 0;
      const stdin = Readable.from(
        endless((size) => {
          taken += size;
        }),
      );
      const end = anEnd({ stdin });
      expect(await attach("sleep 0.5", end)).toBe(0);
      expect(taken).toBeLessThan(2_000_000);
    });

    test("output is made no faster than it is taken", async () => {
      let open = () => {};
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      const stdout = new Writable({ write: (_, __, done) => void gate.then(() => done()) });
      const end = anEnd({ stdout });
      // Writes until nothing was taken for a while, and tells how much that was.
      const running = attach(
        `perl -e 'use Fcntl; fcntl STDOUT, F_SETFL, O_NONBLOCK; my ($made, $tries) = (0, 0);
          while ($tries < 30) { my $n = syswrite STDOUT, "x" x 65536; if ($n) { $made += $n; $tries = 0 } else { $tries++; select undef, undef, undef, 0.01 } }
          print STDERR $made'`,
        end,
      );
      await eventually(() => end.errors() !== "");
      open();
      expect(await running).toBe(0);
      expect(Number(end.errors())).toBeGreaterThan(0);
      expect(Number(end.errors())).toBeLessThan(2_000_000);
    });

    test("all output is handed over before the end is told", async () => {
      for (const about of [{}, { terminal }]) {
        let output = "";
        const stdout = new Writable({
          write(chunk, _, done) {
            output += chunk;
            setTimeout(done, 2);
          },
        });
        expect(await attach("seq 1 100000", anEnd({ ...about, stdout }))).toBe(0);
        expect(output.trimEnd().split(/\r?\n/)).toHaveLength(100_000);
        expect(output).toMatch(/\n100000\r?\n$/);
      }
    });

    test("with a terminal a command sees one, of the kind and size that was given", async () => {
      const end = anEnd({ terminal });
      expect(await attach("test -t 0 -a -t 1 -a -t 2 && stty size && echo $TERM; echo apart >&2", end)).toBe(0);
      expect(end.output()).toBe("33 91\r\nxterm-256color\r\napart\r\n");
    });

    test("without one it sees none", async () => {
      const end = anEnd();
      expect(await attach("test -t 0 || test -t 1 || test -t 2 || echo none; tty", end)).toBe(1);
      expect(end.output()).toBe("none\nnot a tty\n");
    });

    test("another size is told to the program at once", async () => {
      const end = anEnd({ terminal });
      const running = attach(
        "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done",
        end.whenSaid("ready", () => end.hear({ kind: "resize", size: { columns: 120, rows: 50 } })),
      );
      expect(await running).toBe(0);
      expect(end.output()).toContain("50 120");
    });

    test("Ctrl-C reaches the program, and the shell that it runs in goes on", async () => {
      const end = anEnd({ terminal });
      const running = attach(
        `trap 'echo caught' INT; ${untilInterrupted}; echo on`,
        end.whenSaid("ready", () => end.type("\x03")),
      );
      expect(await running).toBe(0);
      expect(end.output()).toMatch(/ready\r\n\^C.*caught\r\non\r\n/s);
    });

    test("Ctrl-D ends the input, Ctrl-Z is a shell's own affair", async () => {
      const end = anEnd({ terminal });
      const running = attach(
        "echo ready; cat; echo read",
        end.whenSaid("ready", () => end.type("hats\r\x04")),
      );
      expect(await running).toBe(0);
      expect(end.output()).toBe("ready\r\nhats\r\nhats\r\nread\r\n");
    });

    test("Ctrl-C where there is no terminal interrupts the command", async () => {
      const end = anEnd();
      const ended = attach(
        untilInterrupted,
        end.whenSaid("ready", () => end.hear({ kind: "interrupt" })),
      );
      expect(await ended).toBe(130);
      const deaf = anEnd({ stdin: Readable.from(endless()) });
      const own = attach(
        "trap 'echo tidied up; exit 3' INT; echo ready; while :; do sleep 0.05; done",
        deaf.whenSaid("ready", () => deaf.hear({ kind: "interrupt" })),
      );
      expect(await own).toBe(3);
      expect(deaf.output()).toBe("ready\ntidied up\n");
    });

    test("what a shell had started may tidy up after Ctrl-C, though the shell is gone at once", async () => {
      const tidy = `trap "sleep 0.3; echo tidied up; exit 9" INT; echo ready; while :; do sleep 0.05; done`;
      for (const about of [{}, { terminal }]) {
        const end = anEnd(about);
        const interrupt = () => ("terminal" in about ? end.type("\x03") : end.hear({ kind: "interrupt" }));
        expect(await attach(`sh -c '${tidy}'`, end.whenSaid("ready", interrupt))).toBe(9);
        expect(end.output()).toContain("tidied up");
        const second = anEnd(about);
        const again = () => ("terminal" in about ? second.type("\x03") : second.hear({ kind: "interrupt" }));
        expect(await attach(`sh -c '${tidy}' && true`, second.whenSaid("ready", again))).toBe(130);
        expect(second.output()).toContain("tidied up");
      }
    });

    test.each([
      ["pipes", {}, "echo ready; sleep 600"],
      ["a terminal", { terminal: aTerminal() }, "echo ready; exec sh -i"],
      ["a terminal and a job of its own", { terminal: aTerminal() }, "set -m; sh -c 'echo ready; exec sleep 600'"],
    ])("an aborted command with %s is ended and rejects with the reason", async (_, about, command) => {
      const abort = new AbortController();
      const reason = new Error("enough");
      const end = anEnd(about);
      const running = attach(
        command,
        end.whenSaid("ready", () => abort.abort(reason)),
        abort.signal,
      );
      await expect(running).rejects.toBe(reason);
    });

    test("nobody who takes the output ends the command", async () => {
      const stdout = new Writable({ write: (_, __, done) => done(new Error("gone")) }).on("error", () => {});
      await expect(attach("echo begun; sleep 600", anEnd({ stdout }))).rejects.toThrow("gone");
    });
  });
}

/** A shell may miss a signal that comes while it starts a program; this one is there already when it says so. */
const untilInterrupted = `perl -e '$| = 1; print "ready\\n"; sleep 600'`;

const never = new AbortController().signal;
function aTerminal() {
  return { type: "xterm-256color", size: { columns: 91, rows: 33 } };
}
const terminal = aTerminal();

type TestEnd = OtherEnd & {
  output(): string;
  errors(): string;
  /** Keys at the keyboard. */
  type(keys: string): void;
  hear(signal: EndSignal): void;
  /** Does something once, when the output contains a text; answers this end. */
  whenSaid(text: string, act: () => void): TestEnd;
};

/** Somebody who is attached: keeps what is written, types nothing by itself. Without a terminal there is no input. */
function anEnd(about: Partial<OtherEnd> = {}): TestEnd {
  const keyboard = new PassThrough();
  if (!about.terminal) keyboard.end();
  const kept = { stdout: "", stderr: "" };
  let listen = (_: EndSignal) => {};
  let said: { text: string; act: () => void } | undefined;
  const keep = (name: keyof typeof kept) =>
    new Writable({
      write(chunk, _, done) {
        kept[name] += chunk;
        done();
        if (said === undefined || !kept[name].includes(said.text)) return;
        const { act } = said;
        said = undefined;
        act();
      },
    });
  const end: TestEnd = {
    stdin: keyboard,
    stdout: keep("stdout"),
    stderr: keep("stderr"),
    onSignal: (hear) => {
      listen = hear;
    },
    output: () => kept.stdout,
    errors: () => kept.stderr,
    type: (keys) => void keyboard.write(keys),
    hear: (signal) => listen(signal),
    whenSaid(text, act) {
      said = { text, act };
      return end;
    },
    ...about,
  };
  return end;
}

function* chunksOf(bytes: Buffer, size: number): Iterable<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function* endless(took: (bytes: number) => void = () => {}): AsyncIterable<Buffer> {
  for (;;) {
    took(64 * 1024);
    yield Buffer.alloc(64 * 1024, "x");
  }
}
