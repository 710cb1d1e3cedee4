import { expect, test } from "vitest";
import { type DeployTimes, deploySteps, stepInWords } from "../../src/model/deploy-steps.ts";

const at = (seconds: number) => new Date(Date.UTC(2026, 10, 26, 12, 0, seconds));
const nothing = { buildStartedAt: null, releaseStartedAt: null, rolloutStartedAt: null, finishedAt: null };

test.each<[string, Omit<DeployTimes, "createdAt">, string[]]>([
  ["waits", { ...nothing, status: "queued" }, ["wait running for 50 s"]],
  ["is built", { ...nothing, status: "building", buildStartedAt: at(2) }, ["wait 2.0 s", "build running for 48 s"]],
  [
    "is live",
    { status: "live", buildStartedAt: at(2), releaseStartedAt: at(23), rolloutStartedAt: at(27), finishedAt: at(38) },
    ["wait 2.0 s", "build 21 s", "release 4.0 s", "roll-out 11 s"],
  ],
  [
    "took an image that was there",
    { ...nothing, status: "live", releaseStartedAt: at(1), rolloutStartedAt: at(2), finishedAt: at(4) },
    ["wait 1.0 s", "release 1.0 s", "roll-out 2.0 s"],
  ],
  [
    "failed in its build",
    { ...nothing, status: "failed", buildStartedAt: at(1), finishedAt: at(14) },
    ["wait 1.0 s", "build failed after 13 s"],
  ],
  [
    "was cancelled before it began",
    { ...nothing, status: "cancelled", finishedAt: at(5) },
    ["wait cancelled after 5.0 s"],
  ],
])("a deploy that %s", (_, times, told) => {
  const steps = deploySteps({ createdAt: at(0), ...times }, at(50));
  expect(steps.map((step) => `${step.name} ${stepInWords(step)}`)).toEqual(told);
});
