import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Access, authenticate, openRates, type Rates, type Shown } from "../../src/commands/actor.ts";
import { claim, prepareSetup } from "../../src/commands/setup.ts";
import { listAudit } from "../../src/db/audit.ts";
import { type Database, openDatabase } from "../../src/db/client.ts";
import {
  ensurePlatform,
  findTokenHolder,
  insertMember,
  insertOrg,
  insertToken,
  listTokens,
  replaceSetupCode,
  revokeToken,
} from "../../src/db/people.ts";
import { UserError } from "../../src/errors.ts";
import { openLog } from "../../src/log.ts";
import type { Role } from "../../src/model/actor.ts";
import type { Keyring } from "../../src/secrets/keyring.ts";
import { hashSetupCode, newToken } from "../../src/secrets/tokens.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";

const log = openLog("silent");
const keyring = { newOrgKey: async () => "wrapped" } as unknown as Keyring;
const local: Access = { publicUrl: "http://localhost:7878", plainHttpAllowed: false };
const here: Shown = { remoteAddress: "127.0.0.1", secure: false, door: "cli" };

let database: TestDatabase;
let db: Database;
let rates: Rates;

beforeAll(async () => {
  database = await testDatabase();
  db = openDatabase(database.url, log);
  await ensurePlatform(db.db, { id: "00000000-0000-4000-8000-000000000001", keyCheck: "check" });
});
beforeEach(() => {
  rates = openRates();
});
afterAll(async () => {
  await db.close();
  await database[Symbol.asyncDispose]();
});

const come = (shown: Partial<Shown>, access: Access = local) =>
  authenticate({ db, log, rates, access }, { ...here, ...shown });
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

async function refusal(asked: Promise<unknown>): Promise<UserError> {
  const error = await asked.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UserError);
  return error as UserError;
}

describe("before anyone owns the platform", () => {
  test("whoever comes is told of the line that makes an owner, with a token or without", async () => {
    for (const authorization of [undefined, `Bearer ${newToken().token}`, "Bearer nonsense"]) {
      const error = await refusal(come({ authorization }));
      expect(error).toMatchObject({ code: "unavailable", message: "this Zyndra has no owner yet" });
      expect(error.hint).toContain("zyndra setup URL CODE");
    }
  });

  const setUp = (code: string, more: { name?: string; org?: string; shown?: Partial<Shown>; access?: Access } = {}) =>
    claim(
      { db, keyring, rates, access: more.access ?? local },
      { code, name: more.name ?? "ana", org: more.org },
      { ...here, ...more.shown },
    );

  test("a wrong code makes nobody the owner, and who shows many is sent away", async () => {
    const code = await prepareSetup({ db });
    for (let tried = 0; tried < 10; tried++) {
      expect(await refusal(setUp("0000-0000"))).toMatchObject({ code: "forbidden" });
    }
    expect(await refusal(setUp("0000-0000"))).toMatchObject({ code: "rate_limited" });
    expect(await refusal(setUp("0000-0000", { shown: { remoteAddress: "127.0.0.2" } }))).toMatchObject({
      code: "forbidden",
    });
    expect(code).toBeDefined();
  });

  test("the code of an earlier start no longer works", async () => {
    const earlier = await prepareSetup({ db });
    await prepareSetup({ db });
    expect(await refusal(setUp(earlier!))).toMatchObject({ code: "forbidden" });
  });

  test("a name that is none, or an org's, is refused and the code stays good", async () => {
    const code = await prepareSetup({ db });
    for (const name of ["", "  ", "-x", "a\nb", "a".repeat(41), "<b>"]) {
      expect(await refusal(setUp(code!, { name }))).toMatchObject({ code: "bad_input" });
    }
    expect(await refusal(setUp(code!, { org: "No Good" }))).toMatchObject({ code: "bad_input" });
  });

  test("the code is not taken over plain HTTP from another machine", async () => {
    const code = await prepareSetup({ db });
    expect(await refusal(setUp(code!, { shown: { remoteAddress: "192.0.2.7" } }))).toMatchObject({ code: "forbidden" });
  });

  test("two who come with the code at once: one becomes the owner, with org, token and audit; the code is used up", async () => {
    const code = await prepareSetup({ db });
    const both = await Promise.allSettled([setUp(code!.toUpperCase(), { name: "ana" }), setUp(code!, { name: "ana" })]);
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const made = both.find(({ status }) => status === "fulfilled") as PromiseFulfilledResult<{
      token: string;
      org: string;
    }>;
    expect(made.value.org).toBe("default");

    const ana = await come({ authorization: `Bearer ${made.value.token}` });
    expect(ana).toMatchObject({ name: "ana", role: "owner", door: "cli" });
    expect(await listTokens(db.db, ana.orgId, ana.userId)).toMatchObject([{ label: "setup" }]);
    expect(await listAudit(db.db, ana.orgId, 10)).toMatchObject([
      { command: "setup", actorName: "ana", outcome: "done" },
    ]);

    expect(await refusal(setUp(code!))).toMatchObject({ code: "gone" });
    expect(await prepareSetup({ db })).toBeUndefined();
    await replaceSetupCode(db.db, hashSetupCode("late"));
    expect(await refusal(setUp("late"))).toMatchObject({ code: "gone" });
  });
});

describe("with a token", () => {
  let member: { token: string; id: string; userId: string; orgId: string };
  let people = 0;

  async function newMember(role: Role) {
    const { orgId } = await insertOrg(db.db, { name: `org-${++people}`, wrappedKey: "wrapped" });
    const userId = await insertMember(db.db, { orgId, name: `person-${people}`, role });
    const { token, id, secretHash } = newToken();
    await insertToken(db.db, { id, orgId, userId, label: "test", secretHash });
    return { token, id, userId, orgId };
  }

  beforeEach(async () => {
    member = await newMember("developer");
  });

  test("Bearer and Basic carry it, in every way that git and people write it", async () => {
    const { token } = member;
    for (const authorization of [
      `Bearer ${token}`,
      `bearer ${token}`,
      `BEARER  ${token} `,
      basic("zyndra", token),
      basic("", token),
      basic("ana", token).replace("Basic", "basic"),
      basic(token, ""),
      basic(token, "x-oauth-basic"),
      `Basic ${Buffer.from(token).toString("base64")}`,
    ]) {
      expect(await come({ authorization }), authorization).toMatchObject({
        userId: member.userId,
        tokenId: member.id,
        role: "developer",
      });
    }
  });

  test("nothing shown, or not a token, or an unknown one, is a 401 that says which", async () => {
    const unknown = newToken().token;
    const wrongSecret = `zyp_${member.id}_${newToken().token.slice(15)}`;
    for (const [authorization, message] of [
      [undefined, "no token was shown"],
      ["", "no token was shown"],
      ["Digest abc", "no token was shown"],
      [basic("", ""), "no token was shown"],
      ["Bearer hunter2", "what was shown as a token is not one"],
      [basic("ana", "hunter2"), "what was shown as a token is not one"],
      [`Bearer ${wrongSecret}`, "what was shown as a token is not one"],
      [`Bearer ${unknown}`, "this token is not known here, or was revoked"],
    ]) {
      const error = await refusal(come({ authorization }));
      expect(error).toMatchObject({ code: "unauthenticated", status: 401, message });
      expect(error.hint).toContain("zyndra login");
    }
  });

  test("the secret counts, not the id alone", async () => {
    const other = newToken();
    await insertToken(db.db, {
      id: other.id,
      orgId: member.orgId,
      userId: member.userId,
      label: "o",
      secretHash: "00".repeat(32),
    });
    expect(await refusal(come({ authorization: `Bearer ${other.token}` }))).toMatchObject({ code: "unauthenticated" });
  });

  test("a revoked token opens nothing", async () => {
    await revokeToken(db.db, member.orgId, member.userId, member.id);
    expect(await refusal(come({ authorization: `Bearer ${member.token}` }))).toMatchObject({ code: "unauthenticated" });
  });

  test("the role is the one that the database has now", async () => {
    const authorization = `Bearer ${member.token}`;
    expect((await come({ authorization })).role).toBe("developer");
    await db.db.execute(`update members set role = 'viewer' where user_id = '${member.userId}'`);
    expect((await come({ authorization })).role).toBe("viewer");
    await db.db.execute(`delete from members where user_id = '${member.userId}'`);
    expect(await refusal(come({ authorization }))).toMatchObject({ code: "unauthenticated" });
  });

  test("its use is noted", async () => {
    await come({ authorization: `Bearer ${member.token}` });
    await eventually(async () => (await findTokenHolder(db.db, member.id))?.lastUsedAt instanceof Date, {
      what: "last used",
    });
  });

  test("after 20 bad tokens an address is sent away with more of them; a good one is taken all the same", async () => {
    for (let shown = 0; shown < 20; shown++) {
      expect(await refusal(come({ authorization: "Bearer hunter2" }))).toMatchObject({ code: "unauthenticated" });
    }
    const error = await refusal(come({ authorization: "Bearer hunter2" }));
    expect(error).toMatchObject({ code: "rate_limited", status: 429 });
    expect(error.hint).toMatch(/^try again in \d+ s$/);
    await come({ authorization: `Bearer ${member.token}` });
    const elsewhere = { authorization: "Bearer hunter2", remoteAddress: "127.0.0.9" };
    expect(await refusal(come(elsewhere))).toMatchObject({ code: "unauthenticated" });
  });

  test("asking without a token, as git does first, counts as nothing bad", async () => {
    for (let asked = 0; asked < 40; asked++) await refusal(come({}));
    await come({ authorization: `Bearer ${member.token}` });
  });

  describe("over plain HTTP", () => {
    const https: Access = { publicUrl: "https://zyndra.example.org", plainHttpAllowed: false };
    const allowed: Access = { publicUrl: "http://10.0.0.5:7878", plainHttpAllowed: true };
    const elsewhere = "192.0.2.7";
    const withToken = (shown: Partial<Shown>, access: Access = local) =>
      come({ authorization: `Bearer ${member.token}`, ...shown }, access);

    test.each(["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])(
      "it is taken from this machine (%s)",
      async (remoteAddress) => {
        await withToken({ remoteAddress });
      },
    );

    test.each([elsewhere, "10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "", "127.evil"])(
      "not from %j",
      async (remoteAddress) => {
        const error = await refusal(withToken({ remoteAddress }));
        expect(error).toMatchObject({ code: "forbidden", status: 403 });
        expect(error.hint).toContain("ZYNDRA_ALLOW_PLAIN_HTTP=1");
      },
    );

    test("a client without a token is not asked for one there, or it would send it", async () => {
      expect(await refusal(come({ remoteAddress: elsewhere }))).toMatchObject({ code: "forbidden" });
    });

    test("it is taken over TLS, behind a TLS proxy, and where plain HTTP was switched on by name", async () => {
      await withToken({ remoteAddress: elsewhere, secure: true });
      await withToken({ remoteAddress: elsewhere }, https);
      await withToken({ remoteAddress: elsewhere }, allowed);
    });

    test("behind a proxy everyone has limits of their own, and nobody can make up another's address", async () => {
      const through = (forwardedFor: string, authorization: string) =>
        come({ remoteAddress: "10.0.0.1", forwardedFor, authorization }, https);
      for (let shown = 0; shown < 20; shown++)
        await refusal(through(`198.51.100.${shown}, ${elsewhere}`, "Bearer hunter2"));
      expect(await refusal(through(elsewhere, "Bearer hunter2"))).toMatchObject({ code: "rate_limited" });
      expect(await refusal(through("198.51.100.1", "Bearer hunter2"))).toMatchObject({ code: "unauthenticated" });
    });

    test("without a proxy of ours nobody's word about their address counts", async () => {
      for (let shown = 0; shown < 20; shown++) {
        await refusal(come({ forwardedFor: `198.51.100.${shown}`, authorization: "Bearer hunter2" }));
      }
      const another = come({ forwardedFor: "198.51.100.99", authorization: "Bearer hunter2" });
      expect(await refusal(another)).toMatchObject({ code: "rate_limited" });
    });
  });
});
