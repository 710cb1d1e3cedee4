/** What can be attached to an app and contributes config vars. A volume is one of them, with commands of its own. */
export const addonKinds = ["postgres", "volume"] as const;
export type AddonKind = (typeof addonKinds)[number];

/** creating → available; failed says why; destroying until nothing of it is left. */
export const addonStates = ["creating", "available", "failed", "destroying"] as const;
export type AddonState = (typeof addonStates)[number];

/** How a database is reached, by whoever may: kept sealed. */
export type DatabaseAccess = {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  /** As in a connection URL's `sslmode`; absent: the program decides. */
  sslMode?: string;
};
/** The folder in which the app's processes find a volume; null: where it is mounted. */
export type VolumeAccess = { folder: string | null };
export type AddonAccess = DatabaseAccess | VolumeAccess;

/** A volume as a runtime mounts it. */
export type VolumeMount = { addonId: string; name: string /** Absolute, e.g. `/app/uploads`. */; path: string };

/** The config vars that an attachment contributes, by role: `DATABASE_URL`, `DATABASE_HOST`, … or `UPLOADS_PATH`. */
export function attachedVars(prefix: string, access: AddonAccess, mountPath: string | null): Record<string, string> {
  if ("folder" in access) return { [`${prefix}_PATH`]: access.folder ?? mountPath ?? "" };
  const { host, port, user, password, database, sslMode } = access;
  const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  const place = `${host.includes(":") ? `[${host}]` : host}:${port}/${encodeURIComponent(database)}`;
  return {
    [`${prefix}_URL`]: `postgres://${login}@${place}${sslMode === undefined ? "" : `?sslmode=${sslMode}`}`,
    [`${prefix}_HOST`]: host,
    [`${prefix}_PORT`]: String(port),
    [`${prefix}_USER`]: user,
    [`${prefix}_PASSWORD`]: password,
    [`${prefix}_NAME`]: database,
  };
}

/** The names that an attachment takes, before there is anything to fill them with. */
export function attachedNames(kind: AddonKind, prefix: string): string[] {
  const roles = kind === "volume" ? ["PATH"] : ["URL", "HOST", "PORT", "USER", "PASSWORD", "NAME"];
  return roles.map((role) => `${prefix}_${role}`);
}

/** Of what attachments contribute only these are secret: hiding `127.0.0.1` wherever it stands would spoil every log. */
export function isSecretRole(name: string): boolean {
  return /_(URL|PASSWORD)$/.test(name);
}
