import { assertMayAsk, type Command } from "../commands/command.ts";
import { maxGrepLength, mostLogLines } from "../commands/logs.ts";
import { findAppById, getApp } from "../db/apps.ts";
import { getDeploy } from "../db/deploys.ts";
import { findTopicOwner } from "../db/events.ts";
import type { AppRow, DeployRow } from "../db/schema.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { Actor } from "../model/actor.ts";
import { addonTopic, appTopic } from "../model/event.ts";
import { appNamePattern, clip } from "../model/names.ts";
import { momentSince, sinceRule } from "../model/since.ts";
import { followDeploy } from "../pipeline/follow.ts";
import { appMasker } from "../pipeline/masking.ts";
import type { AppLogOptions, LogSource } from "../runtime/runtime.ts";
import type { StreamMessage } from "./event-stream.ts";

/** Following something needs the role of the command that shows it. @throws UserError forbidden */
export function mayFollow(commands: readonly Command[], name: string, actor: Actor): void {
  assertMayAsk(actor, { name, needs: commands.find((command) => command.name === name)?.needs ?? "viewer" });
}

/** @throws UserError not_found, also for deploys of other orgs. */
export async function findFollowable(deps: Pick<Deps, "db">, actor: Actor, deployId: string): Promise<DeployRow> {
  const unknown = new UserError(
    "not_found",
    `no deploy has the id ${clip(deployId)}`,
    "zyndra deploys APP lists what there is",
  );
  if (!isId(deployId)) throw unknown;
  const deploy = await getDeploy(deps.db.db, deployId).catch((error) => {
    throw error instanceof UserError ? unknown : error;
  });
  if (deploy.orgId !== actor.orgId) throw unknown;
  return deploy;
}

/** Whether a text can be the id of a row at all: PostgreSQL would take another one for a fault. */
export function isId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

/**
 * A deploy's lines and its end. Lines of one event share its number, so a message's id is `number.line`: whoever comes
 * back with it gets the very next line. A number alone stands for the whole event.
 */
export async function* deployMessages(
  deps: Pick<Deps, "db" | "events">,
  deployId: string,
  lastId: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<StreamMessage, void> {
  const seen = parseDeployCursor(lastId);
  let seq = 0;
  let line = 0;
  for await (const step of followDeploy(deps, deployId, seen.after, signal)) {
    line = step.seq === seq ? line + 1 : 1;
    seq = step.seq;
    if (seq === seen.seq && line <= seen.line) continue;
    const { type, seq: _, ...rest } = step;
    const data = step.type === "line" ? { at: step.at, ...step.line } : rest;
    yield { id: `${seq}.${line}`, event: type, data };
  }
}

type DeployCursor = { after: number; seq: number; line: number };

function parseDeployCursor(lastId: string | undefined): DeployCursor {
  const [, seq = "0", line] = /^(\d{1,9})(?:\.(\d{1,9}))?$/.exec(lastId ?? "0") ?? [];
  if (line === undefined) return { after: Number(seq), seq: 0, line: 0 };
  return { after: Math.max(0, Number(seq) - 1), seq: Number(seq), line: Number(line) };
}

/**
 * The id of an app as one may follow it, named by that or by its name: by its id also under another name, and for a while
 * after it is gone. @throws UserError not_found, also for apps of other orgs
 */
export async function findFollowableApp(deps: Pick<Deps, "db">, actor: Actor, nameOrId: string): Promise<string> {
  const { db } = deps.db;
  if (!isId(nameOrId)) return (await appOf(deps, actor, nameOrId)).id;
  const owner = (await findAppById(db, nameOrId)) ?? (await findTopicOwner(db, appTopic(nameOrId)));
  if (owner?.orgId === actor.orgId) return nameOrId;
  throw new UserError("not_found", `no app has the id ${nameOrId}`, "zyndra apps lists what there is");
}

/** An app by its name. @throws UserError not_found */
export async function appOf(deps: Pick<Deps, "db">, actor: Actor, name: string): Promise<AppRow> {
  if (appNamePattern.test(name)) return getApp(deps.db.db, actor.orgId, name);
  throw new UserError("not_found", `no app is called "${clip(name)}"`, "zyndra apps lists what there is");
}

/** What is changed about an app outside its deploys; ends with the app. */
export async function* appMessages(
  deps: Pick<Deps, "events">,
  appId: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<StreamMessage, void> {
  for await (const { seq, data } of deps.events.follow(appTopic(appId), after, signal)) {
    yield { id: String(seq), event: data.type, data };
    if (data.type === "destroyed") return;
  }
}

/**
 * An add-on as one may follow it: by its events, which stay for a while after it is gone.
 * @throws UserError not_found, also for add-ons of other orgs
 */
export async function assertFollowableAddon(deps: Pick<Deps, "db">, actor: Actor, addonId: string): Promise<void> {
  const owner = await findTopicOwner(deps.db.db, addonTopic(addonId));
  if (owner?.orgId === actor.orgId) return;
  throw new UserError("not_found", `no add-on has the id ${clip(addonId)}`, "zyndra addons --all lists what there is");
}

/** How an add-on moves on; ends with it. */
export async function* addonMessages(
  deps: Pick<Deps, "events">,
  addonId: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<StreamMessage, void> {
  for await (const { seq, data } of deps.events.follow(addonTopic(addonId), after, signal)) {
    yield { id: String(seq), event: data.type, data };
    if (data.type === "addon" && data.state === "gone") return;
  }
}

/** What of an app's log is asked for; `grep` finds a text in what is shown, in capitals or not. */
export type LogsAsked = Omit<AppLogOptions, "isWanted"> & { grep?: string };

/** An app's log, masked. Its lines have no numbers: who comes back asks for the last ones again. */
export async function* logMessages(
  deps: Pick<Deps, "db" | "keyring" | "runtime">,
  app: AppRow,
  { grep, ...asked }: LogsAsked,
  signal: AbortSignal,
): AsyncGenerator<StreamMessage, void> {
  const mask = await openMask(deps, app);
  // What is looked for is looked for in masked lines: whoever may not see a value must not find out by asking for its letters.
  const isWanted = grep === undefined ? undefined : (text: string) => holds(mask.byNow(text), grep);
  const options = { ...asked, lines: Math.min(asked.lines, mostLogLines), ...(isWanted ? { isWanted } : {}) };
  for await (const { at, process, text } of deps.runtime.processes.logs(app.id, options, signal)) {
    const shown = await mask.fresh(text);
    if (grep === undefined || holds(shown, grep)) yield { event: "line", data: { at, process, text: shown } };
  }
  if (!signal.aborted) yield { event: "end", data: {} };
}

/** Colours that a program puts between letters are no part of what it says. */
function holds(text: string, wanted: string): boolean {
  return text
    .replace(/\x1b\[[\d;]*m/g, "")
    .toLowerCase()
    .includes(wanted.toLowerCase());
}

/** Config vars may change while a log is followed: the values to hide are looked up again when they are this old. */
const maskForMs = 5_000;

type Mask = {
  /** With what was looked up last. */
  byNow(text: string): string;
  fresh(text: string): Promise<string>;
};

async function openMask(deps: Pick<Deps, "db" | "keyring" | "runtime">, app: AppRow): Promise<Mask> {
  let masker = await appMasker(deps, app);
  let madeAtMs = Date.now();
  return {
    byNow: (text) => masker.mask(text),
    async fresh(text) {
      if (Date.now() - madeAtMs > maskForMs) {
        masker = await appMasker(deps, app);
        madeAtMs = Date.now();
      }
      return masker.mask(text);
    },
  };
}

/** What a query asks of a log. @throws UserError bad_input */
export function logsAsked(query: Record<string, string>): LogsAsked {
  const { lines, tail, process, source, since, grep } = query;
  const from = since ? momentSince(since, new Date()) : undefined;
  if (since && !from) throw new UserError("bad_input", `since must be ${sinceRule}, not "${clip(since)}"`);
  if (source && source !== "app" && source !== "router") {
    throw new UserError("bad_input", `source must be app or router, not "${clip(source)}"`);
  }
  return {
    lines: numberIn(lines, "lines", 100),
    follow: tail === "true" || tail === "1",
    ...(process ? { process } : {}),
    ...(source ? { source: source as LogSource } : {}),
    ...(from ? { since: from } : {}),
    ...(grep ? { grep: grep.slice(0, maxGrepLength) } : {}),
  };
}

/** A whole number of a query. @throws UserError bad_input */
export function numberIn(text: string | undefined, name: string, otherwise: number): number {
  if (text === undefined || text === "") return otherwise;
  if (!/^\d{1,9}$/.test(text)) throw new UserError("bad_input", `${name} must be a whole number, not "${clip(text)}"`);
  return Number(text);
}
