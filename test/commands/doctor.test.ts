import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toolChecks } from "../../src/builder/local/checks.ts";
import { type Check, runChecks, worstOf } from "../../src/checks.ts";
import { insertApp } from "../../src/db/apps.ts";
import { openDatabase } from "../../src/db/client.ts";
import { insertOrg } from "../../src/db/people.ts";
import { apps } from "../../src/db/schema.ts";
import { openLog } from "../../src/log.ts";
import { localRuntimeChecks } from "../../src/runtime/local/checks.ts";
import { writeDesired } from "../../src/runtime/local/state.ts";
import { addressChecks } from "../../src/upkeep/checks/address.ts";
import { freeDisk } from "../../src/upkeep/checks/disk.ts";
import { workChecks } from "../../src/upkeep/checks/work.ts";
import { webApp } from "../support/apps.ts";
import { testDatabase } from "../support/database.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher } from "../support/pusher.ts";

type Found = { check: string; verdict: string; text: string; hint?: string };

describe("platform:doctor", () => {
  let platform: TestPlatform;
  beforeAll(async () => {
    platform = await testPlatform();
  });
  afterAll(() => platform?.[Symbol.asyncDispose]());

  const examine = async () => (await platform.ask("platform:doctor", {})).data as Found[];

  test("finds a platform with an app in order, and says what it stands on", async () => {
    await platform.ask("apps:create", { app: "shop" });
    await using pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
    await pusher.commit(webApp("hats"));
    expect((await pusher.push("main")).exitCode).toBe(0);
    const findings = new Map((await examine()).map((finding) => [finding.check, finding]));
    expect([...findings.values()].filter(({ verdict }) => verdict === "fault")).toEqual([]);
    expect(findings.get("database")!.text).toMatch(/^PostgreSQL \d+\.\d+ answers in \d+ ms, up for /);
    expect(findings.get("schema")!.text).toMatch(/^as this version wants it \(\d+ migrations\)$/);
    expect(findings.get("worker")!.text).toMatch(/^\d apps? worked on now, none waits$/);
    expect(findings.get("processes")!.text).toBe("all 1 of 1 app run");
    expect(findings.get("add-ons")!.text).toBe("0 there");
    expect(findings.get("new databases")!.text).toBe("can be made");
    expect(findings.get("routes")!.text).toBe("the router knows 1 app");
    expect(findings.get("data folder")!.text).toContain(platform.dataDir);
  });

  test("tells of a database that another version has changed, with what to do", async () => {
    const { db } = platform.deps.db;
    await db.execute(sql`insert into public.migrations (hash, created_at) values ('from the future', 0)`);
    const { view } = await platform.ask("platform:doctor", {});
    await db.execute(sql`delete from public.migrations where hash = 'from the future'`);
    const [row] = view.table!.rows.filter(([, check]) => check === "schema");
    expect(row).toEqual([
      "fault",
      "schema",
      expect.stringMatching(/^\d+ migrations were applied, this version knows \d+$/),
      "a newer Zyndra has used this database: start that one again",
    ]);
  });
});

describe("a look", () => {
  const lookAt = async (checks: Check[], name: string) => {
    const [found] = await runChecks(checks.filter((check) => check.name === name));
    return found!;
  };

  test("that breaks or takes too long is itself a finding", async () => {
    const checks: Check[] = [
      {
        name: "breaks",
        look: () => {
          throw new Error("no such thing\nand more");
        },
      },
      { name: "hangs", look: () => new Promise(() => {}) },
      { name: "works", look: () => ({ verdict: "ok", text: "fine" }) },
    ];
    const findings = await runChecks(checks, 20);
    expect(findings).toEqual([
      { check: "breaks", verdict: "fault", text: "could not be looked at: no such thing" },
      { check: "hangs", verdict: "fault", text: "no answer within 0.02 s" },
      { check: "works", verdict: "ok", text: "fine" },
    ]);
    expect(worstOf(findings)).toBe("fault");
    expect(worstOf(findings.slice(2))).toBe("ok");
  });

  test("at work that nobody takes up tells so, and only if nobody does", async () => {
    await using database = await testDatabase();
    const db = openDatabase(database.url, openLog("silent"));
    try {
      const org = await insertOrg(db.db, { name: "ana", wrappedKey: "none" });
      const app = await insertApp(db.db, { ...org, name: "shop" });
      const worker = () => lookAt(workChecks({ db, limits: { appsAtOnce: 1 } }, 10), "worker");
      expect(await worker()).toMatchObject({ verdict: "ok", text: "0 apps worked on now, none waits" });
      await db.db.update(apps).set({ wantedRevision: sql`${apps.appliedRevision} + 1` });
      expect(await worker()).toMatchObject({
        verdict: "fault",
        text: "1 app waiting, and no worker takes it up (0 apps worked on now)",
      });
      await db.db.update(apps).set({ leaseHolder: app.id, leaseUntil: sql`now() + interval '1 hour'` });
      expect(await worker()).toMatchObject({ verdict: "ok", text: "1 app worked on now, none waits" });
      const waiting = await insertApp(db.db, { ...org, name: "blog" });
      await db.db.update(apps).set({ wantedRevision: 9 }).where(sql`${apps.id} = ${waiting.id}`);
      expect(await worker()).toMatchObject({ verdict: "warning", text: "1 app worked on now, 1 app waiting" });
    } finally {
      await db.close();
    }
  });

  test("at processes that lost their keeper, or have no route, tells how many", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "zyndra-doctor-"));
    try {
      const spec = { appId: "a1", appName: "shop" } as never;
      await writeDesired(dataDir, { spec, processes: [{ id: "p1", name: "web.1", type: "web" }] });
      const checks = localRuntimeChecks(dataDir);
      expect(await lookAt(checks, "processes")).toMatchObject({
        verdict: "fault",
        text: "1 of 1 has no keeper, and does not run",
        hint: expect.stringContaining("started again within seconds"),
      });
      expect(await lookAt(checks, "routes")).toMatchObject({ verdict: "fault", text: "1 of 1 app has no route" });
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test("at tools that are not there says what cannot be built, and what to install", async () => {
    const findings = await runChecks(toolChecks("/nowhere"));
    expect(findings.map(({ check, verdict }) => `${check} ${verdict}`)).toEqual([
      "npm warning",
      "python warning",
      "go ok",
    ]);
    expect(findings[1]).toMatchObject({ hint: "on Debian: apt-get install python3-venv" });
  });

  test("at the address tells of names that lead nowhere, and of tokens over plain HTTP", async () => {
    const site = { publicUrl: "http://zyndra.invalid", baseDomain: "zyndra.invalid", plainHttpAllowed: false };
    expect(await lookAt(addressChecks(site), "app names")).toMatchObject({
      verdict: "warning",
      hint: "add a DNS record for *.zyndra.invalid that leads to this machine",
    });
    const transport = (more: object) => lookAt(addressChecks({ ...site, ...more }), "transport");
    expect(await transport({})).toMatchObject({ verdict: "warning" });
    expect(await transport({ plainHttpAllowed: true })).toMatchObject({
      verdict: "warning",
      text: "tokens are taken over plain HTTP, where others on the way can read them",
    });
    expect(await transport({ publicUrl: "https://zyndra.invalid" })).toMatchObject({ verdict: "ok" });
    expect(await transport({ publicUrl: "http://localhost:7878" })).toMatchObject({ verdict: "ok" });
  });

  test("at the disk of a folder that is not there is a fault", async () => {
    expect(await lookAt([freeDisk("/nowhere/at/all")], "free disk")).toMatchObject({ verdict: "fault" });
  });
});
