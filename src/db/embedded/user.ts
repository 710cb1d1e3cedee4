import { spawn } from "node:child_process";
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../errors.ts";
import type { PostgresBinaries } from "./binaries.ts";
import type { Place } from "./place.ts";

/** As whom the server runs: `prefix` goes before its command line; `owner` is given the files it must own. */
export type ServerUser = { prefix: string[]; owner?: User };
type User = { uid: number; gid: number };

/**
 * PostgreSQL refuses to run as root, so root steps down, in this order:
 * 1. to the user whom an existing cluster belongs to;
 * 2. into a user namespace where root goes by another number: the files stay root's, so this works below a private /root too;
 * 3. where namespaces are refused, as in many containers, to a system user, who keeps root's right to pass private folders if it can.
 */
export async function chooseServerUser(place: Place, binaries: PostgresBinaries): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return { prefix: [] };
  if (process.platform !== "linux") throw cannotStepDown(place, "on this system");

  const owner = await fs.stat(place.cluster).catch(() => undefined);
  const known = await readUsers();
  const systemUser = known.get("postgres") ?? known.get("nobody");

  if (!owner || owner.uid === 0) {
    const namespace = ["unshare", "--user", `--map-user=${systemUser?.uid ?? 1000}`];
    if (await succeeds([...namespace, "true"], binaries)) return { prefix: namespace };
  }
  const user = owner && owner.uid !== 0 ? owner : systemUser;
  if (user === undefined) throw cannotStepDown(place, "and there is no user postgres or nobody");
  await giveAllTo(place.folder, user);
  for (const prefix of waysToStepDown(user, systemUser)) {
    const reaches = ["test", "-f", binaries.postgres, "-a", "-d", join(place.folder, ".")];
    if (await succeeds([...prefix, ...reaches], binaries)) return { prefix, owner: user };
  }
  throw cannotStepDown(place, "and no other user reaches this folder");
}

/**
 * The right to pass private folders is kept only where there is no other way, and never for a person's own files: whoever has
 * the database's password would read with it what only root may. A system user's password stands behind those private folders.
 */
function waysToStepDown(user: User, systemUser: User | undefined): string[][] {
  const stepDown = ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups"];
  if (user.uid !== systemUser?.uid) return [stepDown];
  return [stepDown, [...stepDown, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]];
}

/** Gives files that root wrote to the user the server runs as. */
export async function giveTo(user: ServerUser, ...files: string[]): Promise<void> {
  const { owner } = user;
  if (owner) await Promise.all(files.map((file) => fs.lchown(file, owner.uid, owner.gid)));
}

async function giveAllTo(folder: string, owner: User): Promise<void> {
  if ((await fs.stat(folder)).uid === owner.uid) return;
  for (const name of await fs.readdir(folder, { recursive: true })) {
    await fs.lchown(join(folder, name), owner.uid, owner.gid);
  }
  await fs.chown(folder, owner.uid, owner.gid); // Last, so that what is cut short here is done again.
}

function cannotStepDown(place: Place, why: string): UserError {
  return new UserError(
    "forbidden",
    `PostgreSQL does not run as root, and here root cannot start it as somebody else in ${place.folder}: user namespaces are refused ${why}`,
    "start as an ordinary user, or set DATABASE_URL to a PostgreSQL of yours",
  );
}

/** initdb asks for the name of its user, so only numbers that have one will do. */
async function readUsers(): Promise<Map<string, User>> {
  const text = await fs.readFile("/etc/passwd", "utf8").catch(() => "");
  const users = new Map<string, User>();
  for (const line of text.split("\n")) {
    const [name = "", , uid, gid] = line.split(":");
    if (name !== "" && uid && gid) users.set(name, { uid: Number(uid), gid: Number(gid) });
  }
  return users;
}

async function succeeds(command: string[], binaries: PostgresBinaries): Promise<boolean> {
  const [program = "", ...args] = command;
  return await new Promise((done) => {
    const child = spawn(program, args, { env: binaries.environment, stdio: "ignore", timeout: 5_000 });
    child.on("error", () => done(false));
    child.on("exit", (code) => done(code === 0));
  });
}
