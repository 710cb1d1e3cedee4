import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from "node:crypto";

/** Where a sealed text belongs. It opens there and nowhere else, so that rows cannot be swapped behind our back. */
export type Place = { orgId: string; table: string; column: string; rowId: string };

/** A 256-bit key. The bytes stay inside the key object, which prints as nothing. */
export type SealingKey = { readonly id: string; readonly key: KeyObject };

export const keyBytes = 32;
const nonceBytes = 12; // NIST SP 800-38D §8.2: 96 bits; random ones are good for 2^32 texts a key.
const tagBytes = 16;

/** The id tells which key sealed a text, and nothing about the key. */
export function sealingKey(bytes: Buffer): SealingKey {
  if (bytes.length !== keyBytes) throw new Error(`A key has ${keyBytes} bytes, not ${bytes.length}.`);
  const id = createHmac("sha256", bytes).update("zyndra key id").digest("base64url").slice(0, 11);
  return { id, key: createSecretKey(bytes) };
}

/** Encrypts and authenticates a text for one place: AES-256-GCM, as `v1.KEY.NONCE.CIPHERTEXT.TAG`, each in base64url. */
export function seal(key: SealingKey, place: Place, plaintext: string): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key.key, nonce, { authTagLength: tagBytes });
  cipher.setAAD(boundTo(place));
  const ciphertext = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final()]);
  const parts = [nonce, ciphertext, cipher.getAuthTag()].map((part) => part.toString("base64url"));
  return ["v1", key.id, ...parts].join(".");
}

/** The text that was sealed for this place with this key. Throws SealError for every other key, place or text. */
export function unseal(key: SealingKey, place: Place, sealed: string): string {
  const [version, keyId, ...parts] = sealed.split(".");
  if (version !== "v1" || parts.length !== 3) throw new SealError(place, "it is no sealed text");
  if (keyId !== key.id) throw new SealError(place, `it was sealed with the key ${keyId}, not with ${key.id}`);
  const [nonce, ciphertext, tag] = parts.map((part) => decode(part));
  if (!ciphertext || nonce?.length !== nonceBytes || tag?.length !== tagBytes)
    throw new SealError(place, "it is damaged");
  const decipher = createDecipheriv("aes-256-gcm", key.key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(boundTo(place));
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]).toString("utf8");
  } catch {
    throw new SealError(place, "it was changed, or moved here from another row");
  }
}

/** A stored text does not open: somebody changed the database, or the key is another one. Names the place, never the content. */
export class SealError extends Error {
  override name = "SealError";

  constructor({ table, column, rowId }: Place, why: string) {
    super(`${table}.${column} of ${rowId} cannot be decrypted: ${why}.`);
  }
}

function boundTo({ orgId, table, column, rowId }: Place): Buffer {
  const parts = [orgId, table, column, rowId];
  if (parts.some((part) => part === "" || part.includes("|")))
    throw new Error(`No place for a secret: ${parts.join(", ")}`);
  return Buffer.from(parts.join("|"), "utf8");
}

/** Node reads base64url leniently; a text that is not exactly what we wrote was changed. */
function decode(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}
