CREATE TABLE "addons" (
	"id" uuid PRIMARY KEY NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"state" text DEFAULT 'creating' NOT NULL,
	"sealed_access" text,
	"cause" jsonb,
	"created_by" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_until" timestamp with time zone,
	"destroy_requested_at" timestamp with time zone,
	"destroy_requested_by" text,
	CONSTRAINT "addons_name" UNIQUE("project_id","name"),
	CONSTRAINT "addons_kind" CHECK ("addons"."kind" in ('postgres', 'volume')),
	CONSTRAINT "addons_state" CHECK ("addons"."state" in ('creating', 'available', 'failed', 'destroying'))
);
--> statement-breakpoint
CREATE TABLE "attachments" (
	"addon_id" uuid NOT NULL,
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"prefix" text NOT NULL,
	"mount_path" text,
	"created_by" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "attachments_addon_id_app_id_pk" PRIMARY KEY("addon_id","app_id"),
	CONSTRAINT "attachments_prefix" UNIQUE("app_id","prefix"),
	CONSTRAINT "attachments_mount" UNIQUE("app_id","mount_path")
);
--> statement-breakpoint
CREATE TABLE "cron_runs" (
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"name" text NOT NULL,
	"due_at" timestamp with time zone NOT NULL,
	"status" text DEFAULT 'running' NOT NULL,
	"version" integer NOT NULL,
	"exit_code" integer,
	"reason" text,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"lease_until" timestamp with time zone,
	"finished_at" timestamp with time zone,
	CONSTRAINT "cron_runs_app_id_name_due_at_pk" PRIMARY KEY("app_id","name","due_at"),
	CONSTRAINT "cron_runs_status" CHECK ("cron_runs"."status" in ('running', 'done', 'failed', 'skipped', 'lost'))
);
--> statement-breakpoint
CREATE TABLE "domains" (
	"host" text PRIMARY KEY NOT NULL,
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"release_id" uuid NOT NULL,
	"command" text NOT NULL,
	"user_id" uuid,
	"actor_name" text NOT NULL,
	"status" text DEFAULT 'waiting' NOT NULL,
	"exit_code" integer,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp with time zone,
	"finished_at" timestamp with time zone,
	CONSTRAINT "runs_status" CHECK ("runs"."status" in ('waiting', 'running', 'ended', 'lost'))
);
--> statement-breakpoint
ALTER TABLE "apps" RENAME COLUMN "formation_revision" TO "wanted_revision";--> statement-breakpoint
ALTER TABLE "apps" RENAME COLUMN "formation_applied_revision" TO "applied_revision";--> statement-breakpoint
ALTER TABLE "apps" ADD COLUMN "restarts" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "apps" ADD COLUMN "maintenance_since" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "apps" ADD COLUMN "maintenance_by" text;--> statement-breakpoint
ALTER TABLE "apps" ADD COLUMN "locked_at" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "apps" ADD COLUMN "locked_by" text;--> statement-breakpoint
ALTER TABLE "apps" ADD COLUMN "lock_reason" text;--> statement-breakpoint
ALTER TABLE "builds" ADD COLUMN "settings" jsonb;--> statement-breakpoint
ALTER TABLE "deploys" ADD COLUMN "force_reason" text;--> statement-breakpoint
ALTER TABLE "releases" ADD COLUMN "config_origins" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "releases" ADD COLUMN "settings" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "addons" ADD CONSTRAINT "addons_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "attachments" ADD CONSTRAINT "attachments_addon_id_addons_id_fk" FOREIGN KEY ("addon_id") REFERENCES "public"."addons"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "attachments" ADD CONSTRAINT "attachments_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "cron_runs" ADD CONSTRAINT "cron_runs_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "domains" ADD CONSTRAINT "domains_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "runs" ADD CONSTRAINT "runs_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "domains_of_app" ON "domains" USING btree ("app_id");--> statement-breakpoint
CREATE INDEX "runs_of_app" ON "runs" USING btree ("app_id","created_at");