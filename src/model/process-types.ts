/** What a release runs, by process type: `web`, `worker`, … and the command of each. */
export type ProcessTypes = Record<string, { command: string }>;

/** How many of each process type run. */
export type Formation = Record<string, number>;

/** A process type's name (the Procfile format: letters, digits, hyphens and underscores). */
export const processTypePattern = /^[a-z][a-z0-9_-]{0,29}$/;

/** The most processes of one type that may be asked for in local mode and by default elsewhere. */
export const maxProcessesOfType = 50;

/**
 * Which processes are to be started anew: the revision at which that was asked, by process (`web.1`), process type (`web`)
 * or `*` for all. A process that was started at an older revision is replaced.
 */
export type Restarts = Record<string, number>;

/** The revision that a process must have been started at, or later. */
export function restartRevision(restarts: Restarts, process: { name: string; type: string }): number {
  return Math.max(0, ...["*", process.type, process.name].map((key) => restarts[key] ?? 0));
}

/** What was asked for; else what the app's files say; else one web and nothing else, as on Heroku. */
export function effectiveFormation(processTypes: ProcessTypes, asked: Formation, said: Formation = {}): Formation {
  return Object.fromEntries(
    Object.keys(processTypes).map((type) => [type, asked[type] ?? said[type] ?? (type === "web" ? 1 : 0)]),
  );
}
