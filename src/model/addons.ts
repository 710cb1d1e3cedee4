import { z } from "zod";
import { clip } from "./names.ts";

/** What can be attached to an app and contributes config vars. A volume is one of them, with commands of its own. */
export type AddonKind = "postgres" | "volume";

/** creating → available; failed says why; destroying until nothing of it is left. */
export type AddonState = "creating" | "available" | "failed" | "destroying";

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
export type VolumeMount = {
  addonId: string;
  name: string;
  /** Absolute, e.g. `/app/uploads`. */
  path: string;
};

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

/** An add-on's name, unique in its project: as an app's, and long enough for `APP-postgres`. */
export const AddonName = z.string({ error: "what is it to be called?" }).regex(/^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/, {
  error: (issue) =>
    `"${clip(String(issue.input))}" is not a good name: an add-on's name has 1 to 40 lower-case letters, digits and hyphens, starts with a letter and does not end with a hyphen`,
});

/** How the names of an attachment's config vars begin. `DATABASE_URL` is understood as well as `database`. */
export const Prefix = z
  .string()
  .transform((word) => word.toUpperCase().replace(/_(URL|PATH)$/, ""))
  .refine((word) => /^[A-Z][A-Z0-9_]{0,99}$/.test(word) && !word.startsWith("ZYNDRA"), {
    error: (issue) =>
      `"${clip(String(issue.input))}" is no beginning of config vars' names: letters, digits and underscores, a letter first, not ZYNDRA`,
  });

/** What the config vars begin with where nobody has said it: the first database of an app is its DATABASE. */
export function defaultPrefix(kind: AddonKind, name: string): string {
  return kind === "postgres" ? "DATABASE" : name.toUpperCase().replaceAll("-", "_");
}

/** Where a volume is mounted where nobody has said it. */
export function defaultMountPath(name: string): string {
  return `${appHome}/${name}`;
}

/** The folder that an app's own files are in, wherever it runs. */
export const appHome = "/app";

/** Folders that the system or the runtime needs for itself. */
const takenFolders = /^\/(bin|boot|dev|etc|lib|lib32|lib64|opt|proc|root|run|sbin|sys|tmp|usr)(\/|$)/;

/** A folder each is made for it, and looked at with each release. */
const deepestMount = 10;

/** Where a volume is mounted. */
export const MountPath = z
  .string()
  .max(150, "a mount path has 150 characters at most")
  .transform((path) => (path.length > 1 ? path.replace(/\/+$/, "") : path))
  .refine((path) => /^(\/[\w@%+=:,.~-]+)+$/.test(path) && !/\/\.\.?(\/|$)/.test(path), {
    error: (issue) => `"${clip(String(issue.input))}" is no mount path: /app/uploads, for example`,
  })
  .refine((path) => path.split("/").length - 1 <= deepestMount, {
    error: `a mount path is ${deepestMount} folders deep at most: /app/uploads, for example`,
  })
  .refine((path) => path !== appHome && !takenFolders.test(path) && !/^\/app\/\.(zyndra|git)/.test(path), {
    error: (issue) =>
      `nothing can be mounted at ${String(issue.input)}, which is needed for something else: /app/uploads, for example`,
  });

/** Whether one path is the other, or lies below it. */
export function overlaps(one: string, other: string): boolean {
  return `${one}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${one}/`);
}

/** The words by which people know the databases that there are. */
const engines = new Map<string, AddonKind>(
  ["postgres", "postgresql", "heroku-postgresql", "pg"].map((word) => [word, "postgres"]),
);

/** The kind that somebody means by `postgres` or `heroku-postgresql:mini`; undefined where there is none such. */
export function engineCalled(word: string): AddonKind | undefined {
  return engines.get(word.toLowerCase().split(":")[0]!);
}
