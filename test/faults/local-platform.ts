/**
 * A platform of its own process, to be killed: rolls out the release of a file, and at the last word either waits to be
 * killed or says yes and kills itself some milliseconds later. Arguments: data folder, file, milliseconds or "wait" or
 * "run COMMAND"; "flood COMMAND" has an input without end, "terminal COMMAND" a terminal.
 */
import { createReadStream, readFileSync } from "node:fs";
import { openLog } from "../../src/log.ts";
import { openLocalRuntime } from "../../src/runtime/local/local.ts";
import type { ReleaseSpec } from "../../src/runtime/runtime.ts";

const [dataDir = "", specFile = "", when = "wait"] = process.argv.slice(2);
const spec = JSON.parse(readFileSync(specFile, "utf8")) as ReleaseSpec;
const runtime = await openLocalRuntime({
  dataDir,
  log: openLog("silent"),
  publicUrl: (appName) => `http://${appName}.localhost`,
  stopGraceMs: 3_000,
  drainTimeoutMs: 500,
});
const signal = new AbortController().signal;

if (when.startsWith("run ")) {
  await runtime.processes.run(spec, when.slice(4), ({ text }) => console.log(text), signal);
} else if (/^(flood|terminal) /.test(when)) {
  const [, kind, command = ""] = /^(\w+) (.*)/s.exec(when)!;
  await runtime.processes.attach(
    spec,
    command,
    {
      stdin: kind === "flood" ? createReadStream("/dev/zero") : process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      ...(kind === "terminal" ? { terminal: { type: "xterm", size: { columns: 80, rows: 24 } } } : {}),
      onSignal: () => {},
    },
    signal,
  );
} else {
  const outcome = await runtime.rollout.apply(spec, 1, {
    write: ({ text }) => console.log(text),
    maySwitch: async () => {
      console.log("last word");
      if (when === "wait") await new Promise(() => {});
      setTimeout(() => process.kill(process.pid, "SIGKILL"), Number(when));
      return true;
    },
    signal,
    timeoutMs: 20_000,
  });
  console.log(JSON.stringify(outcome));
}
