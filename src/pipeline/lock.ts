import type { AppRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { type Actor, mayAct } from "../model/actor.ts";
import { duration } from "../model/deploy.ts";
import type { DeployRequest } from "./start.ts";

/**
 * While an app is locked no source work starts, but for those who may and say why; a rollback passes. Answers the reason to
 * be kept with the deploy, or null where there is no lock to pass.
 * @throws UserError locked, forbidden
 */
export function passLock(app: AppRow, actor: Actor, request: DeployRequest): string | null {
  if (app.lockedAt === null || request.kind === "rollback") return null;
  if (request.force === undefined) {
    throw new UserError(
      "locked",
      lockedWords(app),
      `those who may (${whoMay(app)}): ${forceLine(app, actor, request)}`,
    );
  }
  if (!mayPassLock(app, actor)) {
    throw new UserError("forbidden", lockedWords(app), `only ${whoMay(app)} get past it, with a reason`);
  }
  return request.force;
}

/** Admins, owners and whoever locked it. */
export function mayPassLock(app: Pick<AppRow, "lockedBy">, actor: Actor): boolean {
  return mayAct(actor.role, "admin") || actor.name === app.lockedBy;
}

/** `shop is locked by ana since 14:02 (20 min ago): "launch at 3 pm"` */
export function lockedWords(app: Pick<AppRow, "name" | "lockedAt" | "lockedBy" | "lockReason">): string {
  return `${app.name} is locked by ${app.lockedBy} since ${sinceWords(app.lockedAt!)}: "${app.lockReason}"`;
}

/** The clock of this machine, and how long ago, for whoever has another one. */
export function sinceWords(moment: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const time = `${two(moment.getHours())}:${two(moment.getMinutes())}`;
  const isToday = moment.toDateString() === new Date().toDateString();
  const day = isToday ? "" : `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} `;
  return `${day}${time} (${duration(Date.now() - moment.getTime())} ago)`;
}

export function whoMay({ lockedBy }: Pick<AppRow, "lockedBy">): string {
  return `${lockedBy}, admins and owners`;
}

function forceLine(app: AppRow, actor: Actor, { retryOf }: DeployRequest): string {
  if (retryOf !== undefined) return `zyndra retry ${app.name} ${retryOf} --force "why"`;
  return actor.door === "git" ? `git push -o force="why" zyndra main` : `zyndra deploy ${app.name} --force "why"`;
}
