import * as fs from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, onTestFinished, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { openKeyring, type Place, SealError, seal, unseal } from "../../src/secrets/keyring.ts";

const place: Place = { orgId: "org-1", table: "config_vars", column: "sealed_value", rowId: "row-1" };

test("a sealed text opens in its place with its key, and holds nothing readable", async () => {
  const { openOrgKey, newOrgKey } = await openKeyring({ dataDir: await emptyFolder() });
  const key = openOrgKey(newOrgKey());
  for (const text of ["", "hunter2", "ümläut €\n\0 end", "x".repeat(40_000)]) {
    const sealed = seal(key, place, text);
    expect(sealed).toMatch(/^v1(\.[\w-]*){4}$/);
    expect(unseal(key, place, sealed)).toBe(text);
    expect(seal(key, place, text)).not.toBe(sealed); // A fresh nonce each time.
  }
  expect(JSON.stringify(key)).not.toContain(Buffer.from(key.key.export()).toString("base64").slice(0, 10));
});

test("a text that was moved to another row, column, table or org does not open", async () => {
  const { openOrgKey, newOrgKey } = await openKeyring({ dataDir: await emptyFolder() });
  const key = openOrgKey(newOrgKey());
  const sealed = seal(key, place, "hunter2");
  for (const moved of [{ rowId: "row-2" }, { column: "name" }, { table: "releases" }, { orgId: "org-2" }]) {
    expect(() => unseal(key, { ...place, ...moved }, sealed)).toThrow(SealError);
  }
  expect(() => unseal(key, { ...place, rowId: "row-2" }, sealed)).toThrow(
    "config_vars.sealed_value of row-2 cannot be decrypted: it was changed, or moved here from another row.",
  );
  // Two places must never be bound alike.
  expect(() => seal(key, { ...place, orgId: "org-1|config_vars" }, "x")).toThrow(/No place/);
});

test("a text of which any character was changed, lost or added does not open", async () => {
  const { openOrgKey, newOrgKey } = await openKeyring({ dataDir: await emptyFolder() });
  const key = openOrgKey(newOrgKey());
  const sealed = seal(key, place, "hunter2!");
  for (let at = 0; at < sealed.length; at++) {
    for (const other of ["A", "B", "-", "=", ".", ""]) {
      if (sealed[at] === other) continue;
      const changed = sealed.slice(0, at) + other + sealed.slice(at + 1);
      expect(() => unseal(key, place, changed), changed).toThrow(SealError);
    }
  }
  for (const wrong of ["", "v1", "v2.a.b.c.d", `${sealed}A`, `${sealed}.`, sealed.slice(0, -4)]) {
    expect(() => unseal(key, place, wrong), wrong).toThrow(SealError);
  }
});

test("one org's key does not open another's texts", async () => {
  const { openOrgKey, newOrgKey } = await openKeyring({ dataDir: await emptyFolder() });
  const [ours, theirs] = [openOrgKey(newOrgKey()), openOrgKey(newOrgKey())];
  expect(() => unseal(theirs, place, seal(ours, place, "hunter2"))).toThrow(
    /was sealed with the key [\w-]{11}, not with [\w-]{11}/,
  );
});

test("the platform's key is made once, readable by its owner only whatever the umask, and opens after a restart what it closed before", async () => {
  const umask = process.umask(0);
  onTestFinished(() => void process.umask(umask));
  const dataDir = await emptyFolder();
  const first = await openKeyring({ dataDir });
  const wrapped = first.newOrgKey();
  const sealed = seal(first.openOrgKey(wrapped), place, "hunter2");
  expect((await fs.stat(join(dataDir, "keys/master.key"))).mode & 0o777).toBe(0o600);
  expect((await fs.stat(join(dataDir, "keys"))).mode & 0o777).toBe(0o700);
  expect(await fs.readdir(join(dataDir, "keys"))).toEqual(["master.key"]);

  const second = await openKeyring({ dataDir });
  expect(unseal(second.openOrgKey(wrapped), place, sealed)).toBe("hunter2");
  expect(second.opensKeyCheck(first.keyCheck())).toBe(true);
});

test("first starts that run at once agree on one key", async () => {
  const dataDir = await emptyFolder();
  const keyrings = await Promise.all(Array.from({ length: 8 }, () => openKeyring({ dataDir })));
  for (const keyring of keyrings) expect(keyring.opensKeyCheck(keyrings[0]!.keyCheck())).toBe(true);
});

test("another platform's key is recognised as wrong before anything is opened with it", async () => {
  const [ours, theirs] = [
    await openKeyring({ dataDir: await emptyFolder() }),
    await openKeyring({ dataDir: await emptyFolder() }),
  ];
  expect(theirs.opensKeyCheck(ours.keyCheck())).toBe(false);
  expect(theirs.opensKeyCheck("")).toBe(false);
  expect(() => theirs.openOrgKey(ours.newOrgKey())).toThrow(SealError);
});

test("a key may be given instead of the file, and is then written nowhere", async () => {
  const dataDir = await emptyFolder();
  const kek = Buffer.alloc(32, 7).toString("base64");
  const given = await openKeyring({ dataDir, kek });
  expect((await openKeyring({ dataDir, kek: ` ${kek}\n` })).opensKeyCheck(given.keyCheck())).toBe(true);
  expect(await fs.readdir(dataDir)).toEqual([]);
});

test("a damaged key file is told in a sentence that shows nothing of it, and is never replaced", async () => {
  const dataDir = await emptyFolder();
  await fs.mkdir(join(dataDir, "keys"));
  for (const content of ["", "hunter2hunter2", `${Buffer.alloc(31, 7).toString("base64")}\n`, "=".repeat(44)]) {
    await fs.writeFile(join(dataDir, "keys/master.key"), content);
    const refusal = await openKeyring({ dataDir }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(UserError);
    expect(String(refusal)).toMatch(/master\.key is not a key: 32 bytes in base64$/);
    expect(await fs.readFile(join(dataDir, "keys/master.key"), "utf8")).toBe(content);
  }
  await expect(openKeyring({ dataDir, kek: "hunter2" })).rejects.toThrow(
    "the platform's key that was given is not a key: 32 bytes in base64",
  );
});

async function emptyFolder(): Promise<string> {
  const folder = await fs.mkdtemp(join(inject("runFolder"), "keys-"));
  onTestFinished(() => fs.rm(folder, { recursive: true }));
  return folder;
}
