import type { Cause } from "../../model/cause.ts";

/** Ends a build with a cause that its author can mend; `build()` answers it, nobody else sees it. */
export class BuildFailure extends Error {
  override name = "BuildFailure";
  readonly reason: Cause;

  constructor(reason: Cause) {
    super(reason.headline);
    this.reason = reason;
  }
}
