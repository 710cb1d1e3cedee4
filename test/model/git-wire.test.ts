import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { ByteReader, EndedEarly } from "../../src/git-receiver/git/byte-reader.ts";
import { ProtocolError, packet, packetText, readPacket, sideBand } from "../../src/git-receiver/git/pkt-line.ts";
import { encodePushRequest, readPushRequest, sortUpdates } from "../../src/git-receiver/git/push-request.ts";
import { refNameFault } from "../../src/git-receiver/git/ref-names.ts";
import { cleanLine, cleanReason } from "../../src/git-receiver/git/remote-lines.ts";

const oldId = "1".repeat(40);
const newId = "2".repeat(40);

describe("packets", () => {
  test("are read in whatever portions they come", async () => {
    const bytes = Buffer.concat([
      packet("héllo\n"),
      Buffer.from("0000"),
      packet(""),
      packet("x".repeat(65_516)),
      Buffer.from("rest"),
    ]);
    for (const portion of [1, 3, 4, 1_000, bytes.length]) {
      const reader = readerOf(bytes, portion);
      expect(packetText((await readPacket(reader)) as Buffer)).toBe("héllo");
      expect(await readPacket(reader)).toBe("flush");
      expect(await readPacket(reader)).toHaveLength(0);
      expect(await readPacket(reader)).toHaveLength(65_516);
      expect((await reader.read(4))!.toString()).toBe("rest");
      expect(await readPacket(reader)).toBeNull();
    }
  });

  test.each(["zzzz", "0003", "0002", "ffff", "-001", " 10 "])("a length of %j is refused", async (length) => {
    await expect(readPacket(readerOf(Buffer.from(`${length}abc`)))).rejects.toThrow(ProtocolError);
  });

  test.each(["00", "0008abc", "0005"])("%j ends early", async (text) => {
    await expect(readPacket(readerOf(Buffer.from(text)))).rejects.toThrow(EndedEarly);
  });

  test("none carries more than git takes, a side band uses several", () => {
    expect(() => packet(Buffer.alloc(65_517))).toThrow(RangeError);
    expect(sideBand(2, Buffer.alloc(65_516))).toHaveLength(65_516 + 2 * 5);
  });
});

describe("the request of a push", () => {
  const commands = (...lines: string[]) => Buffer.concat([...lines.map((line) => packet(line)), Buffer.from("0000")]);
  const read = (bytes: Buffer, maxBytes = 10_000) => readPushRequest(readerOf(bytes, 7), { maxBytes });

  test("has refs, capabilities, shallow lines and options, and its pack is left where it is", async () => {
    const bytes = Buffer.concat([
      commands(
        `shallow ${oldId}\n`,
        `${oldId} ${newId} refs/heads/main\0 report-status side-band-64k push-options agent=git/2.39.5`,
        `${newId} ${"0".repeat(40)} refs/tags/v1\n`,
      ),
      commands("detach", "message=a b"),
      Buffer.from("PACK"),
    ]);
    const reader = readerOf(bytes, 5);
    const request = await readPushRequest(reader, { maxBytes: 10_000 });
    expect(request).toEqual({
      updates: [
        { ref: "refs/heads/main", oldId, newId },
        { ref: "refs/tags/v1", oldId: newId, newId: "0".repeat(40) },
      ],
      shallow: [oldId],
      capabilities: ["report-status", "side-band-64k", "push-options", "agent=git/2.39.5"],
      options: ["detach", "message=a b"],
    });
    expect((await reader.read(4))!.toString()).toBe("PACK");

    const again = encodePushRequest(request!, request!.updates.slice(1));
    expect(await readPushRequest(readerOf(again), { maxBytes: 10_000 })).toEqual({
      ...request,
      updates: request!.updates.slice(1),
    });
  });

  test("is null for a probe", async () => {
    expect(await read(Buffer.from("0000"))).toBeNull();
  });

  test.each([
    ["nothing at all", Buffer.alloc(0)],
    ["no command", commands("hello")],
    ["a short id", commands(`${oldId.slice(1)} ${newId} refs/heads/main`)],
    ["only shallow lines", commands(`shallow ${oldId}`)],
    ["a signed push", commands("push-cert\0 report-status")],
    ["one ref twice", commands(`${oldId} ${newId} refs/heads/a`, `${oldId} ${newId} refs/heads/a`)],
    [
      "capabilities behind the second command",
      commands(`${oldId} ${newId} refs/heads/a`, `${oldId} ${newId} refs/heads/b\0atomic`),
    ],
    ["no end", packet(`${oldId} ${newId} refs/heads/a`)],
  ])("with %s is refused", async (_what, bytes) => {
    await expect(read(bytes)).rejects.toThrow(ProtocolError);
  });

  test("that never ends is not read to its end", async () => {
    let given = 0;
    const endless = (async function* () {
      for (let index = 0; ; index++) {
        given += 1;
        yield packet(`${oldId} ${newId} refs/heads/branch-${index}`);
      }
    })();
    await expect(readPushRequest(new ByteReader(endless), { maxBytes: 10_000 })).rejects.toThrow(UserError);
    expect(given).toBeLessThan(200);
  });

  test("is refused ref by ref, whole if it is atomic or too long", async () => {
    const request = (await read(commands(`${oldId} ${newId} refs/heads/main\0`, `${oldId} ${newId} refs/notes/x`)))!;
    const sorted = sortUpdates(request, { maxRefs: 2 });
    expect(sorted.accepted.map(({ ref }) => ref)).toEqual(["refs/heads/main"]);
    expect([...sorted.refused.keys()]).toEqual(["refs/notes/x"]);
    expect(sortUpdates({ ...request, capabilities: ["atomic"] }, { maxRefs: 2 }).accepted).toEqual([]);
    expect(sortUpdates(request, { maxRefs: 1 }).refused.size).toBe(2);
  });
});

describe("ref names", () => {
  const tails = [
    "main",
    "feature/x",
    "a.b",
    "grün",
    "a@b",
    "@",
    "a@{b",
    "a..b",
    ".a",
    "a/.b",
    "a.",
    "a./b",
    "main.lock",
    "main.lock/x",
    "a lock",
    "a~b",
    "a^b",
    "a:b",
    "a?b",
    "a*b",
    "a[b",
    "a]b",
    "a\\b",
    "a//b",
    "/a",
    "a/",
    "../../evil",
    "a\tb",
    "a\x7fb",
    "a\x01b",
    "",
    "-a",
    "a/-b",
    "HEAD",
  ];

  test.each(tails)("refs/heads/%s is judged as git judges it", (tail) => {
    const ref = `refs/heads/${tail}`;
    const asBranch = spawnSync("git", ["check-ref-format", "--branch", tail || "/"]).status === 0;
    const isWellFormed = spawnSync("git", ["check-ref-format", ref]).status === 0;
    expect(refNameFault(ref) === null).toBe(isWellFormed && (asBranch || tail === "@"));
  });

  test.each([
    "refs/notes/x",
    "refs/zyndra/deploys/1",
    "HEAD",
    "refs/heads",
    "refs/heads/",
    "refs/remotes/o/x",
    "../refs/heads/x",
    "refs/stash",
  ])("%s is no branch or tag", (ref) => expect(refNameFault(ref)).toBe("only branches and tags can be pushed"));

  test("too long or unreadable names are refused", () => {
    expect(refNameFault(`refs/heads/${"x".repeat(240)}`)).toContain("longer than 240 bytes");
    expect(refNameFault("refs/heads/a\ufffd")).toContain("UTF-8");
  });
});

describe("lines for a terminal", () => {
  test.each([
    ["plain", "plain"],
    ["a\tb", "a\tb"],
    ["one\rtwo\r\n", "two"],
    ["\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"],
    ["\x1b[2J\x1b[1;1Hclear", "clear"],
    ["\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"],
    ["a\x00b\x07c\x9bd", "abcd"],
    ["\u00001m", "1m"],
    ["half \ud83d", "half \ufffd"],
  ])("%j becomes %j", (text, clean) => expect(cleanLine(text)).toBe(clean));

  test("are not longer than a screen or two, and a reason is one line without colours", () => {
    expect(cleanLine("x".repeat(10_000)).length).toBe(2_000);
    expect(cleanReason("\x1b[31mbuild failed\x1b[0m,\n  see the log\n")).toBe("build failed, see the log");
    const began = performance.now();
    for (const text of [`${"\r".repeat(200_000)}x`, `${" ".repeat(200_000)}x`]) cleanReason(text);
    cleanLine(`${"\r\n".repeat(200_000)}x`);
    expect(performance.now() - began).toBeLessThan(2_000);
  });
});

function readerOf(bytes: Buffer, portion = 1_000): ByteReader {
  return new ByteReader(
    (async function* () {
      for (let at = 0; at < bytes.length; at += portion) yield bytes.subarray(at, at + portion);
    })(),
  );
}
