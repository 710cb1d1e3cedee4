import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { Database } from "../db/client.ts";
import { eventChannel, listEvents } from "../db/events.ts";
import type { Log } from "../log.ts";
import type { StoredEvent } from "../model/event.ts";
import { openBell } from "./bell.ts";

/** Who is told what: rows in Postgres, `NOTIFY` the doorbell. */
export type Events = {
  /**
   * A topic's events after number `after`, then those to come, in order and without gaps, until the signal aborts.
   * A lost database delays it and loses nothing.
   */
  follow(topic: string, after: number, signal: AbortSignal): AsyncGenerator<StoredEvent, void>;
  /** Calls `ring` whenever something may have happened in a topic. Answers the way to end it. */
  watch(topic: string, ring: () => void): () => void;
  close(): Promise<void>;
};

/** NOTIFY may be lost with its connection, so a follower looks by itself after this long. */
const lookAgainMs = 10_000;
const reconnectMs = 250;
const pageSize = 200;

/** Opens the one listening connection of this process; it is made again whenever it breaks. */
export async function openEvents(db: Database, log: Log): Promise<Events> {
  const rings = new Map<string, Set<() => void>>();
  const closing = new AbortController();
  const listener = keepListening(db.url, log, closing.signal, (topics) => {
    for (const topic of topics ?? rings.keys()) for (const ring of [...(rings.get(topic) ?? [])]) ring();
  });
  await listener.listening;

  const watch = (topic: string, ring: () => void) => {
    const ofTopic = rings.get(topic) ?? new Set();
    rings.set(topic, ofTopic.add(ring));
    return () => {
      ofTopic.delete(ring);
      if (ofTopic.size === 0 && rings.get(topic) === ofTopic) rings.delete(topic);
    };
  };

  return {
    watch,
    async *follow(topic, after, signal) {
      const stop = AbortSignal.any([signal, closing.signal]);
      const bell = openBell(stop);
      const unwatch = watch(topic, bell.ring);
      try {
        let seen = after;
        while (!stop.aborted) {
          const page = await listEvents(db.db, topic, seen, pageSize).catch((error) => {
            log.warn({ err: error, topic }, "events could not be read, trying again");
            return undefined;
          });
          for (const event of page ?? []) {
            if (stop.aborted) return;
            seen = event.seq;
            yield event;
          }
          if (page === undefined) await bell.heard(1_000);
          else if (page.length < pageSize) await bell.heard(lookAgainMs);
        }
      } finally {
        unwatch();
      }
    },
    async close() {
      closing.abort();
      await listener.ended;
    },
  };
}

/** Holds LISTEN over breaks; after each one everybody is rung, since anything may have been missed. */
function keepListening(url: string, log: Log, stop: AbortSignal, heard: (topics: string[] | undefined) => void) {
  const first = Promise.withResolvers<void>();
  let isAway = false;
  const onListening = () => {
    if (isAway) log.info({}, "listening for events again");
    isAway = false;
    first.resolve();
  };
  // Told once for each time that the database is away, however often it is tried.
  const onBroken = (error?: Error) => {
    if (!isAway && !stop.aborted) log.warn({ err: error }, "listening for events broke, trying again");
    isAway = true;
  };
  const ended = (async () => {
    while (!stop.aborted) {
      await listenOnce(url, stop, onListening, heard).then(() => onBroken(), onBroken);
      await delay(reconnectMs, undefined, { signal: stop }).catch(() => {});
    }
    first.resolve();
  })();
  return { listening: first.promise, ended };
}

/** Listens until the connection breaks or the signal aborts. */
async function listenOnce(
  url: string,
  stop: AbortSignal,
  onListening: () => void,
  heard: (topics: string[] | undefined) => void,
): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: "zyndra events", keepAlive: true });
  const broken = Promise.withResolvers<void>();
  client.on("error", () => broken.resolve());
  client.on("end", () => broken.resolve());
  const leave = () => broken.resolve();
  stop.addEventListener("abort", leave, { once: true });
  try {
    await client.connect();
    client.on("notification", (message) => heard(message.payload?.split(" ") ?? []));
    await client.query(`listen ${eventChannel}`);
    heard(undefined);
    onListening();
    await broken.promise;
  } finally {
    stop.removeEventListener("abort", leave);
    await client.end().catch(() => {});
  }
}
