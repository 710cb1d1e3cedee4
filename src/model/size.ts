/** `48 MB` */
export function sizeWords(sizeBytes: number): string {
  if (sizeBytes < 1_000_000) return `${Math.max(1, Math.round(sizeBytes / 1_000))} kB`;
  const megabytes = sizeBytes / 1_000_000;
  return megabytes < 10
    ? `${megabytes.toFixed(1)} MB`
    : megabytes < 10_000
      ? `${Math.round(megabytes)} MB`
      : `${Math.round(megabytes / 1_000)} GB`;
}
