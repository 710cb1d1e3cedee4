import { z } from "zod";
import { UserError } from "../errors.ts";
import { AddonName, engineCalled, Prefix } from "../model/addons.ts";
import { clip } from "../model/names.ts";
import { createAddon, createdView, followChange } from "./addon-changes.ts";
import { asFlag, attachCommand, destroyCommand, detachCommand } from "./addon-commands.ts";
import { defineCommand } from "./command.ts";
import { detachFlag, ExistingApp } from "./inputs.ts";

export const createDatabase = defineCommand({
  name: "addons:create",
  summary: "Make a database, and give it to an app",
  examples: [
    "addons:create postgres --app shop",
    "addons:create postgres --app shop --name orders --as ORDERS",
    "addons:create postgres --name shared",
  ],
  needs: "developer",
  changes: true,
  input: z.strictObject({
    engine: z
      .string({ error: "which kind? postgres, for example" })
      .min(1, "which kind? postgres, for example")
      .max(60),
    app: ExistingApp.optional(),
    name: AddonName.optional(),
    as: Prefix.optional(),
    detach: z.boolean().default(false),
  }),
  words: {
    positional: ["engine", "app"],
    flags: {
      name: { kind: "text", summary: "what it is called: shop-postgres unless said" },
      as: asFlag,
      detach: detachFlag,
    },
  },
  auditInput: ({ engine, name, as }) => ({ engine: clip(engine), name, as }),
  run: (context, { engine, app, name, as }) => {
    // As with other commands, the app may have been named first.
    const isSwapped = engineCalled(engine) === undefined && app !== undefined && engineCalled(app) !== undefined;
    const [word, appName] = isSwapped ? [app, engine] : [engine, app];
    const kind = engineCalled(word);
    if (kind === undefined) throw unknownEngine(word, appName);
    return createAddon(context, { kind, app: appName, name, prefix: as });
  },
  view: createdView,
  follow: (result, { detach }) => followChange(result, detach),
});

export const attachAddon = attachCommand({
  name: "addons:attach",
  summary: "Give an add-on to an app; what is live is released again with its config vars",
  examples: ["addons:attach orders --app blog", "addons:attach orders --app blog --as ORDERS"],
});

export const detachAddon = detachCommand({
  name: "addons:detach",
  summary: "Take an add-on from an app; what is in it stays",
  examples: ["addons:detach orders --app blog"],
});

export const destroyAddon = destroyCommand({
  name: "addons:destroy",
  summary: "Remove an add-on with all that is in it",
  examples: ["addons:destroy orders", "addons:destroy orders --force"],
});

/** What people know from elsewhere and is not here. */
const enginesElsewhere =
  /mysql|maria|redis|valkey|key-?value|mongo|memcache|kafka|rabbit|elastic|opensearch|sqlite|s3|minio/i;

function unknownEngine(word: string, app = "APP"): UserError {
  if (/^(volumes?|storage|disk)$/i.test(word)) {
    const hint = `zyndra volumes:create uploads --app ${app}`;
    return new UserError("bad_input", "a volume is made by a command of its own", hint);
  }
  const elsewhere = enginesElsewhere.exec(word)?.[0];
  if (elsewhere === undefined) {
    const hint = `for example: zyndra ${createDatabase.examples[0]}`;
    return new UserError("bad_input", `there is no kind of add-on called "${clip(word)}", only postgres`, hint);
  }
  const variable = `${elsewhere.toUpperCase().replace(/\W/g, "")}_URL`;
  return new UserError(
    "unsupported",
    `${clip(word)} is not in this version: what can be made is postgres`,
    `one that runs elsewhere is used by its address: zyndra config:set ${app} ${variable}=…`,
  );
}
