import type { Check } from "../../checks.ts";
import type { Database } from "../../db/client.ts";
import { countMigrations, lookAtServer } from "../../db/condition.ts";
import { duration } from "../../model/deploy.ts";

/** A database on the same machine answers in one; more than this is felt in every command. */
const slowMs = 100;
/** Leases are counted by the database's clock, logs by ours. */
const mostSkewMs = 5_000;

export function databaseChecks({ db }: Database, kind: "embedded" | "postgres"): Check[] {
  return [
    {
      name: "database",
      async look() {
        const { version, startedAt, latencyMs } = await lookAtServer(db);
        const upFor = duration(Date.now() - startedAt.getTime());
        const name = kind === "embedded" ? "the embedded PostgreSQL" : "PostgreSQL";
        const text = `${name} ${version} answers in ${Math.max(1, Math.round(latencyMs))} ms, up for ${upFor}`;
        if (latencyMs < slowMs) return { verdict: "ok", text };
        return { verdict: "warning", text, hint: "every command waits for it several times: is it far away, or busy?" };
      },
    },
    {
      name: "schema",
      async look() {
        const { applied, known } = await countMigrations(db);
        if (applied === known) return { verdict: "ok", text: `as this version wants it (${known} migrations)` };
        const text = `${applied} migrations were applied, this version knows ${known}`;
        if (applied < known) return { verdict: "fault", text, hint: "each start applies them: start Zyndra again" };
        const hint = "a newer Zyndra has used this database: start that one again";
        return { verdict: "fault", text, hint };
      },
    },
    {
      name: "database clock",
      async look() {
        const { now, latencyMs } = await lookAtServer(db);
        const skewMs = Math.abs(now.getTime() + latencyMs / 2 - Date.now());
        if (skewMs < mostSkewMs) return { verdict: "ok", text: "agrees with this machine's" };
        const text = `differs from this machine's by ${duration(skewMs)}`;
        return { verdict: "warning", text, hint: "let both machines keep their time by NTP" };
      },
    },
  ];
}
