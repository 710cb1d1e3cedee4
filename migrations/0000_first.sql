CREATE TABLE "apps" (
	"id" uuid PRIMARY KEY NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"name" text NOT NULL,
	"main_commit" text,
	"live_release_id" uuid,
	"deploy_count" integer DEFAULT 0 NOT NULL,
	"release_count" integer DEFAULT 0 NOT NULL,
	"formation_revision" integer DEFAULT 0 NOT NULL,
	"formation_applied_revision" integer DEFAULT 0 NOT NULL,
	"lease_holder" uuid,
	"lease_until" timestamp with time zone,
	"fence" bigint DEFAULT 0 NOT NULL,
	"destroy_requested_at" timestamp with time zone,
	"destroy_requested_by" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "apps_name_unique" UNIQUE("name"),
	CONSTRAINT "apps_name" CHECK ("apps"."name" ~ '^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$')
);
--> statement-breakpoint
CREATE TABLE "audit" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "audit_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"org_id" uuid NOT NULL,
	"project_id" uuid,
	"user_id" uuid,
	"actor_name" text NOT NULL,
	"door" text NOT NULL,
	"token_id" text,
	"command" text NOT NULL,
	"subject" text,
	"input" jsonb,
	"outcome" text NOT NULL,
	"reason" text,
	"at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "builds" (
	"id" uuid PRIMARY KEY NOT NULL,
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"commit" text NOT NULL,
	"inputs" text NOT NULL,
	"status" text NOT NULL,
	"image" text,
	"process_types" jsonb,
	"release_command" text,
	"summary" text,
	"size_bytes" bigint,
	"cause" jsonb,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	CONSTRAINT "builds_status" CHECK ("builds"."status" in ('pending', 'succeeded', 'failed'))
);
--> statement-breakpoint
CREATE TABLE "config_vars" (
	"id" uuid PRIMARY KEY NOT NULL,
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"name" text NOT NULL,
	"sealed_value" text NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_by" text NOT NULL,
	CONSTRAINT "config_vars_name" UNIQUE("app_id","name")
);
--> statement-breakpoint
CREATE TABLE "deploys" (
	"id" uuid PRIMARY KEY NOT NULL,
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"number" integer NOT NULL,
	"kind" text NOT NULL,
	"status" text DEFAULT 'queued' NOT NULL,
	"request_id" text NOT NULL,
	"user_id" uuid,
	"actor_name" text NOT NULL,
	"door" text NOT NULL,
	"title" text NOT NULL,
	"commit" text,
	"pushed_over" text,
	"target_release_id" uuid,
	"skip_cache" boolean DEFAULT false NOT NULL,
	"retry_of" integer,
	"build_id" uuid,
	"release_id" uuid,
	"release_command_done_at" timestamp with time zone,
	"switched_at" timestamp with time zone,
	"cause" jsonb,
	"cancel_requested_at" timestamp with time zone,
	"cancel_requested_by" text,
	"lost_leases" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp with time zone,
	"build_started_at" timestamp with time zone,
	"release_started_at" timestamp with time zone,
	"rollout_started_at" timestamp with time zone,
	"finished_at" timestamp with time zone,
	"told_at" timestamp with time zone,
	"reported_at" timestamp with time zone,
	CONSTRAINT "deploys_number" UNIQUE("app_id","number"),
	CONSTRAINT "deploys_request" UNIQUE("app_id","request_id"),
	CONSTRAINT "deploys_status" CHECK ("deploys"."status" in ('queued', 'building', 'releasing', 'rolling_out', 'live', 'failed', 'cancelled', 'superseded')),
	CONSTRAINT "deploys_kind" CHECK ("deploys"."kind" in ('push', 'deploy', 'rollback', 'config'))
);
--> statement-breakpoint
CREATE TABLE "events" (
	"topic" text NOT NULL,
	"seq" integer NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"data" jsonb NOT NULL,
	"once_key" text,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "events_topic_seq_pk" PRIMARY KEY("topic","seq"),
	CONSTRAINT "events_once" UNIQUE("topic","once_key")
);
--> statement-breakpoint
CREATE TABLE "formations" (
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"process_type" text NOT NULL,
	"count" integer NOT NULL,
	CONSTRAINT "formations_app_id_process_type_pk" PRIMARY KEY("app_id","process_type"),
	CONSTRAINT "formations_count" CHECK ("formations"."count" >= 0)
);
--> statement-breakpoint
CREATE TABLE "members" (
	"org_id" uuid NOT NULL,
	"user_id" uuid NOT NULL,
	"role" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "members_org_id_user_id_pk" PRIMARY KEY("org_id","user_id"),
	CONSTRAINT "members_role" CHECK ("members"."role" in ('viewer', 'developer', 'admin', 'owner'))
);
--> statement-breakpoint
CREATE TABLE "orgs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"wrapped_key" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "orgs_name_unique" UNIQUE("name")
);
--> statement-breakpoint
CREATE TABLE "outbox" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "outbox_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "platform" (
	"only" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"id" uuid NOT NULL,
	"setup_code_hash" text,
	"key_check" text NOT NULL,
	"claimed_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "platform_only_one" CHECK ("platform"."only")
);
--> statement-breakpoint
CREATE TABLE "projects" (
	"id" uuid PRIMARY KEY NOT NULL,
	"org_id" uuid NOT NULL,
	"name" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "projects_name" UNIQUE("org_id","name")
);
--> statement-breakpoint
CREATE TABLE "releases" (
	"id" uuid PRIMARY KEY NOT NULL,
	"app_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"version" integer NOT NULL,
	"deploy_id" uuid NOT NULL,
	"build_id" uuid NOT NULL,
	"commit" text NOT NULL,
	"image" text NOT NULL,
	"process_types" jsonb NOT NULL,
	"release_command" text,
	"sealed_config" text NOT NULL,
	"description" text NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"live_at" timestamp with time zone,
	CONSTRAINT "releases_deploy_id_unique" UNIQUE("deploy_id"),
	CONSTRAINT "releases_version" UNIQUE("app_id","version")
);
--> statement-breakpoint
CREATE TABLE "tokens" (
	"id" text PRIMARY KEY NOT NULL,
	"org_id" uuid NOT NULL,
	"user_id" uuid NOT NULL,
	"label" text NOT NULL,
	"secret_hash" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp with time zone,
	"revoked_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "topics" (
	"name" text PRIMARY KEY NOT NULL,
	"org_id" uuid NOT NULL,
	"project_id" uuid NOT NULL,
	"last_seq" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_name_unique" UNIQUE("name")
);
--> statement-breakpoint
ALTER TABLE "apps" ADD CONSTRAINT "apps_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "apps" ADD CONSTRAINT "apps_project_id_projects_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."projects"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "builds" ADD CONSTRAINT "builds_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "config_vars" ADD CONSTRAINT "config_vars_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "deploys" ADD CONSTRAINT "deploys_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "formations" ADD CONSTRAINT "formations_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "members" ADD CONSTRAINT "members_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "members" ADD CONSTRAINT "members_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "projects" ADD CONSTRAINT "projects_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "releases" ADD CONSTRAINT "releases_app_id_apps_id_fk" FOREIGN KEY ("app_id") REFERENCES "public"."apps"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "releases" ADD CONSTRAINT "releases_build_id_builds_id_fk" FOREIGN KEY ("build_id") REFERENCES "public"."builds"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tokens" ADD CONSTRAINT "tokens_org_id_orgs_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."orgs"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "tokens" ADD CONSTRAINT "tokens_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "apps_of_org" ON "apps" USING btree ("org_id","project_id");--> statement-breakpoint
CREATE INDEX "audit_of_org" ON "audit" USING btree ("org_id","id");--> statement-breakpoint
CREATE INDEX "builds_inputs" ON "builds" USING btree ("app_id","inputs");--> statement-breakpoint
CREATE UNIQUE INDEX "deploys_one_running" ON "deploys" USING btree ("app_id") WHERE "deploys"."status" in ('building', 'releasing', 'rolling_out');--> statement-breakpoint
CREATE UNIQUE INDEX "deploys_one_config_waiting" ON "deploys" USING btree ("app_id") WHERE "deploys"."status" = 'queued' and "deploys"."kind" = 'config';--> statement-breakpoint
CREATE INDEX "deploys_unfinished" ON "deploys" USING btree ("app_id") WHERE "deploys"."status" in ('queued', 'building', 'releasing', 'rolling_out') or "deploys"."told_at" is null;--> statement-breakpoint
CREATE INDEX "tokens_of_user" ON "tokens" USING btree ("org_id","user_id");