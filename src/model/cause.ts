/**
 * Why something failed, in the words everyone is shown: made once, where the facts are, and drawn by every door.
 * `headline` completes "shop, deploy #44 failed: …" and stays under 80 characters.
 */
export type Cause = {
  headline: string;
  /** The fact behind the headline, e.g. `Cannot find module 'express' (server.js:3)`. */
  detail?: string;
  /** What to do now. */
  hint?: string;
  /** The last lines of what failed, up to 20. */
  lastLines?: string[];
  /** Of a deploy: why the release before it does not serve again, where that could not be brought about. */
  notBack?: string;
};
