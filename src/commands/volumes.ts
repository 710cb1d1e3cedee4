import { z } from "zod";
import { UserError } from "../errors.ts";
import { AddonName, MountPath, Prefix } from "../model/addons.ts";
import { createAddon, createdView, followChange } from "./addon-changes.ts";
import { asFlag, attachCommand, destroyCommand, detachCommand, mountFlag } from "./addon-commands.ts";
import { defineCommand } from "./command.ts";
import { detachFlag, ExistingApp } from "./inputs.ts";

export const createVolume = defineCommand({
  name: "volumes:create",
  summary: "Make a folder that survives deploys and rollbacks, and give it to an app",
  examples: ["volumes:create uploads --app shop", "volumes:create files --app shop --mount /app/public/files"],
  needs: "developer",
  changes: true,
  input: z.strictObject({
    name: AddonName,
    app: ExistingApp.optional(),
    mount: MountPath.optional(),
    as: Prefix.optional(),
    size: z.string().optional(),
    detach: z.boolean().default(false),
  }),
  words: {
    positional: ["name", "app"],
    flags: {
      mount: mountFlag,
      as: asFlag,
      size: { kind: "text", isHidden: true, summary: "not in this version: a volume takes what the disk has" },
      detach: detachFlag,
    },
  },
  auditInput: ({ name, mount, as }) => ({ name, mount, as }),
  async run(context, { name, app, mount, as, size }) {
    if (size !== undefined) {
      const hint = `without --size: zyndra volumes:create ${name}${app === undefined ? "" : ` --app ${app}`}`;
      throw new UserError("unsupported", "volumes have no size of their own here: they share the machine's disk", hint);
    }
    if (app === undefined && (mount ?? as) !== undefined) {
      throw new UserError("bad_input", "--mount and --as say how an app finds it: which app?", "add --app APP");
    }
    return createAddon(context, { kind: "volume", name, app, mountPath: mount, prefix: as });
  },
  view: createdView,
  follow: (result, { detach }) => followChange(result, detach),
});

export const attachVolume = attachCommand({
  kind: "volume",
  name: "volumes:attach",
  summary: "Give a volume to an app; what is live is released again with it",
  examples: ["volumes:attach uploads --app blog", "volumes:attach uploads --app blog --mount /app/images"],
});

export const detachVolume = detachCommand({
  kind: "volume",
  name: "volumes:detach",
  summary: "Take a volume from an app; its files stay",
  examples: ["volumes:detach uploads --app blog"],
});

export const destroyVolume = destroyCommand({
  kind: "volume",
  name: "volumes:destroy",
  summary: "Remove a volume with all its files",
  examples: ["volumes:destroy uploads", "volumes:destroy uploads --force"],
});
