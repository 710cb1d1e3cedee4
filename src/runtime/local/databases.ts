import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import pg from "pg";
import { UserError } from "../../errors.ts";
import type { DatabaseAccess } from "../../model/addons.ts";
import type { AddonFigures } from "../runtime.ts";
import { scramVerifier } from "./scram.ts";

/** The server that add-ons live on, entered with a login that may make databases. */
export type PostgresServer = {
  url: string;
  /** Nobody else uses it: all of its doors are ours to close. */
  isOurs: boolean;
};

/** Where the server is that databases are made on: it may be one that is started for the first of them. */
export type PostgresHome = {
  /** Undefined while it does not run. */
  current(): PostgresServer | undefined;
  /** Starts it where it does not run. */
  open(): Promise<PostgresServer>;
};

/** A server that somebody else starts. */
export function alwaysOpen(server: PostgresServer): PostgresHome {
  return { current: () => server, open: async () => server };
}

/** How many connections one add-on's login may hold. */
const connectionsEach = 20;
/** What is left to each where all add-ons want theirs at once, below which no more of them are made. */
const leastConnectionsEach = 4;
/** The platform's pool, its queue and what listens for events, where it uses the same server. An embedded one keeps as many free. */
const connectionsOfPlatform = 40;

const connectLimitMs = 5_000;
const statementLimitMs = 60_000;

/** Database and login of an add-on have one name. */
function nameOf(addonId: string): string {
  assert(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(addonId), `"${addonId}" is no add-on's id`);
  return `zyndra_${addonId.replaceAll("-", "")}`;
}

/** @throws UserError forbidden where the platform's login may not make any, conflict where there are too many, unsupported */
export async function assertRoomForDatabase(server: PostgresServer, there: number): Promise<void> {
  if (!new URL(server.url).hostname) {
    throw new UserError(
      "unsupported",
      "DATABASE_URL names a socket, by which apps may not be let in: databases need a host and a port",
      "give Zyndra a DATABASE_URL with a host",
    );
  }
  const facts = await withClient(server, undefined, async (client) => {
    const { rows } = await client.query<{ login: string; able: boolean; most: number; made: number }>(`
      select rolname as login, rolsuper or (rolcreatedb and rolcreaterole) as able,
        current_setting('max_connections')::int as most,
        (select count(*)::int from pg_database where datname ~ '^zyndra_[0-9a-f]{32}$') as made
      from pg_roles where rolname = current_user`);
    return rows[0]!;
  });
  if (!facts.able) {
    throw new UserError(
      "forbidden",
      `the login "${facts.login}" of Zyndra's DATABASE_URL may not make databases and logins`,
      `as an administrator of that server: ALTER ROLE "${facts.login}" CREATEDB CREATEROLE`,
    );
  }
  const most = Math.max(0, Math.floor((facts.most - connectionsOfPlatform) / leastConnectionsEach));
  // Some are not made yet, and on a server that others use too, some are of another Zyndra.
  const count = Math.max(facts.made, there);
  if (count < most) return;
  throw new UserError(
    "conflict",
    `there are ${count} databases on Zyndra's PostgreSQL, and its ${facts.most} connections are enough for ${most}`,
    "zyndra addons --all lists them: destroy one that nobody needs, or raise the server's max_connections",
  );
}

/** See Data.newAccess. */
export function newDatabaseAccess(server: PostgresServer, addonId: string): DatabaseAccess {
  return reachDatabase(server, addonId, randomBytes(32).toString("base64url"));
}

/** See Data.reach. */
export function reachDatabase(server: PostgresServer, addonId: string, password: string): DatabaseAccess {
  const url = new URL(server.url);
  const sslMode = url.searchParams.get("sslmode");
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port || 5432),
    user: nameOf(addonId),
    password,
    database: nameOf(addonId),
    ...(sslMode === null ? {} : { sslMode }),
  };
}

/** See Data.ensure. The login comes first and goes last, so that a database is never without its owner. */
export async function ensureDatabase(
  server: PostgresServer,
  addonId: string,
  { password }: DatabaseAccess,
  signal: AbortSignal,
): Promise<void> {
  const name = nameOf(addonId);
  await withClient(server, signal, async (client) => {
    await oneAtATime(client);
    await closeDoors(client, server);
    await ensureLogin(client, server, name, password);
    signal.throwIfAborted();
    await ensureOwnDatabase(client, name);
  });
}

/** See Data.destroy. */
export async function destroyDatabase(server: PostgresServer, addonId: string, signal: AbortSignal): Promise<void> {
  const name = nameOf(addonId);
  await withClient(server, signal, async (client) => {
    await oneAtATime(client);
    if (await exists(client, "pg_roles", "rolname", name)) {
      await enterRole(client, name);
      // Programs that lose their connection come back at once.
      await client.query(`alter role "${name}" nologin`);
    }
    if (await exists(client, "pg_database", "datname", name)) await makeRemovable(client, name);
    await client.query(`drop database if exists "${name}" with (force)`);
    await forgetGrants(client, server, name);
    await client.query(`drop role if exists "${name}"`);
  });
}

/** Its owner may have made it a template, which PostgreSQL refuses to drop; and nobody is to come in any more. */
async function makeRemovable(client: pg.Client, name: string): Promise<void> {
  await client.query(`alter database "${name}" with is_template false allow_connections false`);
}

/** PostgreSQL keeps a login for as long as another database has granted it something, which every owner of one can do. */
async function forgetGrants(client: pg.Client, server: PostgresServer, name: string): Promise<void> {
  const { rows } = await client.query<{ place: string }>(
    `select distinct coalesce(datname, current_database()) as place
     from pg_shdepend left join pg_database on pg_database.oid = dbid
     where refclassid = 'pg_authid'::regclass and refobjid = (select oid from pg_roles where rolname = $1)`,
    [name],
  );
  for (const { place } of rows) {
    const url = new URL(server.url);
    url.pathname = `/${encodeURIComponent(place)}`;
    await withClient({ ...server, url: url.href }, undefined, (there) => there.query(`drop owned by "${name}"`));
  }
}

/** See Data.inspect. */
export async function inspectDatabase(server: PostgresServer, addonId: string): Promise<AddonFigures> {
  return withClient(server, undefined, async (client) => {
    const { rows } = await client.query<{ size: string; open: number }>(
      `select pg_database_size(oid) as size,
         (select count(*)::int from pg_stat_activity where datid = pg_database.oid and usename = datname) as open
       from pg_database where datname = $1`,
      [nameOf(addonId)],
    );
    if (!rows[0]) return {};
    return { sizeBytes: Number(rows[0].size), connections: { open: rows[0].open, most: connectionsEach } };
  });
}

/** Two who change the same row of the server's catalogue at once would fail: everyone who makes or removes waits here. */
async function oneAtATime(client: pg.Client): Promise<void> {
  await client.query("select pg_advisory_lock(hashtextextended('zyndra add-ons', 0))");
}

/**
 * PostgreSQL lets every login into every database until that is taken back. On a server of somebody else's only the platform's
 * own database is ours to close.
 * @throws UserError forbidden where it stays open
 */
async function closeDoors(client: pg.Client, { isOurs }: PostgresServer): Promise<void> {
  const { rows } = await client.query<{ name: string; isOwn: boolean; login: string }>(
    `select datname as name, datname = current_database() as "isOwn", current_user as login from pg_database
     where has_database_privilege('public', oid, 'connect') and (datname = current_database() or $1 and datallowconn)`,
    [isOurs],
  );
  for (const { name } of rows)
    await client.query(`revoke connect on database ${pg.escapeIdentifier(name)} from public`);
  const own = rows.find(({ isOwn }) => isOwn);
  if (!own || !(await isOpen(client))) return;
  const [database, login] = [own.name, own.login].map(pg.escapeIdentifier);
  throw new UserError(
    "forbidden",
    "every login of this server may enter Zyndra's own database, and Zyndra, who does not own it, cannot change that",
    `as its owner: GRANT CONNECT ON DATABASE ${database} TO ${login}; REVOKE CONNECT ON DATABASE ${database} FROM PUBLIC`,
  );
}

async function isOpen(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query("select has_database_privilege('public', current_database(), 'connect') as open");
  return rows[0].open;
}

/** A login that may do nothing but enter its own database. */
async function ensureLogin(client: pg.Client, server: PostgresServer, name: string, password: string): Promise<void> {
  const verb = (await exists(client, "pg_roles", "rolname", name)) ? "alter" : "create";
  const verifier = await scramVerifier(password);
  await client.query(`${verb} role "${name}" with login connection limit ${connectionsEach} password '${verifier}'`);
  for (const [setting, value] of Object.entries({ ...limits, ...(server.isOurs ? limitsOnOurs : {}) })) {
    await client.query(`alter role "${name}" set ${setting} = '${value}'`);
  }
  await enterRole(client, name);
}

/** A forgotten transaction keeps the whole server from clearing away old rows. */
const limits = { idle_in_transaction_session_timeout: "10min" };
/** One query must not fill the disk; and what customers' statements say is not for the platform's log. */
const limitsOnOurs = { temp_file_limit: "1GB", log_min_messages: "fatal" };

/** Who is no superuser may give a database only to roles that they are in. */
async function enterRole(client: pg.Client, name: string): Promise<void> {
  const { rows } = await client.query("select rolsuper as is_super from pg_roles where rolname = current_user");
  if (!rows[0].is_super) await client.query(`grant "${name}" to current_user`);
}

/** Nobody is let in before the door is closed to all others. */
async function ensureOwnDatabase(client: pg.Client, name: string): Promise<void> {
  if (!(await exists(client, "pg_database", "datname", name))) {
    await client.query(
      `create database "${name}" owner "${name}" template template0 encoding 'UTF8' allow_connections false`,
    );
  }
  await client.query(`revoke all on database "${name}" from public`);
  await client.query(`alter database "${name}" with allow_connections true`);
}

async function exists(client: pg.Client, table: string, column: string, name: string): Promise<boolean> {
  const { rowCount } = await client.query(`select from ${table} where ${column} = $1`, [name]);
  return rowCount === 1;
}

/** One connection for one errand; an aborted signal leaves it, and the server gives up what it had begun or finishes it. */
async function withClient<T>(
  { url }: PostgresServer,
  signal: AbortSignal | undefined,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectLimitMs,
    query_timeout: statementLimitMs,
    application_name: "zyndra add-ons",
  });
  client.on("error", () => {});
  const aborted = Promise.withResolvers<never>();
  const leave = () => aborted.reject(signal!.reason);
  signal?.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([client.connect().then(() => use(client)), aborted.promise]);
  } finally {
    signal?.removeEventListener("abort", leave);
    const ended = client.end().catch(() => {});
    // A client that is left while it connects never says that it has ended.
    if (!signal?.aborted) await ended;
  }
}
