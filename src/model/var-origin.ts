/** Where config vars of a release come from that nobody has set, by name: a place in a file (`zyndra.yml:31`) or an add-on. */
export type VarOrigins = Record<string, string>;

const addonMark = "add-on ";

/**
 * `add-on db`, `add-on uploads at /app/uploads`: where a volume is mounted is part of a release, also where its folder has the
 * same name wherever it is mounted.
 */
export function addonOrigin(addonName: string, mountPath: string | null): string {
  return `${addonMark}${addonName}${mountPath === null ? "" : ` at ${mountPath}`}`;
}

/** The name of the add-on that a var comes from; undefined where it comes from a file. */
export function addonOf(origin: string): string | undefined {
  return origin.startsWith(addonMark) ? origin.slice(addonMark.length).split(" ")[0] : undefined;
}
