import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openRates } from "../../src/commands/actor.ts";
import { type Answer, type Command, runCommand } from "../../src/commands/command.ts";
import { commands } from "../../src/commands/registry.ts";
import { claim } from "../../src/commands/setup.ts";
import { type Config, readConfig } from "../../src/config.ts";
import { listAddons } from "../../src/db/addons.ts";
import { findTokenHolder, insertMember, insertToken } from "../../src/db/people.ts";
import { type Log, openLog } from "../../src/log.ts";
import type { Actor, Role } from "../../src/model/actor.ts";
import { openPlatform, type Platform, type PlatformParts, stopEverything } from "../../src/platform.ts";
import { newToken, readToken } from "../../src/secrets/tokens.ts";
import { testDatabase } from "./database.ts";
import { freePort } from "./free-port.ts";

/** A whole platform in this process, on a real database and a real port, with an owner called ana. */
export type TestPlatform = Platform & {
  config: Config;
  dataDir: string;
  owner: Actor;
  /** ana's token. */
  token: string;
  /** Asks for a command as ana, or as another actor. */
  ask(name: string, input: Record<string, unknown>, actor?: Actor): Promise<Answer>;
  /** Makes another member of ana's org. */
  member(name: string, role: Role): Promise<{ actor: Actor; token: string }>;
  [Symbol.asyncDispose](): Promise<void>;
};

export type TestPlatformOptions = {
  overrides?: PlatformParts["overrides"];
  config?: Partial<Config>;
  log?: Log;
};

export async function testPlatform(options: TestPlatformOptions = {}): Promise<TestPlatform> {
  const dataDir = await mkdtemp(join(tmpdir(), "zyndra-test-"));
  const database = await testDatabase();
  const port = await freePort();
  const settings = readConfig({
    ...process.env,
    PORT: String(port),
    ZYNDRA_DATA: dataDir,
    DATABASE_URL: database.url,
    ZYNDRA_URL: "",
  });
  const config: Config = {
    ...settings,
    ...options.config,
    limits: { ...settings.limits, drainMs: 5_000, rolloutMs: 20_000, ...options.config?.limits },
  };
  const log = options.log ?? openLog((process.env.TEST_LOG_LEVEL as "debug" | undefined) ?? "silent");
  const platform = await openPlatform({
    config,
    log,
    version: "0.0.0-test",
    processEnvironment: process.env,
    ...(options.overrides ? { overrides: options.overrides } : {}),
  });
  const { deps } = platform;
  const access = { publicUrl: config.publicUrl, plainHttpAllowed: false };
  const shown = { remoteAddress: "127.0.0.1", secure: false, door: "cli" } as const;
  const { token } = await claim(
    { ...deps, rates: openRates(), access },
    { code: platform.setupCode!, name: "ana" },
    shown,
  );
  const owner = await actorOf(platform, token);

  let disposed: Promise<void> | undefined;
  const dispose = async () => {
    // Databases of add-ons lie beside the test's own, on a server that others go on using.
    for (const { addon } of await listAddons(deps.db.db, owner.orgId)) {
      await deps.runtime.data.destroy(addon, AbortSignal.timeout(20_000)).catch(() => {});
    }
    await platform.close();
    await stopEverything(dataDir);
    await database[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true, force: true });
  };

  return {
    ...platform,
    config,
    dataDir,
    owner,
    token,
    ask: (name, input, actor = owner) => runCommand(deps, commandCalled(name), input, actor),
    async member(name, role) {
      const userId = await insertMember(deps.db.db, { orgId: owner.orgId, name, role });
      const made = newToken();
      await insertToken(deps.db.db, {
        id: made.id,
        orgId: owner.orgId,
        userId,
        label: "test",
        secretHash: made.secretHash,
      });
      return { actor: await actorOf(platform, made.token), token: made.token };
    },
    [Symbol.asyncDispose]: () => (disposed ??= dispose()),
  };
}

async function actorOf(platform: Platform, token: string): Promise<Actor> {
  const { id } = readToken(token)!;
  const holder = (await findTokenHolder(platform.deps.db.db, id))!;
  return {
    userId: holder.userId,
    name: holder.userName,
    orgId: holder.orgId,
    role: holder.role,
    door: "cli",
    tokenId: id,
  };
}

/** A command by its name, or by another of ours for it. */
export function commandCalled(word: string): Command {
  return commands.find(({ name, aliases }) => name === word || aliases?.includes(word))!;
}
