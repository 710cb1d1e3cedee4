import { expect, test } from "vitest";
import { decodeFrame, encodeFrame, openAllowance, type RunFrame } from "../../src/model/run-frames.ts";

const frames: RunFrame[] = [
  { channel: "stdin", bytes: Buffer.from([0, 255, 10]) },
  { channel: "stdout", bytes: Buffer.from("hats") },
  { channel: "stderr", bytes: Buffer.alloc(0) },
  { channel: "status", status: { exitCode: 3 } },
  { channel: "status", status: { error: { code: "gone", message: "it is over", hint: "try again" } } },
  { channel: "resize", size: { columns: 80, rows: 24 } },
  { channel: "window", bytes: 262_144 },
  { channel: "interrupt" },
  { channel: "close" },
];

test.each(frames)("a message of the channel $channel is read as it was written", (frame) => {
  expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
});

test("channels of streams, status and sizes are those of Kubernetes", () => {
  expect(frames.map((frame) => encodeFrame(frame)[0])).toEqual([0, 1, 2, 3, 3, 4, 5, 6, 255]);
});

test.each([
  ["nothing", []],
  ["an unknown channel", [9, 1, 2]],
  ["a size that is no JSON", [4, 123]],
  ["a size without rows", [4, ...Buffer.from('{"columns":80}')]],
  ["a size of nothing", [4, ...Buffer.from('{"columns":0,"rows":24}')]],
  ["a window that shrinks", [5, ...Buffer.from("-1")]],
  ["the end of another stream", [255, 1]],
  ["a status without an end", [3, ...Buffer.from("{}")]],
])("%s is no message", (_, bytes) => {
  expect(decodeFrame(Buffer.from(bytes))).toBeUndefined();
});

test("who wants to send is called in order, with as much as the other side takes", () => {
  const sent: string[] = [];
  const allowance = openAllowance();
  allowance.spend(10, (bytes) => sent.push(`first ${bytes}`));
  allowance.spend(10, (bytes) => sent.push(`second ${bytes}`));
  expect(sent).toEqual([]);
  allowance.add(10);
  expect(sent).toEqual(["first 10"]);
  allowance.add(3);
  expect(sent).toEqual(["first 10", "second 3"]);
  allowance.add(5);
  allowance.spend(1, (bytes) => sent.push(`third ${bytes}`));
  allowance.spend(7, (bytes) => sent.push(`fourth ${bytes}`));
  allowance.spend(1, (bytes) => sent.push(`fifth ${bytes}`));
  expect(sent).toEqual(["first 10", "second 3", "third 1", "fourth 4"]);
});

test("nobody may be sent more than 16 MB at once", () => {
  const allowance = openAllowance();
  const most = 16 * 1024 * 1024;
  expect(allowance.add(most)).toBe(true);
  expect(allowance.add(1)).toBe(false);
  allowance.spend(1, () => {});
  expect(allowance.add(1)).toBe(true);
});
