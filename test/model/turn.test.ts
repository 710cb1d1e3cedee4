import { expect, test } from "vitest";
import { chooseTurn, type Queued, type Turn } from "../../src/model/turn.ts";

const push = (number: number, keepsTip = true): Queued => ({ number, kind: "push", keepsTip });
const rollback = (number: number): Queued => ({ number, kind: "rollback", keepsTip: true });
const config = (number: number): Queued => ({ number, kind: "config", keepsTip: true });
const turn = (take: number | undefined, missed: number[] = [], superseded: number[] = []): Turn => ({
  take,
  missed,
  superseded,
});

test.each<[string, Queued[], Turn]>([
  ["nothing waits", [], turn(undefined)],
  ["one push", [push(1)], turn(1)],
  ["the newest push wins, older ones are superseded", [push(1), push(2), push(3)], turn(3, [], [2, 1])],
  ["the order in which they are read does not matter", [push(3), push(1), push(2)], turn(3, [], [2, 1])],
  [
    "what misses the tip fails, the next one that keeps it is taken",
    [push(1), push(2), push(3, false)],
    turn(2, [3], [1]),
  ],
  [
    "an older push that misses the tip as well is superseded by the winner",
    [push(1, false), push(2)],
    turn(2, [], [1]),
  ],
  ["all miss the tip", [push(1, false), push(2, false)], turn(undefined, [2, 1])],
  ["a rollback is source work: it replaces older pushes", [push(1), rollback(2)], turn(2, [], [1])],
  ["a push replaces an older rollback", [rollback(1), push(2)], turn(2, [], [1])],
  ["a config deploy alone", [config(4)], turn(4)],
  ["an older config deploy goes first, and the push stays in the queue", [config(1), push(2), push(3)], turn(1)],
  ["a newer config deploy waits for the push, and is never superseded", [push(1), config(2)], turn(1)],
  ["a config deploy between two pushes goes first: the newest push is younger", [push(1), config(2), push(3)], turn(2)],
  ["where every push misses the tip the config deploy is taken", [push(1, false), config(2)], turn(2, [1])],
])("%s", (_, queue, expected) => {
  expect(chooseTurn(queue)).toEqual(expected);
});
