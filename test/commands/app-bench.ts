import { expect } from "vitest";
import { getApp } from "../../src/db/apps.ts";
import { insertMember, insertOrg } from "../../src/db/people.ts";
import type { Actor } from "../../src/model/actor.ts";
import type { EventData } from "../../src/model/event.ts";
import { applied } from "../support/applied.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { newPusher, type Pusher } from "../support/pusher.ts";
import { type StandInBuilder, type StandInRuntime, standInBuilder, standInRuntime } from "../support/stand-ins.ts";

/** A platform whose builder and runtime stand in, with ana (owner), ben and eve (developers), and somebody of another org. */
export type AppBench = {
  platform: TestPlatform;
  builder: StandInBuilder;
  runtime: StandInRuntime;
  ben: Actor;
  eve: Actor;
  stranger: Actor;
  /** A new app, and its repository as somebody has it; live unless told otherwise. */
  newApp(options?: { live?: boolean; token?: string }): Promise<TestApp>;
  [Symbol.asyncDispose](): Promise<void>;
};

export type TestApp = {
  name: string;
  id: string;
  pusher: Pusher;
  ask(command: string, input?: Record<string, unknown>, actor?: Actor): ReturnType<TestPlatform["ask"]>;
  /** Asks, and waits until what is to be followed is applied. */
  change(command: string, input?: Record<string, unknown>): Promise<EventData & { type: "applied" }>;
};

export async function openAppBench(): Promise<AppBench> {
  const builder = standInBuilder();
  const runtime = standInRuntime();
  const platform = await testPlatform({ overrides: { builder, runtime, limits: { leaseMs: 1_500, sweepMs: 200 } } });
  const { db, keyring } = platform.deps;
  const { orgId } = await insertOrg(db.db, { name: "others", wrappedKey: await keyring.newOrgKey() });
  const userId = await insertMember(db.db, { orgId, name: "mallory", role: "owner" });
  const pushers: Pusher[] = [];
  let count = 0;
  return {
    platform,
    builder,
    runtime,
    ben: (await platform.member("ben", "developer")).actor,
    eve: (await platform.member("eve", "developer")).actor,
    stranger: { userId, name: "mallory", orgId, role: "owner", door: "http" },
    async newApp({ live = true, token = platform.token } = {}) {
      const name = `app${++count}`;
      await platform.ask("apps:create", { app: name });
      const { id } = await getApp(db.db, platform.owner.orgId, name);
      const pusher = await newPusher(`http://ana:${token}@127.0.0.1:${platform.port}/${name}.git`);
      pushers.push(pusher);
      await pusher.commit({ "a.txt": "hats" }, "Sell hats");
      if (live) expect((await pusher.push("main")).exitCode).toBe(0);
      const ask: TestApp["ask"] = (command, input = {}, actor) => platform.ask(command, { app: name, ...input }, actor);
      return {
        name,
        id,
        pusher,
        ask,
        change: async (command, input) => applied(platform, await ask(command, input)),
      };
    },
    async [Symbol.asyncDispose]() {
      for (const pusher of pushers) await pusher[Symbol.asyncDispose]();
      await platform[Symbol.asyncDispose]();
    },
  };
}
