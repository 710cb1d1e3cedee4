import { randomUUID } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openLocalBench } from "./local-bench.ts";
import { describeOneOffs } from "./one-offs.ts";
import { describeRuntime, files, processTypes } from "./runtime.ts";

test("a command of what is live does not bring back the folder of an app that was destroyed", async () => {
  const bench = await openLocalBench();
  try {
    const appId = randomUUID();
    const image = await bench.makeImage(appId, files, processTypes);
    const spec = {
      appId,
      appName: "gone",
      releaseId: randomUUID(),
      version: 1,
      image,
      env: {},
      processTypes,
      formation: {},
    };
    const run = (intoLog: boolean) =>
      bench.runtime.processes.run(spec, "true", () => {}, AbortSignal.timeout(20_000), {
        name: "cron.report",
        intoLog,
      });
    // A release command comes before everything else.
    expect(await run(false)).toBe(0);
    expect(await run(true)).toBe(0);
    await bench.runtime.rollout.destroy(appId, 1);
    await expect(run(true)).rejects.toMatchObject({ code: "gone" });
    expect(await readdir(join(bench.dataDir, "apps"))).toEqual([]);
  } finally {
    await bench.close();
  }
});

describeRuntime("local", () => openLocalBench());
describeOneOffs("local", () => openLocalBench());
