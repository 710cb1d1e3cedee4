import { z } from "zod";
import { insertToken, listTokens, revokeToken } from "../db/people.ts";
import { UserError } from "../errors.ts";
import { clip } from "../model/names.ts";
import { newToken } from "../secrets/tokens.ts";
import { ago } from "./ago.ts";
import { defineCommand } from "./command.ts";

const Label = z
  .string({ error: "what is the token called?" })
  .trim()
  .min(1, "what is the token called?")
  .max(60, "a token's label has 60 characters at most");

export const createToken = defineCommand({
  name: "tokens:create",
  summary: "Make a token for git, the command line or a program; it is shown once",
  examples: ["tokens:create laptop"],
  needs: "viewer",
  changes: true,
  input: z.strictObject({ label: Label }),
  words: { positional: ["label"] },
  auditInput: ({ label }) => ({ label }),
  async run({ tx, actor }, { label }) {
    const same = (await listTokens(tx, actor.orgId, actor.userId)).some((token) => token.label === label);
    if (same) throw new UserError("conflict", `there is a token called "${clip(label)}"`, "zyndra tokens lists them");
    const { token, id, secretHash } = newToken();
    await insertToken(tx, { id, orgId: actor.orgId, userId: actor.userId, label, secretHash });
    return { label, token };
  },
  view: ({ label, token }) => ({
    text: `The token ${label}; it is shown only now:\n${token}`,
    hint: "as the password of git and of zyndra login; any user name will do",
  }),
});

export const listMyTokens = defineCommand({
  name: "tokens:list",
  aliases: ["tokens"],
  summary: "List your tokens",
  examples: ["tokens"],
  needs: "viewer",
  changes: false,
  input: z.strictObject({}),
  words: { positional: [] },
  run: ({ deps, actor }) => listTokens(deps.db.db, actor.orgId, actor.userId),
  view: (tokens) => ({
    table: {
      columns: ["LABEL", "ID", "MADE", "LAST USED"],
      rows: tokens.map((token) => [token.label, token.id, ago(token.createdAt), ago(token.lastUsedAt) || "never"]),
      none: "You have no tokens.",
    },
  }),
});

export const revoke = defineCommand({
  name: "tokens:revoke",
  summary: "End one of your tokens, at once and for good",
  examples: ["tokens:revoke laptop"],
  needs: "viewer",
  changes: true,
  input: z.strictObject({ token: z.string({ error: "which token?" }).min(1, "which token?").max(100) }),
  words: { positional: ["token"] },
  auditInput: ({ token }) => ({ token: clip(token, 20) }),
  async run({ tx, actor }, { token }) {
    const own = await listTokens(tx, actor.orgId, actor.userId);
    if (own.length === 1 && (own[0]!.id === token || own[0]!.label === token)) {
      throw new UserError(
        "conflict",
        `${own[0]!.label} is your only token: without it you could not come back`,
        "make another one first: zyndra tokens:create LABEL",
      );
    }
    const [ended] = await revokeToken(tx, actor.orgId, actor.userId, token);
    if (!ended)
      throw new UserError("not_found", `you have no token called "${clip(token, 20)}"`, "zyndra tokens lists them");
    return ended;
  },
  view: ({ label }) => ({ text: `The token ${label} no longer opens anything.` }),
});
