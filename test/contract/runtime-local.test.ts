import { openLocalBench } from "./local-bench.ts";
import { describeOneOffs } from "./one-offs.ts";
import { describeRuntime } from "./runtime.ts";

describeRuntime("local", () => openLocalBench());
describeOneOffs("local", () => openLocalBench());
