import { duration } from "../model/deploy.ts";

/** `live for 3 min` */
export function liveFor(moment: Date | null): string {
  return moment === null ? "live" : `live for ${duration(Date.now() - moment.getTime())}`;
}

/** `3 min ago` */
export function ago(moment: Date | null): string {
  return moment === null ? "" : `${duration(Date.now() - moment.getTime())} ago`;
}
