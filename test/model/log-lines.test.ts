import { expect, test } from "vitest";
import { splitLines } from "../../src/runtime/local/lines.ts";

/** The lines of what a command prints. */
async function linesOf(...chunks: string[]): Promise<string[]> {
  async function* bytes() {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  return Array.fromAsync(splitLines(bytes()));
}

test("a carriage return starts the line anew, but for those at its end", async () => {
  expect(await linesOf("10 %\r20 %\r\nb\r\r\n\r\n", "\n", "c\rd")).toEqual(["20 %", "b", "", "", "d"]);
});

test("a line of nothing but carriage returns and one letter holds nobody up", async () => {
  const began = performance.now();
  for (let round = 0; round < 4; round++) {
    expect(await linesOf(`${"\r".repeat(200_000)}x\n`)).toEqual(["x"]);
  }
  expect(performance.now() - began).toBeLessThan(2_000);
});
