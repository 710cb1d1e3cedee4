import { z } from "zod";
import { type AddonKind, MountPath, Prefix } from "../model/addons.ts";
import {
  attachExisting,
  attachedView,
  confirmDestroy,
  destroyExisting,
  destroyedView,
  detachExisting,
  detachedView,
  followChange,
} from "./addon-changes.ts";
import { type Command, defineCommand } from "./command.ts";
import { detachFlag, ExistingAddon, ExistingApp } from "./inputs.ts";

/** Volumes are add-ons with commands of their own, which go the same way. `kind`: of that kind only. */
type About = Pick<Command, "name" | "summary" | "examples"> & { kind?: AddonKind };

export const asFlag = { kind: "text", summary: "how the names of its config vars begin" } as const;
export const mountFlag = {
  kind: "text",
  short: "m",
  summary: "of a volume, where it is mounted: /app/NAME unless said",
} as const;

export function attachCommand({ kind, ...about }: About): Command {
  return defineCommand({
    ...about,
    needs: "developer",
    changes: true,
    input: z.strictObject({
      name: ExistingAddon,
      app: ExistingApp,
      as: Prefix.optional(),
      mount: MountPath.optional(),
      detach: z.boolean().default(false),
    }),
    words: { positional: ["name", "app"], flags: { as: asFlag, mount: mountFlag, detach: detachFlag } },
    auditInput: ({ name, as, mount }) => ({ name, as, mount }),
    run: (context, { name, app, as, mount }) =>
      attachExisting(context, { name, kind, app, prefix: as, mountPath: mount }),
    view: attachedView,
    follow: (result, { detach }) => followChange(result, detach),
  });
}

export function detachCommand({ kind, ...about }: About): Command {
  return defineCommand({
    ...about,
    needs: "developer",
    changes: true,
    input: z.strictObject({ name: ExistingAddon, app: ExistingApp, detach: z.boolean().default(false) }),
    words: { positional: ["name", "app"], flags: { detach: detachFlag } },
    auditInput: ({ name }) => ({ name }),
    run: (context, { name, app }) => detachExisting(context, { name, kind, app }),
    view: detachedView,
    follow: (result, { detach }) => followChange(result, detach),
  });
}

export function destroyCommand({ kind, ...about }: About): Command {
  return defineCommand({
    ...about,
    needs: "admin",
    changes: true,
    input: z.strictObject({
      name: ExistingAddon,
      force: z.boolean().default(false),
      detach: z.boolean().default(false),
    }),
    words: {
      positional: ["name"],
      flags: {
        force: { kind: "switch", short: "f", summary: "also where it is attached: it is taken from all apps first" },
        detach: { kind: "switch", summary: "do not wait for its end" },
      },
    },
    confirm: ({ name, force }, context) => confirmDestroy(context, { name, kind, force }),
    auditInput: ({ name, force }) => ({ name, force }),
    run: (context, { name, force }) => destroyExisting(context, { name, kind, force }),
    view: destroyedView,
    follow: (result, { detach }) => followChange(result, detach),
  });
}
