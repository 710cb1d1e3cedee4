import { describe, expect, test } from "vitest";
import { changedFormation, FormationChangeWords } from "../../src/model/formation-changes.ts";

test.each([
  [["web=2", "worker=0"], { web: { to: 2 }, worker: { to: 0 } }],
  [["web+1", "worker-2"], { web: { by: 1 }, worker: { by: -2 } }],
  [["web:3"], { web: { to: 3 } }],
  // A hyphen is part of a name as well.
  [["my-worker=1", "my-worker2-1"], { "my-worker": { to: 1 }, "my-worker2": { by: -1 } }],
  [["web=1", "web=2"], { web: { to: 2 } }],
  [[], {}],
])("%j is understood", (words, changes) => {
  expect(FormationChangeWords.parse(words)).toEqual(changes);
});

test.each([
  ["web", '"web" is no TYPE=COUNT, such as web=2, web+1 or web-1'],
  ["web=", '"web=" is no TYPE=COUNT, such as web=2, web+1 or web-1'],
  ["web=-1", '"web=-1" is no TYPE=COUNT, such as web=2, web+1 or web-1'],
  ["web=2.5", '"web=2.5" is no TYPE=COUNT, such as web=2, web+1 or web-1'],
  ["2=web", '"2=web" is no TYPE=COUNT, such as web=2, web+1 or web-1'],
  ["web=2:standard-2x", "processes have no sizes here, so web takes a count alone: web=2"],
  ["web=standard-2x", "processes have no sizes here: web takes a count, such as web=2"],
  ["web:Basic", "processes have no sizes here: web takes a count, such as web=2"],
  ["web=51", "web=51 is too many: 50 processes of a type are the limit"],
])("%s is refused in a sentence", (word, sentence) => {
  expect(FormationChangeWords.safeParse([word]).error!.issues.map(({ message }) => message)).toEqual([sentence]);
});

describe("changes lead", () => {
  test("from what there is to other counts, of the types that were named alone", () => {
    const changes = FormationChangeWords.parse(["web+2", "worker-1", "clock=1"]);
    expect(changedFormation({ web: 1, worker: 1, other: 4 }, changes)).toEqual({ web: 3, worker: 0, clock: 1 });
  });

  test("nowhere beyond the limit, nor below none", () => {
    expect(changedFormation({ web: 1 }, { web: { by: -3 } })).toBe(
      "web is at 1, so there are none to take away beyond that",
    );
    expect(changedFormation({ web: 49 }, { web: { by: 2 } })).toMatch(/^web=51 is too many/);
  });
});
