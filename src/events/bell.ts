/** Wakes one who waits. A ring that came while nobody waited is still heard. */
export type Bell = {
  ring(): void;
  /** Resolves at a ring, after `withinMs`, or when the signal aborts. */
  heard(withinMs: number): Promise<void>;
};

export function openBell(stop: AbortSignal): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async heard(withinMs) {
      if (!rung && !stop.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, withinMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
          stop.addEventListener("abort", wake, { once: true });
        });
        if (wake) stop.removeEventListener("abort", wake);
        wake = undefined;
      }
      rung = false;
    },
  };
}
