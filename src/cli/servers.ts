import { UserError } from "../errors.ts";
import { type Call, exactly, takeFlags } from "./call.ts";
import { drawNote, drawTable, printable } from "./draw.ts";
import { findKnown, loadSettings, saveSettings } from "./settings.ts";
import { findServer } from "./where.ts";
import { exitCodes, type World } from "./world.ts";

/** `servers`: where this machine is logged in, and which of them is meant here. Nobody is asked. */
export async function listServers({ world, words, asJson }: Call): Promise<number> {
  exactly(takeFlags(words, {}).words, 0, 0, "servers");
  const { servers, current } = await loadSettings(world.configFolder);
  const here = await urlMeantHere(world);
  const known = Object.entries(servers).map(([url, { name }]) => ({
    url,
    name,
    current: url === current,
    here: url === here,
  }));
  if (asJson) {
    world.stdout.write(`${JSON.stringify(known, null, 2)}\n`);
    return exitCodes.ok;
  }
  const rows = known.map(({ url, name, ...server }) => [url, name, remark(server)]);
  const none = "This machine is not logged in anywhere.";
  world.stdout.write(drawTable(world.stdout, { columns: ["server", "as", ""], rows, none }));
  if (here !== undefined && !known.some(({ url }) => url === here))
    drawNote(world, "warning", `commands go to ${here} here, and this machine has no token for it`);
  if (known.length === 0) drawNote(world, "hint", "zyndra login URL");
  else if (known.length > 1)
    drawNote(world, "hint", "zyndra servers:use SERVER chooses; --server SERVER asks another once");
  return exitCodes.ok;
}

function remark({ current, here }: { current: boolean; here: boolean }): string {
  if (here) return current ? "in use" : "in use in this folder";
  return current ? "in use elsewhere" : "";
}

/** `servers:use SERVER`: where commands go from now on. */
export async function useServer({ world, words }: Call): Promise<number> {
  const [typed = ""] = exactly(takeFlags(words, {}).words, 1, 1, "servers:use SERVER");
  const settings = await loadSettings(world.configFolder);
  const url = findKnown(settings, typed);
  if (url === undefined) {
    throw new UserError(
      "not_found",
      `this machine is not logged in to ${typed}`,
      `zyndra servers lists where it is; zyndra login ${typed} logs in`,
    );
  }
  await saveSettings(world.configFolder, { ...settings, current: url });
  const { name } = settings.servers[url]!;
  world.stdout.write(printable(world.stdout, `Commands go to ${url} from now on, as ${name}.\n`));
  const here = await urlMeantHere(world);
  if (here !== undefined && here !== url)
    drawNote(world, "hint", `in this folder they go to ${here}, which its remote or ZYNDRA_URL names`);
  return exitCodes.ok;
}

async function urlMeantHere(world: World): Promise<string | undefined> {
  try {
    return (await findServer(world)).server.url;
  } catch (error) {
    if (error instanceof UserError && error.code === "unauthenticated") return undefined;
    throw error;
  }
}
