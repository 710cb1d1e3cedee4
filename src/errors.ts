/**
 * The faults a caller can mend. Each is one sentence: what happened, to what, what to do now.
 * A door translates `status` in one place; everything that is not a UserError is our own fault or an upstream's.
 */
export class UserError extends Error {
  override name = "UserError";
  readonly code: UserErrorCode;
  /** What to type or do next; shown as `hint:` below the sentence. */
  readonly hint: string | undefined;

  constructor(code: UserErrorCode, message: string, hint?: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }

  /** The HTTP status of this fault (RFC 9110 §15.5). */
  get status(): number {
    return statusOf[this.code];
  }
}

const statusOf = {
  bad_input: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  gone: 410,
  too_large: 413,
  unsupported: 415,
  locked: 423,
  rate_limited: 429,
  unavailable: 503,
  insufficient_storage: 507,
} as const;

export type UserErrorCode = keyof typeof statusOf;

/** Something the platform depends on did not do its part; the work is tried again by whoever owns it. */
export class UpstreamError extends Error {
  override name = "UpstreamError";
  readonly service: string;

  constructor(service: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.service = service;
  }
}
