import { z } from "zod";
import { getApp } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { findLiveRelease, findReleaseBefore, getReleaseByVersion } from "../db/releases.ts";
import type { AppRow, ReleaseRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { shortId } from "../model/deploy.ts";
import { type Change, changesBetween, processChanges, settingChanges } from "../model/release-diff.ts";
import { readSnapshot } from "../pipeline/config-snapshot.ts";
import type { CommitList, CommitRange } from "../repos/commit-range.ts";
import { defineCommand } from "./command.ts";
import { ExistingApp, ReleaseVersion } from "./inputs.ts";
import { noteReveal, revealFlag } from "./reveal.ts";

export const diffReleases = defineCommand({
  name: "releases:diff",
  summary: "Compare two releases; without versions what is live with what was live before",
  examples: ["releases:diff shop", "releases:diff shop v3", "releases:diff shop v3 v7"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({
    app: ExistingApp,
    from: ReleaseVersion.optional(),
    to: ReleaseVersion.optional(),
    reveal: z.boolean().default(false),
  }),
  words: { positional: ["app", "from", "to"], flags: { reveal: revealFlag } },
  async run(context, input) {
    const { deps, actor } = context;
    const { db } = deps.db;
    const app = await getApp(db, actor.orgId, input.app);
    const { from, to } = await pickTwo(db, app, input);
    if (input.reveal) await noteReveal(context, app, "releases:diff");
    const [before, after] = [await readSnapshot(deps, db, from), await readSnapshot(deps, db, to)];
    const isSameCommit = from.commit === to.commit;
    return {
      app: app.name,
      from: sideOf(from),
      to: sideOf(to),
      // Null where git cannot tell any more.
      code: isSameCommit ? nothingBetween : await deps.repos.commitRange(app.id, from.commit, to.commit),
      config: changesBetween(before.vars, after.vars).map((change) => ({
        ...(input.reveal ? change : { name: change.name, change: change.change }),
        origin: (change.change === "removed" ? before : after).origins[change.name] ?? null,
      })),
      processes: processChanges(from, to),
      settings: settingChanges(from, to),
    };
  },
  view: (diff, { reveal }) => ({
    text: [
      `${diff.app} v${diff.from.version} → v${diff.to.version}`,
      ...codeLines(diff),
      ...section("Config vars", diff.config, ({ origin }) => (origin === null ? "" : ` (${origin})`)),
      ...section("Processes", diff.processes),
      ...section("Settings", diff.settings),
      ...(isNothing(diff) ? ["", "Config vars, processes and settings are the same."] : []),
    ].join("\n"),
    ...(diff.config.length > 0 && !reveal ? { hint: revealHint(diff) } : {}),
  }),
});

/** What is newer comes second, unless both were named: then as they were. @throws UserError */
async function pickTwo(
  db: Db,
  app: AppRow,
  { from, to }: { from?: number | undefined; to?: number | undefined },
): Promise<{ from: ReleaseRow; to: ReleaseRow }> {
  if (from !== undefined && to !== undefined) {
    return { from: await getReleaseByVersion(db, app, from), to: await getReleaseByVersion(db, app, to) };
  }
  const named = from === undefined ? null : await getReleaseByVersion(db, app, from);
  const live = await findLiveRelease(db, app);
  if (!live) throw new UserError("conflict", `${app.name} has nothing live to compare with`, listHint(app));
  if (named && named.id !== live.id) {
    return named.version < live.version ? { from: named, to: live } : { from: live, to: named };
  }
  const before = await findReleaseBefore(db, app);
  if (before) return { from: before, to: live };
  throw new UserError("conflict", `v${live.version} is the first release of ${app.name} that went live`, listHint(app));
}

const listHint = (app: AppRow) => `zyndra releases ${app.name} lists what there is`;

function sideOf({ version, commit, image, description, createdBy, createdAt }: ReleaseRow) {
  return { version, commit, image, description, by: createdBy, createdAt };
}

const none: CommitList = { count: 0, newest: [] };
const nothingBetween: CommitRange = { added: none, removed: none, isCut: false, files: 0 };

type Side = ReturnType<typeof sideOf>;
type Diff = {
  app: string;
  from: Side;
  to: Side;
  code: CommitRange | null;
  config: Change[];
  processes: Change[];
  settings: Change[];
};

function revealHint({ app, from, to }: Diff): string {
  return `zyndra releases:diff ${app} v${from.version} v${to.version} --reveal shows the values to admins and owners`;
}

function isNothing({ config, processes, settings }: Diff): boolean {
  return config.length + processes.length + settings.length === 0;
}

function codeLines({ from, to, code }: Diff): string[] {
  const image = from.image === to.image ? ", the same image" : "";
  if (from.commit === to.commit) return ["", `Code: ${shortId(to.commit)} in both${image}`];
  const range = `Code: ${shortId(from.commit)} → ${shortId(to.commit)}`;
  if (!code) return ["", `${range}; the commits between them are no longer kept`];
  const { added, removed, isCut, files } = code;
  const atLeast = isCut ? "at least " : "";
  const facts = [
    ...(added.count > 0 ? [`${atLeast}${counted(added.count, "new commit")}`] : []),
    ...(removed.count > 0 ? [`${atLeast}${counted(removed.count, "commit")} taken back`] : []),
    `${counted(files, "file")} changed`,
  ];
  return ["", `${range}: ${facts.join(", ")}${image}`, ...commitLines("+", added), ...commitLines("-", removed)];
}

function commitLines(sign: string, { count, newest }: CommitList): string[] {
  const lines = newest.map(({ commit, subject }) => `  ${sign} ${shortId(commit)} ${subject}`);
  const left = count - newest.length;
  return left > 0 ? [...lines, `  ${sign} … and ${counted(left, "older one")}`] : lines;
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;

const signs = { added: "+", changed: "~", removed: "-" };

function section<Each extends Change>(title: string, changes: Each[], more: (change: Each) => string = () => "") {
  if (changes.length === 0) return [];
  return [
    "",
    `${title}:`,
    ...changes.map((change) => `  ${signs[change.change]} ${change.name}${valuesOf(change)}${more(change)}`),
  ];
}

/** `: info → debug`, where there are values to show. */
function valuesOf({ from, to }: Change): string {
  const values = [from, to].flatMap((value) => (value === undefined ? [] : [shownValue(value)]));
  return values.length === 0 ? "" : `: ${values.join(" → ")}`;
}

/** On one line, and such that nobody overlooks an empty one. */
function shownValue(value: string): string {
  return value === "" || /[\n\r\t"]/.test(value) ? JSON.stringify(value) : value;
}
