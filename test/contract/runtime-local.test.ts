import { openLocalBench } from "./local-bench.ts";
import { describeRuntime } from "./runtime.ts";

describeRuntime("local", () => openLocalBench());
