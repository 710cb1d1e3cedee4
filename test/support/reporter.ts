import { Console } from "node:console";
import { inspect } from "node:util";
import type { Reporter, SerializedError, TestCase, TestModule, TestRunEndReason, TestSuite, Vitest } from "vitest/node";

type UserConsoleLog = Parameters<NonNullable<Reporter["onUserConsoleLog"]>>[0];

/**
 * One line per file, failures in full, skipped tests by name, and as the very last line of the run `N passed, N failed`.
 * Whatever is not a passed test counts as failed there: a file that cannot be loaded, a hook, an unhandled error, a run of nothing.
 */
export default class PlainReporter implements Reporter {
  private vitest: Vitest | undefined;
  private lastLine = "0 passed, 1 failed"; // Until a run has ended, none has passed.
  private readonly printed = new Map<string, string>();

  onInit(vitest: Vitest): void {
    this.vitest = vitest;
    vitest.logger.console = new Console(process.stdout); // Failures stand where the rest of the report does.
    process.once("exit", () => process.stdout.write(`${this.lastLine}\n`));
  }

  /** What tests print is shown for those that fail. */
  onUserConsoleLog({ taskId = "", content }: UserConsoleLog): void {
    this.printed.set(taskId, (this.printed.get(taskId) ?? "") + content);
  }

  onTestModuleEnd(module: TestModule): void {
    const counts = countTests([module]);
    const words = [`${counts.passed} passed`];
    if (counts.failed > 0) words.push(`${counts.failed} failed`);
    if (counts.skipped > 0 && !this.isFiltered()) words.push(`${counts.skipped} skipped`);
    const { duration, collectDuration } = module.diagnostic();
    const seconds = ((duration + collectDuration) / 1000).toFixed(1);
    const mark = counts.failed > 0 ? "FAIL" : "ok  ";
    console.log(`${mark} ${module.relativeModuleId}  ${words.join(", ")}  ${seconds} s`);
  }

  onTestRunEnd(
    modules: ReadonlyArray<TestModule>,
    unhandledErrors: ReadonlyArray<SerializedError>,
    reason: TestRunEndReason,
  ): void {
    for (const module of modules) this.printFailures(module);
    for (const error of unhandledErrors) this.printFailure("an error that nobody handled", [error]);
    const counts = countTests(modules);
    const failed = counts.failed + unhandledErrors.length;
    if (!this.isFiltered()) printSkipped(modules);
    if (reason === "interrupted") console.log("\nThe run was interrupted.");
    if (counts.passed + failed === 0) console.log("\nNo test was run.");
    this.lastLine = `${counts.passed} passed, ${failed} failed`;
    if (counts.skipped > 0 && !this.isFiltered()) this.lastLine += `, ${counts.skipped} skipped`;
    if (failed > 0 || counts.passed === 0) process.exitCode = 1;
  }

  /** With `-t NAME` all other tests count as skipped, which is no news. */
  private isFiltered(): boolean {
    return this.vitest?.config.testNamePattern !== undefined;
  }

  private printFailures(module: TestModule): void {
    const file = module.relativeModuleId;
    this.printFailure(`${file} (the file as a whole)`, module.errors(), this.printed.get(module.id));
    for (const suite of module.children.allSuites()) this.printFailure(`${file} > ${suite.fullName}`, suite.errors());
    for (const test of module.children.allTests("failed")) {
      this.printFailure(`${file} > ${test.fullName}`, test.result().errors ?? [], this.printed.get(test.id));
    }
  }

  private printFailure(title: string, errors: ReadonlyArray<unknown>, printed = ""): void {
    if (errors.length === 0) return;
    console.log(`\n---- FAIL ${title}`);
    for (const error of errors) {
      if (this.vitest) this.vitest.logger.printError(error, { fullStack: false });
      else console.log(inspect(error));
    }
    if (printed !== "") console.log(`it printed:\n${printed.trimEnd()}`);
  }
}

type Counts = { passed: number; failed: number; skipped: number };

function countTests(modules: ReadonlyArray<TestModule>): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === "passed" || state === "skipped") counts[state] += 1;
      else counts.failed += 1; // A test that never ended did not pass either.
    }
    const groups: (TestModule | TestSuite)[] = [module, ...module.children.allSuites()];
    counts.failed += groups.filter((group) => group.errors().length > 0).length;
  }
  return counts;
}

function printSkipped(modules: ReadonlyArray<TestModule>): void {
  const skipped = modules.flatMap((module) => [...module.children.allTests("skipped")]);
  if (skipped.length > 0) console.log("\nSkipped:");
  for (const test of skipped) console.log(`  ${test.module.relativeModuleId} > ${test.fullName}${reasonOf(test)}`);
}

function reasonOf(test: TestCase): string {
  const result = test.result();
  return result.state === "skipped" && result.note !== undefined ? ` (${result.note})` : "";
}
