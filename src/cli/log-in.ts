import { UserError } from "../errors.ts";
import { ask, Refusal, type Server } from "./api-client.ts";
import { type Call, exactly, takeFlags } from "./call.ts";
import { drawNote, printable } from "./draw.ts";
import { assertPrivate, findKnown, loadSettings, parseServerUrl, saveSettings, settingsPath } from "./settings.ts";
import { findWhere } from "./where.ts";
import { exitCodes, type World } from "./world.ts";

/** `setup URL CODE`: makes the owner, and lets this machine in as them. */
export async function setUp({ world, words, asJson }: Call): Promise<number> {
  const { words: plain, flags } = takeFlags(words, { name: "text", org: "text", "plain-http": "switch" });
  const [address = "", code = ""] = exactly(plain, 2, 2, "setup URL CODE [--name NAME]");
  const url = parseServerUrl(address);
  assertPrivate(url, flags["plain-http"] === true);
  // What cannot be written here would be a token lost for good: it is shown once.
  const settings = await loadSettings(world.configFolder);
  await saveSettings(world.configFolder, settings);
  const body = { code, name: flags.name ?? world.userName, ...(flags.org === undefined ? {} : { org: flags.org }) };
  const made = await ask<{ token: string; name: string; org: string }>(
    { url, version: world.version },
    { method: "POST", path: "/api/setup", body },
    world.interrupted,
  );
  await remember(world, url, made);
  if (asJson) return printJson(world, { url, ...made });
  world.stdout.write(printable(world.stdout, `${made.name} owns the Zyndra at ${url} now, and is logged in here.\n`));
  world.stdout.write(`The token is kept in ${settingsPath(world.configFolder)}; zyndra tokens:create makes more.\n`);
  drawNote(world, "hint", "zyndra apps:create NAME makes the first app");
  return exitCodes.ok;
}

/** `login URL`: stores a token that the server has found good. */
export async function logIn({ world, words, asJson }: Call): Promise<number> {
  const { words: plain, flags } = takeFlags(words, { token: "text", "plain-http": "switch" });
  const [address] = exactly(plain, 0, 1, "login URL [--token TOKEN]");
  const { server, url: ofEnvironment } = world.override;
  const known = address ?? server ?? ofEnvironment ?? (await loadSettings(world.configFolder)).current;
  if (known === undefined) throw new UserError("bad_input", "login needs the address of a Zyndra", "zyndra login URL");
  const url = parseServerUrl(known);
  assertPrivate(url, flags["plain-http"] === true);
  const token = (flags.token ?? (await askToken(world, url))).trim();
  if (token === "")
    throw new UserError(
      "bad_input",
      "no token was given",
      "zyndra tokens:create LABEL makes one, where you are logged in",
    );
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new UserError("bad_input", "that is not a token: it has letters that no token has");
  const me = await whoIs(world, { url, token, version: world.version });
  await remember(world, url, { token, name: me.name });
  if (asJson) return printJson(world, { url, ...me });
  world.stdout.write(printable(world.stdout, `Logged in to ${url} as ${me.name} (${me.role}).\n`));
  return exitCodes.ok;
}

async function askToken(world: World, url: string): Promise<string> {
  const { askSecret, readPipedLine } = await import("./prompt.ts");
  if (!world.isInteractive) return readPipedLine(world.stdin);
  for (const line of whereTokensComeFrom) drawNote(world, "hint", line);
  return askSecret(world, `Token for ${url} (it is not shown): `);
}

const lostToken = "an owner who lost theirs: zyndra recover, on its machine";

const whereTokensComeFrom = [
  "a token comes from a machine that is logged in: zyndra tokens:create laptop",
  `a Zyndra without an owner: zyndra setup URL CODE, as its start prints it; ${lostToken}`,
];

export async function logOut({ world, words }: Call): Promise<number> {
  const [typed] = exactly(takeFlags(words, {}).words, 0, 1, "logout [SERVER]");
  const settings = await loadSettings(world.configFolder);
  const address = typed ?? world.override.server;
  const url = address === undefined ? settings.current : (findKnown(settings, address) ?? parseServerUrl(address));
  if (url === undefined || settings.servers[url] === undefined) {
    throw new UserError(
      "not_found",
      url === undefined ? "this machine is not logged in anywhere" : `this machine is not logged in to ${url}`,
    );
  }
  delete settings.servers[url];
  const [next] = Object.keys(settings.servers);
  const current = settings.current === url ? next : settings.current;
  await saveSettings(world.configFolder, { servers: settings.servers, ...(current === undefined ? {} : { current }) });
  world.stdout.write(`Logged out of ${url}. The token itself stays valid; tokens:revoke ends one.\n`);
  if (next === undefined) {
    drawNote(world, "warning", "the token was kept nowhere else here, and no server shows it again");
    drawNote(world, "hint", `the way back in is another token: ${lostToken}`);
  }
  if (settings.current === url && next !== undefined) world.stdout.write(`Commands go to ${next} from now on.\n`);
  return exitCodes.ok;
}

export async function whoAmI({ world, words, asJson }: Call): Promise<number> {
  exactly(takeFlags(words, {}).words, 0, 0, "whoami");
  const { server } = await findWhere(world).catch((error: unknown) => {
    if (!(error instanceof UserError) || error.code !== "unauthenticated") throw error;
    throw new UserError(error.code, error.message, `${error.hint}; ${lostToken}`);
  });
  const me = await whoIs(world, server);
  if (asJson) return printJson(world, { url: server.url, ...me });
  world.stdout.write(printable(world.stdout, `${me.name} (${me.role}) at ${server.url}\n`));
  return exitCodes.ok;
}

async function whoIs(world: World, server: Server): Promise<{ name: string; role: string }> {
  try {
    const asked = ask<{ name: string; role: string }>(
      server,
      { method: "GET", path: "/api/whoami" },
      world.interrupted,
    );
    return await world.waiting.during(server.url, asked);
  } catch (error) {
    // A refused token is told as it is; the server's hint is for those who have shown none.
    if (error instanceof Refusal && error.status === 401) {
      throw new UserError(
        "unauthenticated",
        `${server.url} refuses the token: ${error.message}`,
        "its owner can make another: zyndra tokens:create LABEL",
      );
    }
    throw error;
  }
}

async function remember(world: World, url: string, login: { token: string; name: string }): Promise<void> {
  const settings = await loadSettings(world.configFolder);
  const servers = { ...settings.servers, [url]: { token: login.token, name: login.name } };
  await saveSettings(world.configFolder, { current: url, servers });
}

function printJson(world: World, data: unknown): number {
  world.stdout.write(`${JSON.stringify(data, null, 2)}\n`);
  return exitCodes.ok;
}
