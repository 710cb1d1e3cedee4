import { randomUUID } from "node:crypto";
import type { Database } from "../db/client.ts";
import { type LogChunk, publishChunks } from "../db/events.ts";
import type { Log } from "../log.ts";
import { deployTopic } from "../model/event.ts";
import type { LogLine } from "../model/log-line.ts";

/**
 * The one sink of all deploys' log lines in this process. They are written in numbered chunks, one transaction and one
 * ring for all deploys together, since NOTIFY serialises commits.
 */
export type DeployLogs = {
  /** Takes one line; it is stored a moment later. Lines of a writer whose fence is old are dropped. */
  write(deploy: LoggedDeploy, line: LogLine): void;
  /** Resolves when what was written of this deploy is stored. */
  stored(deployId: string): Promise<void>;
  close(): Promise<void>;
};

export type LoggedDeploy = { id: string; appId: string; orgId: string; projectId: string; fence: number };

const gatherMs = 75;
/** While the database is away no more than this is kept of one deploy. */
const maxWaitingBytes = 2 * 1024 * 1024;
/** A log longer than this is cut: nobody reads it, and everyone stores it. */
const maxLogBytes = 20 * 1024 * 1024;
const maxLinesPerChunk = 500;

type Waiting = { deploy: LoggedDeploy; lines: LogLine[]; bytes: number; leftOut: number };

export function openDeployLogs(database: Database, log: Log): DeployLogs {
  const writer = randomUUID();
  const waiting = new Map<string, Waiting>();
  const totalBytes = new Map<string, number>();
  const closing = new AbortController();
  let chunkNumber = 0;
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> = Promise.resolve();

  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    flushing = flushing.then(async () => {
      const chunks = [...waiting.values()].flatMap((each) => chunksOf(each, () => `${writer}:${chunkNumber++}`));
      waiting.clear();
      if (chunks.length === 0) return;
      try {
        await database.persist(({ transaction }) => transaction((tx) => publishChunks(tx, chunks)), closing.signal);
      } catch (error) {
        log.error({ err: error, chunks: chunks.length }, "lines of deploys were lost");
      }
    });
    return flushing;
  };

  return {
    write(deploy, line) {
      const bytes = line.text.length + 40;
      const total = (totalBytes.get(deploy.id) ?? 0) + bytes;
      totalBytes.set(deploy.id, total);
      const at = waiting.get(deploy.id) ?? { deploy, lines: [], bytes: 0, leftOut: 0 };
      waiting.set(deploy.id, at);
      if (line.kind === "output" && total > maxLogBytes) {
        if (total - bytes <= maxLogBytes)
          at.lines.push({ kind: "warning", text: "the log is cut here: it is longer than 20 MB" });
      } else if (line.kind === "output" && at.bytes > maxWaitingBytes) {
        at.leftOut++;
      } else {
        at.lines.push(line);
        at.bytes += bytes;
      }
      timer ??= setTimeout(flush, gatherMs);
    },
    async stored(deployId) {
      await flush();
      totalBytes.delete(deployId);
    },
    async close() {
      setTimeout(() => closing.abort(), 2_000).unref();
      await flush();
    },
  };
}

function chunksOf(waiting: Waiting, nextKey: () => string): LogChunk[] {
  const { deploy, lines, leftOut } = waiting;
  if (leftOut > 0)
    lines.push({ kind: "warning", text: `${leftOut} lines came faster than they could be stored and are left out` });
  const chunks: LogChunk[] = [];
  for (let from = 0; from < lines.length; from += maxLinesPerChunk) {
    const { id, appId, orgId, projectId, fence } = deploy;
    const data = { type: "log" as const, lines: lines.slice(from, from + maxLinesPerChunk) };
    chunks.push({ topic: deployTopic(id), appId, orgId, projectId, fence, onceKey: nextKey(), data });
  }
  return chunks;
}
