import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createGunzip, createInflate } from "node:zlib";
import { UserError } from "../../errors.ts";

/** The sender stopped, or sent what cannot be read. The message is a sentence for them. */
export class BodyFault extends Error {
  override name = "BodyFault";
}

/**
 * A request's body, decoded, chunk by chunk. It is never closed from here. Throws BodyFault where the sender breaks off,
 * sends nothing for `idleMs`, or sends something else than its Content-Encoding says; UserError `unsupported` for an encoding
 * that no git client uses. Time in which nobody asks for the next chunk does not count.
 */
export function openBody(request: IncomingMessage, idleMs: number): AsyncIterable<Buffer> {
  return chunksOf(request, decoded(request), idleMs);
}

/**
 * Reads what is left of a body and forgets it, so that the answer is not lost in a connection reset; gives up after
 * `maxBytes`, after `maxMs`, or after `idleMs` without any.
 */
export async function discardBody(
  request: IncomingMessage,
  limits: { maxBytes: number; idleMs: number; maxMs: number },
): Promise<void> {
  if (request.readableEnded || request.destroyed) return;
  request.unpipe();
  let seen = 0;
  const deadlineMs = performance.now() + limits.maxMs;
  try {
    for await (const chunk of chunksOf(request, request, limits.idleMs)) {
      seen += chunk.length;
      if (seen > limits.maxBytes || performance.now() > deadlineMs) return;
    }
  } catch (error) {
    if (!(error instanceof BodyFault)) throw error;
  }
}

async function* chunksOf(request: IncomingMessage, source: Readable, idleMs: number): AsyncGenerator<Buffer> {
  const chunks = source.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>;
  for (;;) {
    const { value, done } = await nextWithin(chunks, idleMs, request, source);
    if (done) return;
    yield value;
  }
}

async function nextWithin(chunks: AsyncIterator<Buffer>, idleMs: number, request: IncomingMessage, source: Readable) {
  const idle = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => idle.reject(new BodyFault(`the upload stood still for ${Math.ceil(idleMs / 1000)} s`)),
    idleMs,
  );
  const next = chunks.next();
  try {
    return await Promise.race([next, idle.promise]);
  } catch (error) {
    next.catch(() => {});
    if (error instanceof BodyFault) throw error;
    if (source !== request && !request.destroyed) {
      throw new BodyFault("the body is not compressed as its Content-Encoding says", { cause: error });
    }
    throw new BodyFault("the upload broke off", { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function decoded(request: IncomingMessage): Readable {
  const encoding = request.headers["content-encoding"]?.toLowerCase() ?? "identity";
  if (encoding === "identity") return request;
  if (encoding !== "gzip" && encoding !== "x-gzip" && encoding !== "deflate") {
    throw new UserError(
      "unsupported",
      `a body in the encoding "${encoding.slice(0, 20)}" cannot be read: send gzip or none`,
    );
  }
  const decoder = encoding === "deflate" ? createInflate() : createGunzip();
  // Whoever reads the decoder hears of every end the request may come to.
  request.once("error", (error) => decoder.destroy(error));
  request.once("close", () => {
    if (!request.complete) decoder.destroy(new Error("the request was broken off"));
  });
  return request.pipe(decoder);
}
