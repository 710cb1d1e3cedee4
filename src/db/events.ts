import { and, desc, eq, gt, inArray, sql } from "drizzle-orm";
import type { EventData, StoredEvent } from "../model/event.ts";
import type { Db } from "./client.ts";
import { apps, events, topics } from "./schema.ts";
import { storable } from "./storable.ts";

/** The channel on which topics are named when something happened in them, several separated by spaces. */
export const eventChannel = "zyndra_events";

/** NOTIFY carries at most 8000 bytes. */
const topicsPerNotice = 100;

/** Whose event it is: every row carries the org and project it belongs to. */
export type Owner = { orgId: string; projectId: string };

/** Adds events to a topic, in order and numbered without gaps, and rings for whoever follows once they are committed. */
export async function publish(tx: Db, topic: string, owner: Owner, data: EventData[], onceKey?: string): Promise<void> {
  await insertEvents(tx, topic, owner, data, onceKey);
  await notice(tx, [topic]);
}

/**
 * One transaction and one ring for the chunks of many deploys: NOTIFY serialises commits, so a writer gathers first.
 * Chunks whose fence is no longer the app's are dropped: their writer has lost the app to another.
 */
export async function publishChunks(tx: Db, chunks: LogChunk[]): Promise<void> {
  const appIds = [...new Set(chunks.map((chunk) => chunk.appId))].sort();
  const held = await tx
    .select({ id: apps.id, fence: apps.fence })
    .from(apps)
    .where(inArray(apps.id, appIds))
    .orderBy(apps.id)
    .for("share");
  const fenceOf = new Map(held.map((app) => [app.id, app.fence]));
  const current = chunks
    .filter((chunk) => fenceOf.get(chunk.appId) === chunk.fence)
    .sort((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0));
  for (const chunk of current) await insertEvents(tx, chunk.topic, chunk, [chunk.data], chunk.onceKey);
  await notice(tx, [...new Set(current.map((chunk) => chunk.topic))]);
}

export type LogChunk = Owner & { topic: string; appId: string; fence: number; onceKey: string; data: EventData };

/** Rings for a topic without storing anything. */
export async function ring(tx: Db, topic: string): Promise<void> {
  await notice(tx, [topic]);
}

/** Events of a topic after a number, oldest first. */
export async function listEvents(db: Db, topic: string, after: number, limit: number): Promise<StoredEvent[]> {
  return db
    .select({ topic: events.topic, seq: events.seq, at: events.at, data: events.data })
    .from(events)
    .where(and(eq(events.topic, topic), gt(events.seq, after)))
    .orderBy(events.seq)
    .limit(limit);
}

/** The number of the newest event of a topic, 0 where there is none. */
export async function lastEventSeq(db: Db, topic: string): Promise<number> {
  const [row] = await db.select({ lastSeq: topics.lastSeq }).from(topics).where(eq(topics.name, topic));
  return row?.lastSeq ?? 0;
}

/** The newest event of one type in a topic; undefined where none is on record. */
export async function findLastEvent<Type extends EventData["type"]>(
  db: Db,
  topic: string,
  type: Type,
): Promise<Extract<EventData, { type: Type }> | undefined> {
  const [row] = await db
    .select({ data: events.data })
    .from(events)
    .where(and(eq(events.topic, topic), sql`${events.data} ->> 'type' = ${type}`))
    .orderBy(desc(events.seq))
    .limit(1);
  return row?.data as Extract<EventData, { type: Type }> | undefined;
}

/** Whose topic it is; null where nothing has happened in it yet. */
export async function findTopicOwner(db: Db, topic: string): Promise<Owner | null> {
  const [row] = await db
    .select({ orgId: topics.orgId, projectId: topics.projectId })
    .from(topics)
    .where(eq(topics.name, topic));
  return row ?? null;
}

/** Forgets the events of apps and add-ons that were destroyed more than a day ago. Answers how many topics went. */
export async function deleteOrphanTopics(db: Db): Promise<number> {
  const gone = await db.execute(sql`
    delete from ${topics} t
    where (t.name like 'deploy:%' and not exists (select 1 from deploys d where 'deploy:' || d.id = t.name)
        or t.name like 'app:%' and not exists (select 1 from apps a where 'app:' || a.id = t.name)
        or t.name like 'addon:%' and not exists (select 1 from addons d where 'addon:' || d.id = t.name))
      and not exists (select 1 from events e where e.topic = t.name and e.at > now() - interval '1 day')
    returning t.name`);
  const names = gone.rows.map((row) => String(row.name));
  if (names.length > 0) await db.delete(events).where(inArray(events.topic, names));
  return names.length;
}

/** How long it is remembered what happened to an app. Numbers go on where they were, so that who follows it misses nothing new. */
const keptFor = "30 days";

/** Forgets what happened to apps long ago; a deploy's log stays as long as its app. Answers how many events went. */
export async function deleteOldAppEvents(db: Db): Promise<number> {
  const gone = await db.execute(sql`
    delete from ${events} e using ${topics} t
    where t.name like 'app:%' and e.topic = t.name and e.at < now() - ${keptFor}::interval`);
  return gone.rowCount ?? 0;
}

async function insertEvents(tx: Db, topic: string, owner: Owner, data: EventData[], onceKey?: string): Promise<void> {
  const { orgId, projectId } = owner;
  const [row] = await tx
    .insert(topics)
    .values({ name: topic, orgId, projectId, lastSeq: data.length })
    .onConflictDoUpdate({ target: topics.name, set: { lastSeq: sql`${topics.lastSeq} + ${data.length}` } })
    .returning({ lastSeq: topics.lastSeq });
  if (onceKey !== undefined) {
    const written = await tx
      .select({ seq: events.seq })
      .from(events)
      .where(and(eq(events.topic, topic), eq(events.onceKey, onceKey)));
    if (written.length > 0) {
      await tx
        .update(topics)
        .set({ lastSeq: row!.lastSeq - data.length })
        .where(eq(topics.name, topic));
      return;
    }
  }
  const first = row!.lastSeq - data.length + 1;
  await tx.insert(events).values(
    data.map((each, index) => ({
      topic,
      seq: first + index,
      orgId,
      projectId,
      data: storable(each),
      onceKey: onceKey === undefined || index > 0 ? null : onceKey,
    })),
  );
}

async function notice(tx: Db, names: string[]): Promise<void> {
  for (let from = 0; from < names.length; from += topicsPerNotice) {
    const some = names.slice(from, from + topicsPerNotice).join(" ");
    await tx.execute(sql`select pg_notify(${eventChannel}, ${some})`);
  }
}
