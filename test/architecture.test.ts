import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const src = fileURLToPath(new URL("../src", import.meta.url));

/** The floors, top first. Rooms of one floor do not know each other; imports go down. */
const floors: string[][] = [
  ["main.ts", "demo.ts"],
  ["platform.ts"],
  ["bot", "git-receiver", "web", "cli"],
  ["commands"],
  ["pipeline", "upkeep", "k8s"],
  ["deps.ts"],
  ["events"],
  ["db", "repos", "secrets"],
  ["runtime", "builder", "queue"],
  ["model"],
  ["errors.ts", "log.ts", "metrics.ts", "config.ts", "checks.ts"],
];

/** Who alone may import a library, so that a library that changes is one room's work. */
const keepers: [RegExp, RegExp][] = [
  [/^drizzle-orm/, /^db\//],
  [/^@kubernetes\//, /^k8s\//],
  [/^bullmq$/, /^queue\//],
  [/^@slack\//, /^bot\//],
  [/^probot/, /^git-receiver\/github\//],
  [/^node-git-server$/, /^git-receiver\/git\//],
  [/^hono|^@hono\//, /^web\//],
  [/^ws$/, /^(web|cli)\//],
];

/** Files with which an implementation is made; only platform.ts chooses one. */
const implementations =
  /^(builder\/local\/local|runtime\/local\/(local|router)|queue\/bullmq|db\/embedded\/[\w-]+|k8s\/runtime)\.ts$/;

const files = listFiles(src).map((file) => relative(src, file));
const roomOf = (file: string) => file.split("/")[0]!;
const floorOf = (file: string) => floors.findIndex((rooms) => rooms.includes(roomOf(file)));

test("every file stands on a floor", () => {
  expect(files.filter((file) => floorOf(file) < 0)).toEqual([]);
});

test("imports go down, never up and never to a neighbour", () => {
  const wrong = imports().filter(({ from, to }) => {
    if (to === undefined || roomOf(from) === roomOf(to)) return false;
    // The files of the ground know each other.
    if (floorOf(from) === floors.length - 1 && floorOf(to) === floors.length - 1) return false;
    return floorOf(to) <= floorOf(from);
  });
  expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
});

test("only one room knows each library", () => {
  const wrong = imports().filter(({ from, name }) =>
    keepers.some(([library, keeper]) => library.test(name) && !keeper.test(from)),
  );
  expect(wrong.map(({ from, name }) => `${from} -> ${name}`)).toEqual([]);
});

test("only platform.ts imports an implementation", () => {
  const wrong = imports().filter(
    ({ from, to }) =>
      to !== undefined && implementations.test(to) && from !== "platform.ts" && roomOf(from) !== roomOf(to),
  );
  expect(wrong.map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
});

test("only the entry points read the environment", () => {
  const entries = ["main.ts", "cli/main.ts", "demo.ts"];
  const readers = files.filter(
    (file) => /\bprocess\.env\b/.test(code(file).replace(/"[^"\n]*"/g, "")) && !entries.includes(file),
  );
  expect(readers).toEqual([]);
});

test("no command of ours goes through a shell", () => {
  const shells = files.filter((file) => /(?<!\.)\bexec(Sync)?\(|shell:\s*true/.test(code(file)));
  expect(shells).toEqual([]);
});

function imports(): { from: string; name: string; to: string | undefined }[] {
  return files.flatMap((from) =>
    [...code(from).matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, name]) => ({
      from,
      name: name!,
      to: name!.startsWith(".") ? relative(src, resolve(src, dirname(from), name!)) : undefined,
    })),
  );
}

function code(file: string): string {
  return readFileSync(join(src, file), "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
}

function listFiles(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return listFiles(path);
    return /\.ts$/.test(name) ? [path] : [];
  });
}
