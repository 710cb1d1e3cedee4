/** Does something with every item, a limited number at a time. The first failure ends it, after what is under way. */
export async function forEachLimited<T>(
  items: readonly T[],
  atOnce: number,
  signal: AbortSignal,
  act: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let hasFailed = false;
  const work = async () => {
    while (next < items.length && !hasFailed) {
      signal.throwIfAborted();
      await act(items[next++]!);
    }
  };
  const results = await Promise.allSettled(
    Array.from({ length: Math.min(atOnce, items.length) }, () =>
      work().catch((error) => {
        hasFailed = true;
        throw error;
      }),
    ),
  );
  const failure = results.find((result) => result.status === "rejected");
  if (failure) throw failure.reason;
}
