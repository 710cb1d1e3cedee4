import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { openWaiting, unseen, waitingFor } from "../../src/cli/waiting.ts";
import { eventually } from "../support/eventually.ts";
import { openDesk, program } from "./cli-harness.ts";

/** A terminal that keeps all that was written to it. */
function terminal(columns = 80) {
  const written: string[] = [];
  return { written, columns, write: (text: string) => void written.push(text) };
}

const line = (text: string) => `\r\x1b[K\x1b[2m${text}\x1b[22m`;
const gone = "\r\x1b[K";

test("what takes a moment is told, and taken away when it is done", async () => {
  const out = terminal();
  const { promise, resolve } = Promise.withResolvers<string>();
  const working = openWaiting(out, 5).during("the moon", promise);
  await eventually(() => out.written.length >= 2);
  resolve("here");
  expect(await working).toBe("here");
  expect(out.written[0]).toMatch(/^\r\x1b\[K\x1b\[2mwaiting for the moon \(\d+\.\d s\)\x1b\[22m$/);
  expect(out.written.at(-1)).toBe(gone);
});

test("what is done at once, or fails at once, leaves no trace", async () => {
  const out = terminal();
  const waiting = openWaiting(out);
  await waiting.during("nothing", Promise.resolve());
  await expect(waiting.during("a fault", Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(out.written).toEqual([]);
  expect(await unseen.during("nobody", Promise.resolve(3))).toBe(3);
});

test("the line is no longer than the terminal, and gives way to what is written", async () => {
  const out = terminal(20);
  const { promise, resolve } = Promise.withResolvers<void>();
  const waiting = openWaiting(out, 5);
  const working = waiting.during("a name that is far too long", promise);
  await eventually(() => out.written.length > 0);
  waiting.clear();
  expect(out.written[0]).toBe(line("waiting for a name "));
  expect(out.written.at(-1)).toBe(gone);
  resolve();
  await working;
});

test("of items that come, each wait is told by itself, and their source is ended with the reader", async () => {
  const out = terminal();
  let isEnded = false;
  const gate = Promise.withResolvers<void>();
  async function* items() {
    try {
      yield 1;
      await gate.promise;
      yield 2;
      yield 3;
    } finally {
      isEnded = true;
    }
  }
  const seen: number[] = [];
  const reading = (async () => {
    for await (const item of waitingFor(openWaiting(out, 5), "more", items())) if (seen.push(item) === 2) break;
  })();
  await eventually(() => out.written.length > 0);
  expect(seen).toEqual([1]);
  gate.resolve();
  await reading;
  expect({ seen, isEnded, last: out.written.at(-1) }).toEqual({ seen: [1, 2], isEnded: true, last: gone });
});

test("only a person at a terminal that can take a line back sees it", { timeout: 120_000 }, async (context) => {
  const hasScript = existsSync("/usr/bin/script");
  if (!hasScript) context.skip("there is no util-linux script here to make a terminal with");
  await using desk = await openDesk();
  const held: ServerResponse[] = [];
  const server = createServer((_, response) => void held.push(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const start = (words: string, env: Record<string, string> = {}) => {
    const whole = { PATH: process.env.PATH, HOME: desk.folder, TERM: "xterm", ZYNDRA_URL: url, ZYNDRA_TOKEN: "t" };
    const command = `"${process.execPath}" "${program}" ${words}`;
    const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
      cwd: desk.work,
      env: { ...whole, ...env },
    });
    return listen(child);
  };
  const shown = start("whoami");
  const others = [
    start("whoami", { NO_COLOR: "1" }),
    start("whoami", { TERM: "dumb" }),
    start("whoami", { CI: "true" }),
    start("whoami 2>/dev/null"),
    start("whoami | cat"),
  ];
  // The others have waited for as long, or nearly so.
  await eventually(
    () => {
      expect(held).toHaveLength(6);
      expect(shown.screen()).toMatch(/waiting for http:\S+ \((?:[4-9]\.0|\d{2,}) s\)/);
    },
    { withinMs: 90_000 },
  );
  for (const response of held) {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ name: "ana", role: "owner" }));
  }
  await Promise.all([shown, ...others].map(({ ended }) => ended));
  expect(shown.screen()).toMatch(/\r\x1b\[Kana \(owner\) at http/);
  for (const { screen } of others) {
    expect(screen()).toContain("ana (owner)");
    expect(screen()).not.toContain("waiting");
  }
});

function listen(child: ChildProcess) {
  let text = "";
  child.stdout!.on("data", (chunk) => (text += chunk));
  onTestFinished(() => void child.kill("SIGKILL"));
  return { screen: () => text, ended: new Promise((resolve) => child.on("close", resolve)) };
}
