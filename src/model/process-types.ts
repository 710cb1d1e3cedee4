/** What a release runs, by process type: `web`, `worker`, … and the command of each. */
export type ProcessTypes = Record<string, { command: string }>;

/** How many of each process type run. */
export type Formation = Record<string, number>;

/** A process type's name (the Procfile format: letters, digits, hyphens and underscores). */
export const processTypePattern = /^[a-z][a-z0-9_-]{0,29}$/;

/** The most processes of one type that may be asked for in local mode and by default elsewhere. */
export const maxProcessesOfType = 50;

/** The formation an app starts with: one web, nothing else, as on Heroku. */
export function effectiveFormation(processTypes: ProcessTypes, asked: Formation): Formation {
  return Object.fromEntries(Object.keys(processTypes).map((type) => [type, asked[type] ?? (type === "web" ? 1 : 0)]));
}
