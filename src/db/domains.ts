import { asc, eq } from "drizzle-orm";
import type { Db } from "./client.ts";
import { domains } from "./schema.ts";

/** The host names besides its own that lead to an app. */
export async function listHosts(db: Db, appId: string): Promise<string[]> {
  const rows = await db
    .select({ host: domains.host })
    .from(domains)
    .where(eq(domains.appId, appId))
    .orderBy(asc(domains.host));
  return rows.map((row) => row.host);
}
