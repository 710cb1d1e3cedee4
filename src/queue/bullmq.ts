import { createPostgresBackend, runMigrations, withBackend } from "bullmq";
import pg from "pg";
import type { Log } from "../log.ts";
import type { Queue } from "./queue.ts";

const queueName = "apps";
const ringTimeoutMs = 2_000;

/**
 * BullMQ on its own Postgres backend. A job is one ring: it carries the app's id, is answered at once, and is forgotten.
 * Rings for an app that has one waiting are one ring.
 */
export async function openPostgresQueue(url: string, log: Log): Promise<Queue> {
  // BullMQ takes a ready pool where `require` is not to be had; its schema is selected by the connection's search path.
  const pool = new pg.Pool({
    connectionString: url,
    max: 4,
    keepAlive: true,
    options: "-c search_path=bullmq",
    application_name: "zyndra queue",
  });
  pool.on("error", (error) => log.debug({ err: error }, "a queue connection broke"));
  pool.on("connect", (client) => client.on("error", () => {}));
  const migrating = await pool.connect();
  try {
    await runMigrations(migrating as never);
  } finally {
    migrating.release();
  }

  const { Queue: BullQueue, Worker } = withBackend(createPostgresBackend);
  const bull = new BullQueue<{ appId: string }>(queueName, {
    connection: pool as never,
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  });
  bull.on("error", (error) => log.debug({ err: error }, "the queue has trouble"));
  let worker: { close(force: boolean): Promise<void> } | undefined;

  return {
    async ring(appId) {
      const added = bull.add("ring", { appId }, { deduplication: { id: appId, keepLastIfActive: true } });
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Error(`the queue did not answer within ${ringTimeoutMs} ms`)),
          ringTimeoutMs,
        );
      });
      added.catch(() => {});
      try {
        await Promise.race([added, late]);
      } finally {
        clearTimeout(timer);
      }
    },
    async start(answer) {
      const started = new Worker<{ appId: string }>(queueName, (job) => answer(job.data.appId), {
        connection: pool as never,
        concurrency: 5,
      });
      started.on("error", (error) => log.debug({ err: error }, "the queue's worker has trouble"));
      worker = started;
    },
    async close() {
      await worker?.close(true).catch(() => {});
      await bull.close().catch(() => {});
      await pool.end();
    },
  };
}
