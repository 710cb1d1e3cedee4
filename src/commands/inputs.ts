import { z } from "zod";
import { clip } from "../model/names.ts";

/** The name of an app that should exist: any text, so that a wrong one is answered with the nearest that does. */
export const ExistingApp = z.string({ error: "which app?" }).min(1, "which app?").max(100);

/** The name of an add-on or volume that should exist. */
export const ExistingAddon = z.string({ error: "which add-on?" }).min(1, "which add-on?").max(100);

export const AppInput = z.strictObject({ app: ExistingApp });

/** `42` or `#42`, as people write a deploy's number. */
export const DeployNumber = z
  .union([z.string(), z.number()])
  .transform((word) => String(word).replace(/^#/, ""))
  .refine((word) => /^[1-9]\d{0,8}$/.test(word), {
    error: (issue) => `"${clip(String(issue.input))}" is no deploy's number`,
  })
  .transform(Number);

/** `v3` or `3`. */
export const ReleaseVersion = z
  .union([z.string(), z.number()])
  .transform((word) => String(word).replace(/^v/i, ""))
  .refine((word) => /^[1-9]\d{0,8}$/.test(word), {
    error: (issue) => `"${clip(String(issue.input))}" is no release: v3, for example`,
  })
  .transform(Number);

/** How many rows or lines to show. */
export const Count = (start: number, most: number) => CountUpTo(most).default(start);

export const CountUpTo = (most: number) =>
  z.coerce
    .number({ error: "--num needs a number" })
    .int("--num needs a whole number")
    .min(1, "--num must be at least 1")
    .max(most, `--num can be ${most} at most`);

/** The flag of what starts a deploy: without it the command line follows that to its end. */
export const detachFlag = { kind: "switch", summary: "do not wait for the deploy" } as const;
