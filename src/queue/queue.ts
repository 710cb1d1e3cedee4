/**
 * The doorbell: "look at this app". It carries nothing but the app's id, may ring twice or not at all; the database is
 * the truth and the sweeper finds what was missed.
 */
export type Queue = {
  /** Rings for an app. Rejects within two seconds where the queue cannot be reached. */
  ring(appId: string): Promise<void>;
  /** Calls `answer` for each ring, never twice at once for one app within this process. */
  start(answer: (appId: string) => Promise<void>): Promise<void>;
  close(): Promise<void>;
};
