import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { join, resolve } from "node:path";
import { UserError } from "../errors.ts";
import { keyBytes, type Place, type SealingKey, seal, sealingKey, unseal } from "./sealed.ts";

export { type Place, SealError, seal, unseal } from "./sealed.ts";

/** The key of one org: all that the database holds of its secrets is sealed with it. */
export type OrgKey = SealingKey;

/** The platform's key. It seals nothing but the orgs' keys, so that it can be changed without touching what they seal. */
export type Keyring = {
  /** Makes a key for a new org, wrapped as the database keeps it. */
  newOrgKey(): string;
  /** @throws SealError where another platform's key wrapped it, or it was changed. */
  openOrgKey(wrapped: string): OrgKey;
  /** A text to be kept in the database: at each start it tells whether this is still the key that it was sealed with. */
  keyCheck(): string;
  opensKeyCheck(keyCheck: string): boolean;
};

/**
 * Opens the platform's key: `kek` (32 bytes in base64) where one is given, else the file `keys/master.key` in the data folder,
 * which is made at the first start and never written again. Who loses it loses every secret in the database.
 */
export async function openKeyring(options: { dataDir: string; kek?: string | undefined }): Promise<Keyring> {
  const bytes =
    options.kek === undefined
      ? await readKeyFile(options.dataDir)
      : parseKey(options.kek, "the platform's key that was given");
  const platformKey = sealingKey(bytes);
  return {
    newOrgKey: () => seal(platformKey, wrappedPlace, randomBytes(keyBytes).toString("base64url")),
    openOrgKey: (wrapped) => sealingKey(Buffer.from(unseal(platformKey, wrappedPlace, wrapped), "base64url")),
    keyCheck: () => seal(platformKey, checkPlace, knownText),
    opensKeyCheck: (keyCheck) => {
      try {
        return unseal(platformKey, checkPlace, keyCheck) === knownText;
      } catch {
        return false;
      }
    },
  };
}

/** A wrapped key is bound to its purpose only: in another org's row it opens, but none of that org's texts open with it. */
const wrappedPlace: Place = { orgId: "platform", table: "orgs", column: "wrapped_key", rowId: "any" };
const checkPlace: Place = { orgId: "platform", table: "platform", column: "key_check", rowId: "only" };
const knownText = "zyndra";

async function readKeyFile(dataDir: string): Promise<Buffer> {
  const folder = join(resolve(dataDir), "keys");
  const file = join(folder, "master.key");
  try {
    await fs.mkdir(folder, { recursive: true, mode: 0o700 });
    const text = (await readIfThere(file)) ?? (await makeKeyFile(folder, file));
    return parseKey(text, file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EACCES" || code === "EROFS") {
      throw new UserError(
        "forbidden",
        `the platform's key ${file} cannot be read or made`,
        "start as the user whom it belongs to",
      );
    }
    if (code === "ENOSPC") throw new UserError("insufficient_storage", `the disk that holds ${folder} is full`);
    throw error;
  }
}

/** Written under another name, synced, then linked: the file appears whole, is never replaced, and of two starts one wins. */
async function makeKeyFile(folder: string, file: string): Promise<string> {
  const unfinished = `${file}.new-${process.pid}-${randomBytes(4).toString("hex")}`;
  const handle = await fs.open(unfinished, "wx", 0o600);
  try {
    await handle.writeFile(`${randomBytes(keyBytes).toString("base64")}\n`);
    await handle.sync();
    await fs.link(unfinished, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await handle.close();
    await fs.rm(unfinished, { force: true });
  }
  const folderHandle = await fs.open(folder, "r");
  await folderHandle.sync().finally(() => folderHandle.close());
  return await fs.readFile(file, "utf8");
}

function parseKey(text: string, what: string): Buffer {
  const trimmed = text.trim();
  const bytes = Buffer.from(trimmed, "base64");
  if (bytes.length === keyBytes && /^[\w+/-]{43}=?$/.test(trimmed)) return bytes;
  throw new UserError("bad_input", `${what} is not a key: ${keyBytes} bytes in base64`, "put it back from a backup");
}

async function readIfThere(file: string): Promise<string | undefined> {
  return await fs.readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}
