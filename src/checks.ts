/** What a look at something has found. */
export type Finding = {
  verdict: Verdict;
  /** What is so, in one line. */
  text: string;
  /** What to do now. */
  hint?: string;
};

/** `warning`: it works, and somebody should know; `fault`: something does not work. */
export type Verdict = "ok" | "warning" | "fault";

/** One thing that `zyndra doctor` looks at. Each part brings its own; a look changes nothing. */
export type Check = {
  /** A word or two, e.g. `free disk`. */
  name: string;
  look(signal: AbortSignal): Finding | Promise<Finding>;
};

export type Checked = Finding & { check: string };

const lookWithinMs = 15_000;

/** Looks at everything at once. What breaks or takes too long is itself a finding. */
export function runChecks(checks: readonly Check[], withinMs: number = lookWithinMs): Promise<Checked[]> {
  return Promise.all(checks.map((check) => runCheck(check, withinMs)));
}

async function runCheck({ name, look }: Check, withinMs: number): Promise<Checked> {
  const signal = AbortSignal.timeout(withinMs);
  const late = new Promise<Finding>((resolve) => {
    signal.addEventListener("abort", () =>
      resolve({ verdict: "fault", text: `no answer within ${withinMs / 1000} s` }),
    );
  });
  try {
    return { check: name, ...(await Promise.race([look(signal), late])) };
  } catch (error) {
    return { check: name, verdict: "fault", text: `could not be looked at: ${reasonOf(error)}` };
  }
}

function reasonOf(error: unknown): string {
  const deepest = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return deepest instanceof Error ? deepest.message.split("\n")[0]! : String(deepest);
}

/** The gravest of some findings. */
export function worstOf(findings: readonly Finding[]): Verdict {
  const has = (verdict: Verdict) => findings.some((finding) => finding.verdict === verdict);
  return has("fault") ? "fault" : has("warning") ? "warning" : "ok";
}
