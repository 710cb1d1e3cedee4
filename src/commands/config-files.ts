import { z } from "zod";
import { getApp } from "../db/apps.ts";
import { UserError } from "../errors.ts";
import { ConfigName } from "../model/config-vars.ts";
import { defineCommand } from "./command.ts";
import { detachFlag, ExistingApp } from "./inputs.ts";
import { assertMayReveal, revealFlag, valuesAreHidden } from "./reveal.ts";

/** Only the machine on which it is typed has the file: the answer asks for it, and what it says comes back as `config:set`. */
export const importConfig = defineCommand({
  name: "config:import",
  summary: "Set the config vars of a .env file, or of standard input, in one release",
  examples: [
    "config:import shop .env",
    "config:import shop .env --replace",
    "config:import shop < .env",
    "config:import shop key.pem --as TLS_KEY",
  ],
  needs: "developer",
  changes: false,
  input: z.strictObject({
    app: ExistingApp,
    file: z.string().max(4_000).optional(),
    as: ConfigName.optional(),
    replace: z.boolean().default(false),
    confirm: z.string().optional(),
    detach: z.boolean().default(false),
  }),
  words: {
    positional: ["app", "file"],
    flags: {
      as: { kind: "text", summary: "the whole input is the value of this config var; typed, it is not shown" },
      replace: { kind: "switch", summary: "unset what the file does not name; asks first" },
      confirm: { kind: "text", summary: "answers the question in advance, with the app's name" },
      detach: detachFlag,
    },
  },
  async run({ deps, actor }, input) {
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    const { file = "-", as = null, replace, confirm = null } = input;
    if (as !== null && replace) throw new UserError("bad_input", "--as sets one config var, --replace all of them");
    return { appName: app.name, file, as, replace, confirm };
  },
  view: () => ({}),
  follow: (asked, { detach }) => ({ kind: "config:import", ...asked, detach }),
});

export const editConfig = defineCommand({
  name: "config:edit",
  summary: "Change the config vars in your editor; with --reveal, for admins and owners",
  examples: ["config:edit shop --reveal"],
  needs: "developer",
  changes: false,
  input: z.strictObject({ app: ExistingApp, reveal: z.boolean().default(false), detach: z.boolean().default(false) }),
  words: { positional: ["app"], flags: { reveal: revealFlag, detach: detachFlag } },
  async run({ deps, actor }, input) {
    const app = await getApp(deps.db.db, actor.orgId, input.app);
    if (!input.reveal) throw valuesAreHidden(`config:edit ${app.name}`);
    assertMayReveal(actor, app);
    return { appName: app.name };
  },
  view: () => ({}),
  follow: ({ appName }, { detach }) => ({ kind: "config:edit", appName, detach }),
});
