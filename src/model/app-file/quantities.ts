const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `30s`, `5m`, `1h30m` in milliseconds; undefined for what is none. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    ms += Number(count) * unitsMs[unit as keyof typeof unitsMs];
  }
  return Math.round(ms);
}

/** The nearest right way to write what somebody meant as a duration: `5m` for `5 minutes`. */
export function durationMeant(text: string): string | undefined {
  const [, count, word = ""] = /^(\d+(?:\.\d+)?)\s*([a-z]+)\.?$/i.exec(text.trim()) ?? [];
  if (count === undefined) return undefined;
  const units = { ms: /^(ms|milli)/i, s: /^s/i, m: /^m(in|$)/i, h: /^h/i, d: /^d/i };
  const unit = Object.entries(units).find(([, pattern]) => pattern.test(word))?.[0];
  return unit && `${count}${unit}`;
}

/** `1h30m`, the shortest way to write it. */
export function durationText(ms: number): string {
  let left = ms;
  let text = "";
  for (const unit of ["d", "h", "m", "s", "ms"] as const) {
    const count = Math.floor(left / unitsMs[unit]);
    left -= count * unitsMs[unit];
    if (count > 0) text += `${count}${unit}`;
  }
  return text || "0s";
}

/** `512Mi`, `4Gi`, as on Kubernetes. */
export const sizePattern = /^\d+(?:\.\d+)?(?:Ki|Mi|Gi|Ti)$/;
