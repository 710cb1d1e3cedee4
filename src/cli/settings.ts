import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";

/** What this person's machine remembers: servers with a token each, and the one that is meant where nothing says otherwise. */
export type Settings = { current?: string; servers: Record<string, { token: string; name: string }> };

/** @throws UserError where the file cannot be read or is damaged */
export async function loadSettings(configFolder: string): Promise<Settings> {
  const path = settingsPath(configFolder);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return "";
    throw new UserError("unavailable", `${path} cannot be read (${error.code})`);
  });
  if (text === "") return { servers: {} };
  try {
    const { current, servers } = JSON.parse(text) as Partial<Settings>;
    return { ...(typeof current === "string" ? { current } : {}), servers: servers ?? {} };
  } catch {
    throw new UserError("unavailable", `${path} is damaged`, "move it away and log in again: zyndra login URL");
  }
}

/** Writes the whole file or nothing of it, for this user alone: it holds tokens. */
export async function saveSettings(configFolder: string, settings: Settings): Promise<void> {
  const path = settingsPath(configFolder);
  const unfinished = `${path}.${process.pid}.tmp`;
  try {
    await mkdir(configFolder, { recursive: true, mode: 0o700 });
    const file = await open(unfinished, "w", 0o600);
    try {
      await file.writeFile(`${JSON.stringify(settings, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => {});
    throw new UserError("unavailable", `${path} cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}

export function settingsPath(configFolder: string): string {
  return join(configFolder, "config.json");
}

/**
 * The server that someone means who is logged in to it: by its address, its host, or the beginning of that where only one
 * begins so. @throws UserError bad_input where several do
 */
export function findKnown({ servers }: Settings, typed: string): string | undefined {
  const text = typed.toLowerCase().replace(/\/+$/, "");
  const named = Object.keys(servers).map((url) => ({ url, name: url.replace(/^https?:\/\//, "") }));
  const exact = named.find(({ url, name }) => url === text || name === text);
  if (exact) return exact.url;
  const begun = text === "" ? [] : named.filter(({ name }) => name.startsWith(text));
  if (begun.length < 2) return begun[0]?.url;
  const names = begun.map(({ name }) => name).join(", ");
  throw new UserError("bad_input", `"${typed}" could be ${names}`, "type more of it; zyndra servers lists them");
}

/**
 * A server's address as it is remembered: with a scheme, without a slash at its end. Plain HTTP is assumed for this machine only.
 * @throws UserError bad_input
 */
export function parseServerUrl(text: string): string {
  const isLocal = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|[\w-]+\.localhost)(:|\/|$)/i.test(text);
  if (/^(?!https?:)[a-z+.-]+:\/\//i.test(text)) throw notAnAddress(text);
  const full = /^https?:\/\//i.test(text) ? text : `${isLocal ? "http" : "https"}://${text}`;
  let url: URL;
  try {
    url = new URL(full);
  } catch {
    throw notAnAddress(text);
  }
  if (url.hostname === "" || url.search !== "" || url.hash !== "" || /\s/.test(text)) throw notAnAddress(text);
  if (url.username !== "" || url.password !== "") {
    throw new UserError(
      "bad_input",
      "a server's address has no user name or password in it",
      "zyndra login URL asks for the token",
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/**
 * A secret is sent to another machine over TLS only, unless someone says that the network is theirs: the server would refuse
 * it, but by then it has been sent. @throws UserError forbidden
 */
export function assertPrivate(url: string, plainHttpAllowed: boolean): void {
  const { protocol, hostname } = new URL(url);
  if (protocol === "https:" || isThisMachine(hostname) || plainHttpAllowed) return;
  throw new UserError(
    "forbidden",
    `${url} is plain HTTP to another machine: others on the way could read what is sent`,
    "use its https address; on a network that you trust: --plain-http",
  );
}

export function isThisMachine(hostname: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|[\w.-]+\.localhost)$/i.test(hostname);
}

function notAnAddress(text: string): UserError {
  return new UserError(
    "bad_input",
    `"${text}" is not the address of a server`,
    "for example: zyndra login https://zyndra.example.org",
  );
}
