import { randomBytes } from "node:crypto";
import type { Confirmation } from "../commands/command.ts";
import { isPassing } from "../db/client.ts";
import { UpstreamError, UserError } from "../errors.ts";
import type { Log } from "../log.ts";

/** What every refusal and fault looks like to a client. */
export type ErrorBody = {
  error: { code: string; message: string; hint?: string };
  /** Asked back: send it again with `confirmed` set to the word `type`. */
  confirm?: Confirmation;
};

/** The command would destroy something: a person is to answer with a word first. */
export class ConfirmationNeeded extends UserError {
  readonly confirm: Confirmation;

  constructor(confirm: Confirmation) {
    super("conflict", confirm.warning, `if that is meant, add: --confirm ${confirm.type}`);
    this.confirm = confirm;
  }
}

export type Translated = { status: number; body: ErrorBody; headers: Record<string, string> };

/** The one place where a fault becomes an HTTP answer. What is not the caller's is logged under a reference they can name. */
export function translateError(error: unknown, log: Log, request: { method: string; path: string }): Translated {
  if (error instanceof UserError) {
    return {
      status: error.status,
      body: {
        error: { code: error.code, message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) },
        ...(error instanceof ConfirmationNeeded ? { confirm: error.confirm } : {}),
      },
      headers: headersFor(error),
    };
  }
  const reference = randomBytes(4).toString("hex");
  log.error({ err: error, reference, ...request }, "a request failed");
  if (isPassing(error)) {
    return fault(503, "unavailable", "Zyndra cannot reach its database", "try again in a moment", {
      "retry-after": "2",
    });
  }
  if (error instanceof UpstreamError) {
    return fault(
      502,
      "upstream",
      `${error.service} did not answer as it should (reference ${reference})`,
      "try again in a moment",
    );
  }
  return fault(
    500,
    "internal",
    `Zyndra itself failed; its log says why under the reference ${reference}`,
    "try again; if it stays, tell whoever runs this Zyndra the reference",
  );
}

function fault(
  status: number,
  code: string,
  message: string,
  hint: string,
  headers: Record<string, string> = {},
): Translated {
  return { status, body: { error: { code, message, hint } }, headers };
}

function headersFor(error: UserError): Record<string, string> {
  // RFC 9110 §11.6.1: a 401 names a way to authenticate.
  if (error.code === "unauthenticated") return { "www-authenticate": 'Bearer realm="Zyndra"' };
  if (error.code === "rate_limited") return { "retry-after": "60" };
  return {};
}
