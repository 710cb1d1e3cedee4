import { randomUUID } from "node:crypto";
import { access, appendFile, lstat, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { VolumeMount } from "../../src/model/addons.ts";
import { slugFolder } from "../../src/model/image.ts";
import { slugFilesFile, slugFilesText } from "../../src/model/slug.ts";
import { linkVolumes } from "../../src/runtime/local/mounts.ts";
import type { ReleaseSpec } from "../../src/runtime/runtime.ts";
import { eventually } from "../support/eventually.ts";
import { type LocalBench, openLocalBench } from "./local-bench.ts";
import { aCall } from "./runtime.ts";

let bench: LocalBench;
let names = 0;

beforeAll(async () => {
  bench = await openLocalBench();
});
afterAll(() => bench?.close());

const never = new AbortController().signal;

/** Keeps a file where its path in the app's own folder says, and tells what it finds there. */
const server = `
const fs = require("node:fs");
const http = require("node:http");
if (process.env.FAULT === "crash") process.exit(1);
const atStart = fs.lstatSync("uploads", { throwIfNoEntry: false })?.isSymbolicLink() ? "linked" : "not linked";
http.createServer((request, response) => {
  if (request.url === "/start") return response.end(atStart);
  const [, verb, file] = /^\\/(put|get)\\/(.*)$/.exec(request.url) ?? [];
  if (verb === "put") fs.writeFileSync(file, "kept by " + process.env.VERSION);
  try { response.end(verb ? fs.readFileSync(file, "utf8") : "up " + process.pid); } catch (error) { response.end(error.code); }
}).listen(process.env.PORT);
`;

async function aVolume(path = "/app/uploads", name = "uploads"): Promise<VolumeMount> {
  const addon = { id: randomUUID(), projectId: randomUUID(), kind: "volume" } as const;
  await bench.runtime.data.ensure(addon, await bench.runtime.data.newAccess(addon), never);
  return { addonId: addon.id, name, path };
}

const folderOf = ({ addonId }: VolumeMount) => join(bench.dataDir, "volumes", addonId);
const slugOf = ({ image }: ReleaseSpec) => slugFolder(join(bench.dataDir, "slugs"), image);

/** The next release of an app, of other files unless it is of the same image. */
async function aRelease(change: Partial<ReleaseSpec> & { of?: ReleaseSpec; files?: Record<string, string> } = {}) {
  const { of, files = {}, ...rest } = change;
  const appId = of?.appId ?? randomUUID();
  const version = (of?.version ?? 0) + 1;
  const processTypes = { web: { command: "node server.js" } };
  const image = rest.image ?? (await bench.makeImage(appId, { "server.js": server, ...files }, processTypes));
  return {
    appId,
    appName: of?.appName ?? `volumes-${++names}`,
    releaseId: randomUUID(),
    version,
    processTypes,
    formation: { web: 1 },
    ...rest,
    image,
    env: { VERSION: `v${version}`, ...rest.env },
  };
}

let fence = 0;
const apply = (spec: ReleaseSpec) => bench.runtime.rollout.apply(spec, ++fence, aCall());
const get = async ({ appName }: ReleaseSpec, path: string) => (await bench.get(appName, path)).body;

test("what an app keeps in a volume is there for the next version, which has other files", async () => {
  const volumes = [await aVolume()];
  const first = await aRelease({ volumes });
  expect(await apply(first)).toEqual({ ok: true });
  expect(await get(first, "/put/uploads/hat")).toBe("kept by v1");
  const second = await aRelease({ of: first, volumes });
  expect(await apply(second)).toEqual({ ok: true });
  expect(await get(second, "/get/uploads/hat")).toBe("kept by v1");
  expect(await readFile(join(folderOf(volumes[0]!), "hat"), "utf8")).toBe("kept by v1");
  await bench.runtime.rollout.destroy(first.appId, ++fence);
  expect(await readdir(folderOf(volumes[0]!))).toEqual(["hat"]);
});

test("a volume below another folder, and one in place of an empty folder", async () => {
  const volumes = [
    await aVolume("/app/public/images/new", "images"),
    await aVolume("/app/uploads"),
    await aVolume("/data", "data"),
  ];
  const spec = await aRelease({ volumes, files: { "uploads/.gitkeep": "", "public/index.html": "hi" } });
  expect(await apply(spec)).toEqual({ ok: true });
  expect(await get(spec, "/put/public/images/new/a")).toBe("kept by v1");
  expect(await get(spec, "/put/uploads/a")).toBe("kept by v1");
  expect(await get(spec, "/get/public/index.html")).toBe("hi");
  expect(await readdir(folderOf(volumes[2]!))).toEqual([]);
});

test("where the release has files, it is refused with what to do, and the old version goes on", async () => {
  const first = await aRelease();
  await apply(first);
  const volumes = [await aVolume()];
  const second = await aRelease({ of: first, volumes, files: { "uploads/logo.png": "a logo" } });
  expect(await apply(second)).toMatchObject({
    ok: false,
    cause: {
      headline: "the release has files in uploads, where volume uploads is mounted",
      hint: expect.stringContaining("git rm -r --cached uploads"),
    },
  });
  expect(await get(first, "/")).toMatch(/^up/);
  expect(await readFile(join(slugOf(second), "uploads/logo.png"), "utf8")).toBe("a logo");
  const running = bench.runtime.processes.run(second, "true", () => {}, never);
  await expect(running).rejects.toMatchObject({
    code: "conflict",
    message: expect.stringContaining("has files in uploads"),
  });
});

test("a link of the commit's own leads no volume out of the slug, and is not taken for one of ours", async () => {
  const outside = join(bench.dataDir, "outside");
  await mkdir(outside);
  for (const [path, link] of [
    ["/app/uploads", "uploads"],
    ["/app/public/uploads", "public"],
  ] as const) {
    const spec = await aRelease({ volumes: [await aVolume(path)] });
    await symlink(outside, join(slugOf(spec), link));
    await appendFile(join(slugOf(spec), slugFilesFile), slugFilesText([link]));
    expect(await apply(spec)).toMatchObject({
      cause: { headline: `the release has files in ${link}, where volume uploads is mounted` },
    });
    expect(await readdir(outside)).toEqual([]);
    expect((await lstat(join(slugOf(spec), link))).isSymbolicLink()).toBe(true);
  }
});

test("a volume that is detached is there until the version without it serves", async () => {
  const volumes = [await aVolume()];
  const first = await aRelease({ volumes });
  await apply(first);
  await get(first, "/put/uploads/hat");
  const broken = await aRelease({ of: first, image: first.image, env: { FAULT: "crash" } });
  expect(await apply(broken)).toMatchObject({ ok: false });
  expect(await get(first, "/get/uploads/hat")).toBe("kept by v1");
  const second = await aRelease({ of: first, image: first.image });
  expect(await apply(second)).toEqual({ ok: true });
  expect(await get(second, "/get/uploads/hat")).toBe("ENOENT");
  expect(await get(second, "/put/uploads/own")).toBe("kept by v2");
  expect(await readdir(folderOf(volumes[0]!))).toEqual(["hat"]);
});

test("an older version's files have no links of volumes that were detached since", async () => {
  const volumes = [await aVolume()];
  const first = await aRelease({ volumes });
  await apply(first);
  const second = await aRelease({ of: first });
  await apply(second);
  const back = await aRelease({ of: second, image: first.image });
  expect(await apply(back)).toEqual({ ok: true });
  expect(await get(back, "/start")).toBe("not linked");
  expect(await get(back, "/put/uploads/own")).toBe("kept by v3");
  expect(await readdir(folderOf(volumes[0]!))).toEqual([]);
});

test("another volume at the same place comes with the next release; where that fails, the first stays", async () => {
  const [one, other] = [await aVolume(), await aVolume("/app/uploads", "other")];
  const spec = await aRelease({ volumes: [one!] });
  await apply(spec);
  await get(spec, "/put/uploads/hat");
  const pid = await get(spec, "/");
  expect(await apply({ ...spec, volumes: [other!], formation: { web: 2 } })).toEqual({ ok: true });
  expect(await apply({ ...spec, volumes: [], formation: { web: 1 } })).toEqual({ ok: true });
  expect(await get(spec, "/")).toBe(pid);
  expect(await get(spec, "/get/uploads/hat")).toBe("kept by v1");
  const broken = await aRelease({ of: spec, image: spec.image, volumes: [other!], env: { FAULT: "crash" } });
  expect(await apply(broken)).toMatchObject({ ok: false });
  expect(await get(spec, "/get/uploads/hat")).toBe("kept by v1");
  const second = await aRelease({ of: broken, image: spec.image, volumes: [other!] });
  expect(await apply(second)).toEqual({ ok: true });
  expect(await get(second, "/get/uploads/hat")).toBe("ENOENT");
});

test("a command that is run once has the app's volumes, before and after it is live", async () => {
  const volumes = [await aVolume()];
  const spec = await aRelease({ volumes });
  const lines: string[] = [];
  const run = (command: string) => bench.runtime.processes.run(spec, command, ({ text }) => lines.push(text), never);
  expect(await run("echo one > uploads/a")).toBe(0);
  await apply(spec);
  expect(await run("cat uploads/a")).toBe(0);
  expect(lines).toEqual(["one"]);
});

test("links that a killed roll-out has left otherwise are put right when the platform is back", async () => {
  const volumes = [await aVolume()];
  const spec = await aRelease({ volumes });
  await apply(spec);
  await get(spec, "/put/uploads/hat");
  // As if a version with another volume had been about to start on the same files.
  const other = await aVolume("/app/uploads", "other");
  await linkVolumes({ dataDir: bench.dataDir, slugDir: slugOf(spec), volumes: [other] });
  expect(await get(spec, "/get/uploads/hat")).toBe("ENOENT");
  await bench.reopen();
  expect(await get(spec, "/get/uploads/hat")).toBe("kept by v1");
  await writeFile(join(folderOf(volumes[0]!), "more"), "more");
  expect(await get(spec, "/get/uploads/more")).toBe("more");
});

test("what the app has written itself where a volume is mounted makes way, and is there again without the volume", async () => {
  const first = await aRelease({ files: { "uploads/.gitkeep": "" } });
  await apply(first);
  await get(first, "/put/uploads/hat");
  const volumes = [await aVolume()];
  const broken = await aRelease({ of: first, image: first.image, volumes, env: { FAULT: "crash" } });
  expect(await apply(broken)).toMatchObject({
    ok: false,
    cause: { headline: expect.not.stringContaining("files in") },
  });
  expect(await get(first, "/get/uploads/hat")).toBe("kept by v1");

  const said: string[] = [];
  const second = await aRelease({ of: broken, image: first.image, volumes });
  const call = { ...aCall(), write: ({ text }: { text: string }) => said.push(text) };
  expect(await bench.runtime.rollout.apply(second, ++fence, call)).toEqual({ ok: true });
  expect(said).toContain(
    "what the app had written to uploads stays in .zyndra-covered/uploads; volume uploads is mounted in its place",
  );
  expect(await get(second, "/get/uploads/hat")).toBe("ENOENT");
  expect(await get(second, "/get/.zyndra-covered/uploads/hat")).toBe("kept by v1");
  expect(await get(second, "/put/uploads/cap")).toBe("kept by v3");
  expect(await readdir(folderOf(volumes[0]!))).toEqual(["cap"]);

  // Detached, written to, attached again.
  const third = await aRelease({ of: second, image: first.image });
  expect(await apply(third)).toEqual({ ok: true });
  expect(await get(third, "/get/uploads/hat")).toBe("kept by v1");
  const fourth = await aRelease({ of: third, image: first.image, volumes });
  expect(await apply(fourth)).toEqual({ ok: true });
  expect(await get(fourth, "/get/uploads/cap")).toBe("kept by v3");
});

test("at the deepest and longest path, what the app has written makes way and comes back", async () => {
  const path = Array(73).fill("a").join("/");
  const first = await aRelease({ files: { [`${path}/.gitkeep`]: "" } });
  await apply(first);
  await get(first, `/put/${path}/hat`);
  const volumes = [await aVolume(`/app/${path}`)];
  const second = await aRelease({ of: first, image: first.image, volumes });
  expect(await apply(second)).toEqual({ ok: true });
  expect(await get(second, `/get/${path}/hat`)).toBe("ENOENT");
  const third = await aRelease({ of: second, image: first.image });
  expect(await apply(third)).toEqual({ ok: true });
  expect(await get(third, `/get/${path}/hat`)).toBe("kept by v1");
});

test("a command beside the running app has the volumes of its release, not those attached since", async () => {
  const spec = await aRelease();
  await apply(spec);
  await get(spec, "/put/own");
  const volumes = [await aVolume()];
  const run = bench.runtime.processes.run({ ...spec, volumes }, "mkdir uploads && echo > uploads/a", () => {}, never);
  expect(await run).toBe(0);
  expect((await lstat(join(slugOf(spec), "uploads"))).isDirectory()).toBe(true);
  expect(await readdir(folderOf(volumes[0]!))).toEqual([]);
});

test("a release command keeps its volumes while the app that runs on the same files is scaled", async () => {
  const first = await aRelease();
  await apply(first);
  const volumes = [await aVolume()];
  const second = await aRelease({ of: first, image: first.image, volumes });
  const slug = slugOf(first);
  const command = "echo > begun; until [ -e go ]; do sleep 0.05; done; echo kept > uploads/migrated";
  const running = bench.runtime.processes.run(second, command, () => {}, never);
  await eventually(() => access(join(slug, "begun")));
  expect(await apply({ ...first, formation: { web: 2 } })).toEqual({ ok: true });
  await writeFile(join(slug, "go"), "");
  expect(await running).toBe(0);
  expect(await readdir(folderOf(volumes[0]!))).toEqual(["migrated"]);
  // Its deploy may still fail, so what runs is left as it was.
  expect((await lstat(join(slug, "uploads"))).isSymbolicLink()).toBe(false);
  expect(await apply(second)).toEqual({ ok: true });
  expect(await get(second, "/get/uploads/migrated")).toBe("kept\n");
});
