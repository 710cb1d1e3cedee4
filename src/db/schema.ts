import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import type { Role } from "../model/actor.ts";
import type { AddonKind, AddonState } from "../model/addons.ts";
import type { AppSettings } from "../model/app-settings.ts";
import type { Cause } from "../model/cause.ts";
import type { DeployKind, DeployStatus } from "../model/deploy.ts";
import type { EventData } from "../model/event.ts";
import type { ProcessTypes, Restarts } from "../model/process-types.ts";
import type { VarOrigins } from "../model/var-origin.ts";

/**
 * `running` without a lease waits for a worker. `skipped`: another run of the entry still went on, or it could not begin in
 * time. `lost`: its worker died.
 */
export type CronRunStatus = "running" | "done" | "failed" | "skipped" | "lost";
/** `waiting` until somebody watches it; `lost`: whoever ran it died. */
export type RunStatus = "waiting" | "running" | "ended" | "lost";

/** When something happened, by the database's clock: the machines' own clocks decide nothing. */
const moment = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });
const createdAt = () => moment("created_at").notNull().defaultNow();

/** A tenant. */
export const orgs = pgTable("orgs", {
  id: uuid("id").primaryKey(),
  name: text("name").notNull().unique(),
  /** The org's data key, wrapped by the platform's key: all ciphertext of the org is sealed with it. */
  wrappedKey: text("wrapped_key").notNull(),
  createdAt: createdAt(),
});

/** A group of apps, add-ons and volumes in an org; on Kubernetes one namespace. */
export const projects = pgTable(
  "projects",
  {
    id: uuid("id").primaryKey(),
    orgId: uuid("org_id")
      .notNull()
      .references(() => orgs.id),
    name: text("name").notNull(),
    createdAt: createdAt(),
  },
  (table) => [unique("projects_name").on(table.orgId, table.name)],
);

/** A person. What they may do stands in `members`. */
export const users = pgTable("users", {
  id: uuid("id").primaryKey(),
  name: text("name").notNull().unique(),
  createdAt: createdAt(),
});

export const members = pgTable(
  "members",
  {
    orgId: uuid("org_id")
      .notNull()
      .references(() => orgs.id),
    userId: uuid("user_id")
      .notNull()
      .references(() => users.id),
    role: text("role").$type<Role>().notNull(),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.orgId, table.userId] }),
    check("members_role", sql`${table.role} in ('viewer', 'developer', 'admin', 'owner')`),
  ],
);

/** What a person shows to be let in from git, the command line or a program. Only the hash is kept. */
export const tokens = pgTable(
  "tokens",
  {
    id: text("id").primaryKey(),
    orgId: uuid("org_id")
      .notNull()
      .references(() => orgs.id),
    userId: uuid("user_id")
      .notNull()
      .references(() => users.id),
    label: text("label").notNull(),
    secretHash: text("secret_hash").notNull(),
    createdAt: createdAt(),
    lastUsedAt: moment("last_used_at"),
    revokedAt: moment("revoked_at"),
  },
  (table) => [index("tokens_of_user").on(table.orgId, table.userId)],
);

/** One row: this installation. The setup code makes the owner, once. */
export const platform = pgTable(
  "platform",
  {
    only: boolean("only").primaryKey().default(true),
    id: uuid("id").notNull(),
    setupCodeHash: text("setup_code_hash"),
    /** A known text sealed with the platform's key: tells a wrong key at the start. */
    keyCheck: text("key_check").notNull(),
    claimedAt: moment("claimed_at"),
    createdAt: createdAt(),
  },
  (table) => [check("platform_only_one", sql`${table.only}`)],
);

/** A customer's application. Lease and fence stand here: whoever changes what runs holds the app. */
export const apps = pgTable(
  "apps",
  {
    id: uuid("id").primaryKey(),
    orgId: uuid("org_id")
      .notNull()
      .references(() => orgs.id),
    projectId: uuid("project_id")
      .notNull()
      .references(() => projects.id),
    name: text("name").notNull().unique(),
    /** The last pushed or GitHub commit that went live; `refs/heads/main` mirrors it. */
    mainCommit: text("main_commit"),
    liveReleaseId: uuid("live_release_id"),
    deployCount: integer("deploy_count").notNull().default(0),
    releaseCount: integer("release_count").notNull().default(0),
    /**
     * Counts what is changed about the running app without a release: formation, domains, maintenance, restarts, its name.
     * What runs has caught up when the applied one is equal.
     */
    wantedRevision: integer("wanted_revision").notNull().default(0),
    appliedRevision: integer("applied_revision").notNull().default(0),
    restarts: jsonb("restarts").$type<Restarts>().notNull().default({}),
    /** Since when the router answers with a page instead of the app; null = it does not. */
    maintenanceSince: moment("maintenance_since"),
    maintenanceBy: text("maintenance_by"),
    /** While locked, no source work starts. */
    lockedAt: moment("locked_at"),
    lockedBy: text("locked_by"),
    lockReason: text("lock_reason"),
    /** The work that holds the lease, or null: a name made anew for each claim. */
    leaseHolder: uuid("lease_holder"),
    leaseUntil: moment("lease_until"),
    fence: bigint("fence", { mode: "number" }).notNull().default(0),
    destroyRequestedAt: moment("destroy_requested_at"),
    destroyRequestedBy: text("destroy_requested_by"),
    createdAt: createdAt(),
  },
  (table) => [
    index("apps_of_org").on(table.orgId, table.projectId),
    check("apps_name", sql`${table.name} ~ '^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$'`),
  ],
);

/** How many processes of a type are asked for; absent = one web, none of the others. */
export const formations = pgTable(
  "formations",
  {
    appId: uuid("app_id")
      .notNull()
      .references(() => apps.id, { onDelete: "cascade" }),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    processType: text("process_type").notNull(),
    count: integer("count").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.appId, table.processType] }),
    check("formations_count", sql`${table.count} >= 0`),
  ],
);

/** The customer's environment: ciphertext bound to its row. */
export const configVars = pgTable(
  "config_vars",
  {
    id: uuid("id").primaryKey(),
    appId: uuid("app_id")
      .notNull()
      .references(() => apps.id, { onDelete: "cascade" }),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    name: text("name").notNull(),
    sealedValue: text("sealed_value").notNull(),
    updatedAt: moment("updated_at").notNull().defaultNow(),
    updatedBy: text("updated_by").notNull(),
  },
  (table) => [unique("config_vars_name").on(table.appId, table.name)],
);

/** Source to image. A succeeded one is used again for the same source and environment. */
export const builds = pgTable(
  "builds",
  {
    id: uuid("id").primaryKey(),
    appId: uuid("app_id")
      .notNull()
      .references(() => apps.id, { onDelete: "cascade" }),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    commit: text("commit").notNull(),
    /** Hash of all that decides the image: tree, config vars, builder. */
    inputs: text("inputs").notNull(),
    status: text("status").$type<"pending" | "succeeded" | "failed">().notNull(),
    image: text("image"),
    processTypes: jsonb("process_types").$type<ProcessTypes>(),
    releaseCommand: text("release_command"),
    summary: text("summary"),
    sizeBytes: bigint("size_bytes", { mode: "number" }),
    cause: jsonb("cause").$type<Cause>(),
    /** What the commit's own files say; null = it was built before they were read. */
    settings: jsonb("settings").$type<AppSettings>(),
    createdAt: createdAt(),
    finishedAt: moment("finished_at"),
  },
  (table) => [
    index("builds_inputs").on(table.appId, table.inputs),
    check("builds_status", sql`${table.status} in ('pending', 'succeeded', 'failed')`),
  ],
);

/** Immutable: image, config vars and process types, as v1, v2, … */
export const releases = pgTable(
  "releases",
  {
    id: uuid("id").primaryKey(),
    appId: uuid("app_id")
      .notNull()
      .references(() => apps.id, { onDelete: "cascade" }),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    version: integer("version").notNull(),
    /** The deploy that made it; each makes at most one. */
    deployId: uuid("deploy_id").notNull().unique(),
    buildId: uuid("build_id")
      .notNull()
      .references(() => builds.id),
    commit: text("commit").notNull(),
    image: text("image").notNull(),
    processTypes: jsonb("process_types").$type<ProcessTypes>().notNull(),
    releaseCommand: text("release_command"),
    /** All config vars of this release as one sealed JSON text. */
    sealedConfig: text("sealed_config").notNull(),
    /** Where config vars come from that nobody has set: `{"DATABASE_URL": "add-on db", "LOG_LEVEL": "zyndra.yml:31"}`. */
    configOrigins: jsonb("config_origins").$type<VarOrigins>().notNull().default({}),
    settings: jsonb("settings").$type<AppSettings>().notNull().default({}),
    /** What it is, e.g. `3f2c1ab Sell hats`, `config: LOG_LEVEL`, `rollback to v3`. */
    description: text("description").notNull(),
    createdBy: text("created_by").notNull(),
    createdAt: createdAt(),
    /** When it last went live; null = never. */
    liveAt: moment("live_at"),
  },
  (table) => [unique("releases_version").on(table.appId, table.version)],
);

/** One attempt to bring a release to life. */
export const deploys = pgTable(
  "deploys",
  {
    id: uuid("id").primaryKey(),
    appId: uuid("app_id")
      .notNull()
      .references(() => apps.id, { onDelete: "cascade" }),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    number: integer("number").notNull(),
    kind: text("kind").$type<DeployKind>().notNull(),
    status: text("status").$type<DeployStatus>().notNull().default("queued"),
    /** The id of the push (or other request) that asked for it: asking twice is one deploy. */
    requestId: text("request_id").notNull(),
    userId: uuid("user_id"),
    actorName: text("actor_name").notNull(),
    door: text("door").notNull(),
    /** What it is about, e.g. `Sell hats` or `config: LOG_LEVEL`. */
    title: text("title").notNull(),
    /** The commit to build; null for a config deploy, which takes the live release's image. */
    commit: text("commit"),
    /** A push's old value of main (null = there was none). */
    pushedOver: text("pushed_over"),
    /** A rollback's target. */
    targetReleaseId: uuid("target_release_id"),
    skipCache: boolean("skip_cache").notNull().default(false),
    /** The deploy that a retry repeats. */
    retryOf: integer("retry_of"),
    /** Why it was started although the app was locked. */
    forceReason: text("force_reason"),
    buildId: uuid("build_id"),
    releaseId: uuid("release_id"),
    releaseCommandDoneAt: moment("release_command_done_at"),
    /** From here on the runtime's switch cannot be called back, and a cancel is refused. */
    switchedAt: moment("switched_at"),
    cause: jsonb("cause").$type<Cause>(),
    cancelRequestedAt: moment("cancel_requested_at"),
    cancelRequestedBy: text("cancel_requested_by"),
    /** How often a lease ended in the step it stands in: the third time ends the deploy. */
    lostLeases: integer("lost_leases").notNull().default(0),
    createdAt: createdAt(),
    startedAt: moment("started_at"),
    buildStartedAt: moment("build_started_at"),
    releaseStartedAt: moment("release_started_at"),
    rolloutStartedAt: moment("rollout_started_at"),
    finishedAt: moment("finished_at"),
    /** When everyone was told of its end; main is mirrored before. */
    toldAt: moment("told_at"),
    /** When the pusher has read how it ended: in the push itself, or at the head of the next one. */
    reportedAt: moment("reported_at"),
  },
  (table) => [
    unique("deploys_number").on(table.appId, table.number),
    unique("deploys_request").on(table.appId, table.requestId),
    uniqueIndex("deploys_one_running")
      .on(table.appId)
      .where(sql`${table.status} in ('building', 'releasing', 'rolling_out')`),
    uniqueIndex("deploys_one_config_waiting")
      .on(table.appId)
      .where(sql`${table.status} = 'queued' and ${table.kind} = 'config'`),
    index("deploys_unfinished")
      .on(table.appId)
      .where(sql`${table.status} in ('queued', 'building', 'releasing', 'rolling_out') or ${table.toldAt} is null`),
    check(
      "deploys_status",
      sql`${table.status} in ('queued', 'building', 'releasing', 'rolling_out', 'live', 'failed', 'cancelled', 'superseded')`,
    ),
    check("deploys_kind", sql`${table.kind} in ('push', 'deploy', 'rollback', 'config')`),
  ],
);

/** A database or a volume of a project. Its apps reach it through attachments. */
export const addons = pgTable(
  "addons",
  {
    id: uuid("id").primaryKey(),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id")
      .notNull()
      .references(() => projects.id),
    kind: text("kind").$type<AddonKind>().notNull(),
    name: text("name").notNull(),
    state: text("state").$type<AddonState>().notNull().default("creating"),
    /** How it is reached (`AddonAccess` as sealed JSON): written before anything is made, so that its password stays the same. */
    sealedAccess: text("sealed_access"),
    /** Why it could not be made; while it is made or destroyed, what stood in the way last. */
    cause: jsonb("cause").$type<Cause>(),
    createdBy: text("created_by").notNull(),
    createdAt: createdAt(),
    /** Whoever works on it holds it until then. */
    leaseUntil: moment("lease_until"),
    destroyRequestedAt: moment("destroy_requested_at"),
    destroyRequestedBy: text("destroy_requested_by"),
  },
  (table) => [
    unique("addons_name").on(table.projectId, table.name),
    check("addons_kind", sql`${table.kind} in ('postgres', 'volume')`),
    check("addons_state", sql`${table.state} in ('creating', 'available', 'failed', 'destroying')`),
  ],
);

/** An add-on's config vars in an app. `prefix` begins their names: DATABASE_URL, DATABASE_HOST, … */
export const attachments = pgTable(
  "attachments",
  {
    addonId: uuid("addon_id")
      .notNull()
      .references(() => addons.id),
    appId: uuid("app_id")
      .notNull()
      .references(() => apps.id, { onDelete: "cascade" }),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    prefix: text("prefix").notNull(),
    /** Where a volume is mounted, e.g. `/app/uploads`. */
    mountPath: text("mount_path"),
    createdBy: text("created_by").notNull(),
    createdAt: createdAt(),
  },
  (table) => [
    primaryKey({ columns: [table.addonId, table.appId] }),
    unique("attachments_prefix").on(table.appId, table.prefix),
    unique("attachments_mount").on(table.appId, table.mountPath),
  ],
);

/** A host name besides the app's own; it leads to one app. */
export const domains = pgTable(
  "domains",
  {
    host: text("host").primaryKey(),
    appId: uuid("app_id")
      .notNull()
      .references(() => apps.id, { onDelete: "cascade" }),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    createdBy: text("created_by").notNull(),
    createdAt: createdAt(),
  },
  (table) => [index("domains_of_app").on(table.appId)],
);

/** One due moment of a cron entry: whoever claims the row runs it, so that each runs once. */
export const cronRuns = pgTable(
  "cron_runs",
  {
    appId: uuid("app_id")
      .notNull()
      .references(() => apps.id, { onDelete: "cascade" }),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    /** The entry's name in the app's files. */
    name: text("name").notNull(),
    dueAt: moment("due_at").notNull(),
    status: text("status").$type<CronRunStatus>().notNull().default("running"),
    version: integer("version").notNull(),
    exitCode: integer("exit_code"),
    reason: text("reason"),
    startedAt: moment("started_at").notNull().defaultNow(),
    /** A running one whose worker died is over by then. */
    leaseUntil: moment("lease_until"),
    finishedAt: moment("finished_at"),
  },
  (table) => [
    primaryKey({ columns: [table.appId, table.name, table.dueAt] }),
    // What waits or goes on is few among all that are remembered, and is looked for with every ring.
    index("cron_runs_running").on(table.appId, table.dueAt).where(sql`${table.status} = 'running'`),
    check("cron_runs_status", sql`${table.status} in ('running', 'done', 'failed', 'skipped', 'lost')`),
  ],
);

/** A command that somebody runs once in an app's image and environment (`run`). */
export const runs = pgTable(
  "runs",
  {
    id: uuid("id").primaryKey(),
    appId: uuid("app_id")
      .notNull()
      .references(() => apps.id, { onDelete: "cascade" }),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    releaseId: uuid("release_id").notNull(),
    /** Sealed: a secret may stand in it. */
    command: text("command").notNull(),
    /** Who alone may attach to it; null = nobody, its output goes into the app's log. */
    userId: uuid("user_id"),
    actorName: text("actor_name").notNull(),
    status: text("status").$type<RunStatus>().notNull().default("waiting"),
    exitCode: integer("exit_code"),
    createdAt: createdAt(),
    startedAt: moment("started_at"),
    finishedAt: moment("finished_at"),
  },
  (table) => [
    index("runs_of_app").on(table.appId, table.createdAt),
    check("runs_status", sql`${table.status} in ('waiting', 'running', 'ended', 'lost')`),
  ],
);

/** Rings still to be passed on to the queue. */
export const outbox = pgTable("outbox", {
  id: bigint("id", { mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
  appId: uuid("app_id").notNull(),
  orgId: uuid("org_id").notNull(),
  projectId: uuid("project_id").notNull(),
  createdAt: createdAt(),
});

/** The last number given out in each stream of events: its row lock makes the numbers gapless and in order. */
export const topics = pgTable("topics", {
  name: text("name").primaryKey(),
  orgId: uuid("org_id").notNull(),
  projectId: uuid("project_id").notNull(),
  lastSeq: integer("last_seq").notNull(),
});

/** What happened, numbered within its topic (`deploy:ID`, `app:ID`). A deploy's log lines come in numbered chunks. */
export const events = pgTable(
  "events",
  {
    topic: text("topic").notNull(),
    seq: integer("seq").notNull(),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id").notNull(),
    data: jsonb("data").$type<EventData>().notNull(),
    /** Given by a writer that may have to write again after a lost answer; the second time changes nothing. */
    onceKey: text("once_key"),
    at: moment("at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.topic, table.seq] }), unique("events_once").on(table.topic, table.onceKey)],
);

/** Who did what, from where, and how it went. Rows are only ever added. */
export const audit = pgTable(
  "audit",
  {
    id: bigint("id", { mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
    orgId: uuid("org_id").notNull(),
    projectId: uuid("project_id"),
    userId: uuid("user_id"),
    actorName: text("actor_name").notNull(),
    door: text("door").notNull(),
    tokenId: text("token_id"),
    command: text("command").notNull(),
    /** The app or other thing it was about, as named. */
    subject: text("subject"),
    /** What was asked, without secret values. */
    input: jsonb("input").$type<Record<string, unknown>>(),
    outcome: text("outcome").$type<"done" | "refused" | "failed">().notNull(),
    reason: text("reason"),
    at: moment("at").notNull().defaultNow(),
  },
  (table) => [index("audit_of_org").on(table.orgId, table.id)],
);

export type AppRow = typeof apps.$inferSelect;
export type DeployRow = typeof deploys.$inferSelect;
export type ReleaseRow = typeof releases.$inferSelect;
export type BuildRow = typeof builds.$inferSelect;
export type AddonRow = typeof addons.$inferSelect;
export type AttachmentRow = typeof attachments.$inferSelect;
export type DomainRow = typeof domains.$inferSelect;
export type CronRunRow = typeof cronRuns.$inferSelect;
export type RunRow = typeof runs.$inferSelect;
