import { resolve } from "node:path";
import { z } from "zod";
import { UserError } from "./errors.ts";
import type { LogLevel } from "./log.ts";

/** The platform's own settings, read once at the start. */
export type Config = {
  /** Everything the platform keeps: repositories, slugs, logs, keys, the embedded database. */
  dataDir: string;
  host: string;
  port: number;
  /** The address people type, without a slash at the end. */
  publicUrl: string;
  /** Other names that lead here, in lower case. */
  otherHosts: string[];
  plainHttpAllowed: boolean;
  database: { kind: "embedded" } | { kind: "postgres"; url: string };
  packTransport: "node-git-server" | "direct";
  logLevel: LogLevel;
  /** What builds need of the machine's own environment to reach the registries; nothing else of it reaches them. */
  registryEnv: Record<string, string>;
  /** Where git and the programs of builds are looked for. */
  searchPath: string;
  limits: {
    buildMs: number;
    releaseMs: number;
    rolloutMs: number;
    drainMs: number;
    leaseMs: number;
    appsAtOnce: number;
    cronAtOnce: number;
  };
};

const registryVariable =
  /^(?:https?_proxy|no_proxy|all_proxy|node_extra_ca_certs|ssl_cert_(?:file|dir)|requests_ca_bundle|curl_ca_bundle|npm_config_(?:registry|cafile|noproxy)|pip_(?:index_url|extra_index_url|cert|find_links|trusted_host|default_timeout)|uv_(?:index_url|default_index)|goproxy|gonosumdb|gonosumcheck|gosumdb)$/i;

const defaultSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const seconds = (name: string, start: number, most: number) =>
  z.coerce
    .number({ error: `${name} must be a number of seconds` })
    .positive(`${name} must be more than 0 seconds`)
    .max(most, `${name} can be ${most} seconds at most`)
    .default(start)
    .transform((count) => count * 1000);

const Environment = z
  .object({
    ZYNDRA_DATA: z.string().min(1, "ZYNDRA_DATA is empty: name a folder").default(".zyndra"),
    HOST: z.string().min(1).default("127.0.0.1"),
    PORT: z.coerce
      .number({ error: "PORT must be a number from 1 to 65535" })
      .int()
      .min(1, "PORT must be a number from 1 to 65535")
      .max(65_535, "PORT must be a number from 1 to 65535")
      .default(7878),
    ZYNDRA_URL: z
      .url({ protocol: /^https?$/, error: "ZYNDRA_URL must be an address such as https://zyndra.example.org" })
      .optional(),
    ZYNDRA_OTHER_HOSTS: z
      .string()
      .transform((text) =>
        text
          .toLowerCase()
          .split(/[\s,]+/)
          .filter((host) => host !== ""),
      )
      .refine((hosts) => hosts.every((host) => /^[a-z0-9.-]+$/.test(host)), {
        error: "ZYNDRA_OTHER_HOSTS must be host names with commas between them",
      })
      .default([]),
    ZYNDRA_ALLOW_PLAIN_HTTP: z
      .enum(["0", "1"], {
        error: "ZYNDRA_ALLOW_PLAIN_HTTP is 1 to take tokens over plain HTTP from other machines, else 0",
      })
      .default("0"),
    DATABASE_URL: z
      .string()
      .regex(/^postgres(ql)?:\/\//, "DATABASE_URL must begin with postgres://")
      .optional(),
    ZYNDRA_PACK_TRANSPORT: z
      .enum(["node-git-server", "direct"], { error: "ZYNDRA_PACK_TRANSPORT is node-git-server or direct" })
      .default("node-git-server"),
    ZYNDRA_BUILD_SECONDS: seconds("ZYNDRA_BUILD_SECONDS", 1200, 86_400),
    ZYNDRA_RELEASE_SECONDS: seconds("ZYNDRA_RELEASE_SECONDS", 600, 86_400),
    ZYNDRA_ROLLOUT_SECONDS: seconds("ZYNDRA_ROLLOUT_SECONDS", 120, 3600),
    ZYNDRA_DRAIN_SECONDS: seconds("ZYNDRA_DRAIN_SECONDS", 30, 3600),
    ZYNDRA_LEASE_SECONDS: seconds("ZYNDRA_LEASE_SECONDS", 6, 600),
    ZYNDRA_APPS_AT_ONCE: z.coerce
      .number({ error: "ZYNDRA_APPS_AT_ONCE must be a number" })
      .int()
      .min(1, "ZYNDRA_APPS_AT_ONCE must be at least 1")
      .max(100)
      .default(4),
    ZYNDRA_CRON_AT_ONCE: z.coerce
      .number({ error: "ZYNDRA_CRON_AT_ONCE must be a number" })
      .int()
      .min(1, "ZYNDRA_CRON_AT_ONCE must be at least 1")
      .max(100)
      .default(10),
    LOG_LEVEL: z
      .enum(["debug", "info", "warn", "error", "silent"], { error: "LOG_LEVEL is debug, info, warn, error or silent" })
      .default("info"),
  })
  .transform((env): Omit<Config, "registryEnv" | "searchPath"> => {
    const publicUrl = (env.ZYNDRA_URL ?? `http://localhost:${env.PORT}`).replace(/\/+$/, "");
    return {
      dataDir: resolve(env.ZYNDRA_DATA),
      host: env.HOST,
      port: env.PORT,
      publicUrl,
      otherHosts: env.ZYNDRA_OTHER_HOSTS,
      plainHttpAllowed: env.ZYNDRA_ALLOW_PLAIN_HTTP === "1",
      database: env.DATABASE_URL === undefined ? { kind: "embedded" } : { kind: "postgres", url: env.DATABASE_URL },
      packTransport: env.ZYNDRA_PACK_TRANSPORT,
      logLevel: env.LOG_LEVEL,
      limits: {
        buildMs: env.ZYNDRA_BUILD_SECONDS,
        releaseMs: env.ZYNDRA_RELEASE_SECONDS,
        rolloutMs: env.ZYNDRA_ROLLOUT_SECONDS,
        drainMs: env.ZYNDRA_DRAIN_SECONDS,
        leaseMs: env.ZYNDRA_LEASE_SECONDS,
        appsAtOnce: env.ZYNDRA_APPS_AT_ONCE,
        cronAtOnce: env.ZYNDRA_CRON_AT_ONCE,
      },
    };
  });

/** Reads the settings; all faults are told at once. An empty variable counts as not set. @throws UserError bad_input */
export function readConfig(env: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = Environment.safeParse(given);
  if (parsed.success)
    return { ...parsed.data, registryEnv: registryVariables(given), searchPath: given.PATH ?? defaultSearchPath };
  const faults = [...new Set(parsed.error.issues.map((issue) => issue.message))];
  throw new UserError("bad_input", faults.join("; "), "docs/configuration.md lists the settings");
}

/**
 * Of an environment, what tools need to reach registries: proxies, certificates, the registries' addresses. No secret is
 * among them by design.
 */
export function registryVariables(env: Record<string, string | undefined>): Record<string, string> {
  const chosen = Object.entries(env).filter(([name, value]) => value !== undefined && registryVariable.test(name));
  return Object.fromEntries(chosen) as Record<string, string>;
}
