import { setTimeout as delay } from "node:timers/promises";

/** Asks again and again until `ask` answers without throwing (and not false); the deadline is generous, not a measurement. */
export async function eventually<T>(
  ask: () => Promise<T> | T,
  options: { withinMs?: number; what?: string } = {},
): Promise<T> {
  const deadline = Date.now() + (options.withinMs ?? 15_000);
  for (;;) {
    let problem: unknown;
    try {
      const answer = await ask();
      if (answer !== false) return answer;
      problem = new Error(`still false: ${options.what ?? ask.toString()}`);
    } catch (error) {
      problem = error;
    }
    if (Date.now() > deadline) throw problem;
    await delay(20);
  }
}
