import { z } from "zod";
import { UserError } from "../errors.ts";

/** The largest body that any command needs is far below this. */
const maxBodyBytes = 1024 * 1024;
/** Commands are short: who takes longer does not mean to send one. */
const bodyWithinMs = 30_000;

const Text = z.string().max(100_000);

/** Words as typed, for every door that has a keyboard. */
export const WordsRequest = z.strictObject({
  words: z.array(Text).max(1_000),
  /** The app of the folder or channel in which they were typed. */
  defaultApp: Text.optional(),
  /** The word that a command asked back for. */
  confirmed: Text.optional(),
  /** What the door itself understands, for "did you mean". */
  doorCommands: z.array(Text).max(100).optional(),
});
export type WordsRequest = z.output<typeof WordsRequest>;

export const CommandRequest = z.strictObject({ input: z.record(z.string(), z.unknown()).default({}) });

export const SetupRequest = z.strictObject({ code: Text, name: Text, org: Text.optional() });

/**
 * Reads a JSON body of a limited size.
 * @throws UserError unsupported (not JSON by its type), too_large, bad_input
 */
export async function readBody<Body>(request: Request, schema: z.ZodType<Body>): Promise<Body> {
  const type = request.headers.get("content-type") ?? "";
  // Also keeps out what a page elsewhere can make a browser send without asking.
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new UserError("unsupported", "the body must be JSON", "send it with content-type: application/json");
  }
  const parsed = schema.safeParse(parseJson(await readText(request)));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const field = issue.path.join(".");
  throw new UserError("bad_input", `the body is not as expected: ${field === "" ? "" : `${field}: `}${issue.message}`);
}

async function readText(request: Request): Promise<string> {
  const tooLarge = new UserError("too_large", "the body is larger than 1 MB");
  if (Number(request.headers.get("content-length") ?? 0) > maxBodyBytes) throw tooLarge;
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  const reader = request.body?.getReader();
  const late = Promise.withResolvers<never>();
  const seconds = bodyWithinMs / 1000;
  const timer = setTimeout(
    () => late.reject(new UserError("bad_input", `the body did not arrive within ${seconds} s`)),
    bodyWithinMs,
  );
  try {
    for (;;) {
      const read = reader?.read().catch(() => {
        throw new UserError("bad_input", "the body broke off");
      });
      const { value, done } = (await Promise.race([read, late.promise])) ?? { done: true, value: undefined };
      if (done) return Buffer.concat(chunks).toString("utf8");
      sizeBytes += value.length;
      if (sizeBytes > maxBodyBytes) throw tooLarge;
      chunks.push(value);
    }
  } finally {
    clearTimeout(timer);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text, (key, value) => {
      // PostgreSQL stores no NUL in a text.
      if (key.includes("\0") || (typeof value === "string" && value.includes("\0"))) throw new NulFound();
      return value;
    });
  } catch (error) {
    if (error instanceof NulFound) throw new UserError("bad_input", "a NUL character has no place in any text here");
    throw new UserError("bad_input", `the body is not JSON: ${(error as Error).message}`);
  }
}

class NulFound extends Error {}
