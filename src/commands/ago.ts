import { duration } from "../model/deploy.ts";

/** `3 min ago` */
export function ago(moment: Date | null): string {
  return moment === null ? "" : `${duration(Date.now() - moment.getTime())} ago`;
}
