import { expect, test } from "vitest";
import { parsePushOptions } from "../../src/model/push-options.ts";

test("what is on the list is understood", () => {
  expect(parsePushOptions(["detach", "skip-cache", "message=Sell hats", "force=hotfix = now"])).toEqual({
    detach: true,
    skipCache: true,
    message: "Sell hats",
    force: "hotfix = now",
  });
});

test.each([
  [["detatch"], /there is no push option "detatch". Did you mean -o detach\?/],
  [["x;touch /tmp/pwn"], /there is no push option "x;touch \/tmp\/pwn"/],
  [["a\nb"], /there is no push option "a\?b"/],
  [["force="], /-o force= needs a text/],
])("%j is refused", (options, sentence) => {
  expect(() => parsePushOptions(options)).toThrow(sentence);
});

test("control characters of a message never reach a terminal or a log", () => {
  expect(parsePushOptions(["message=a\x1b[31mb\nc"]).message).toBe("a?[31mb?c");
});
