import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UserError } from "../../src/errors.ts";
import { openLog } from "../../src/log.ts";
import { openRepos, type Repos } from "../../src/repos/repos.ts";
import { openWorkplace, type Workplace } from "./git-harness.ts";

const log = openLog("silent");
const never = new AbortController().signal;

describe("repositories", () => {
  let dataDir: string;
  let repos: Repos;
  let workplace: Workplace;
  let appId: string;
  let first: string;
  let second: string;

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'zyndra "repos" #'));
    repos = await openRepos({ dataDir, log });
    workplace = await openWorkplace();
    first = await workplace.commit("a.txt", "a");
    second = await workplace.commit("b.txt", "b");
    appId = randomUUID();
    await repos.ensureRepo(appId);
    await bring(appId, second);
  });
  afterAll(async () => {
    await rm(dataDir, { recursive: true, force: true });
    await workplace?.remove();
  });

  test("are made once, also by two at a time, and removed with everything", async () => {
    const id = randomUUID();
    const made = await Promise.all([repos.ensureRepo(id), repos.ensureRepo(id), repos.ensureRepo(id)]);
    expect(new Set(made)).toEqual(new Set([repos.gitDir(id)]));
    expect(await readFile(join(made[0]!, "HEAD"), "utf8")).toBe("ref: refs/heads/main\n");
    await repos.removeRepo(id);
    await repos.removeRepo(id);
    expect((await readdir(join(dataDir, "repos"))).filter((name) => name.includes(id))).toEqual([]);
  });

  test("whose removal was cut short are removed when that is asked for again", async () => {
    const id = "half-gone";
    await rename(await repos.ensureRepo(id), `${repos.gitDir(id)}.removed-0123456789ab`);
    await repos.removeRepo(id);
    expect((await readdir(join(dataDir, "repos"))).filter((name) => name.includes(id))).toEqual([]);
  });

  test.each(["", "..", "../x", "a/b", ".git", "-x"])("have no folder for the app id %j", (id) => {
    expect(() => repos.gitDir(id)).toThrow(/no app id/);
  });

  test("a ref moves only from where it is expected to be", async () => {
    const move = (to: string, from: string | null) => repos.moveRef(appId, "refs/heads/main", to, from);
    expect(await repos.readRef(appId, "refs/heads/main")).toBeNull();
    expect(await move(first, second)).toBe("changed");
    expect(await move(first, null)).toBe("moved");
    expect(await move(first, null)).toBe("already");
    expect(await move(second, null)).toBe("changed");
    expect(await move(second, first)).toBe("moved");
    expect(await move(second, first)).toBe("already");
    expect(await move(second, second)).toBe("already");
    expect(await repos.readRef(appId, "refs/heads/main")).toBe(second);
  });

  test("of two who move one ref at once, one does", async () => {
    const outcomes = await Promise.all([
      repos.moveRef(appId, "refs/heads/race", first, null),
      repos.moveRef(appId, "refs/heads/race", second, null),
    ]).catch((error) => [error]);
    expect(outcomes.filter((outcome) => outcome === "moved")).toHaveLength(1);
  });

  test("a lock that a killed git left is removed only by whoever holds the lease", async () => {
    const lock = join(repos.gitDir(appId), "refs/heads/locked.lock");
    await writeFile(lock, "");
    await expect(repos.moveRef(appId, "refs/heads/locked", first, null)).rejects.toThrow(/File exists/);
    expect(await repos.moveRef(appId, "refs/heads/locked", first, null, { holdsLease: true })).toBe("moved");
  });

  test("a branch that is called like a full name is not taken for it", async () => {
    await repos.moveRef(appId, "refs/heads/refs/heads/odd", first, null);
    expect(await repos.readRef(appId, "refs/heads/odd")).toBeNull();
    await repos.moveRef(appId, "refs/heads/folder/a", first, null);
    expect(await repos.readRef(appId, "refs/heads/folder")).toBeNull();
    expect(await repos.resolveCommit(appId, "odd")).toBeNull();
  });

  test("keep-refs are written, written over, listed by number and removed", async () => {
    await repos.writeKeepRef(appId, 10, first);
    await repos.writeKeepRef(appId, 9, first);
    await repos.writeKeepRef(appId, 9, second);
    await expect(repos.writeKeepRef(appId, 11, "f".repeat(40))).rejects.toThrow(/nonexistent object/);
    expect(await repos.listDeployRefs(appId)).toEqual([
      { number: 9, commit: second },
      { number: 10, commit: first },
    ]);
    await repos.removeKeepRef(appId, 9);
    await repos.removeKeepRef(appId, 9);
    expect(await repos.listDeployRefs(appId)).toEqual([{ number: 10, commit: first }]);
  });

  test("commits are known by branch, tag, full and short id; other text means nothing", async () => {
    await workplace.ok("tag", "--force", "-a", "v1", "-m", "One", first);
    const tag = await workplace.ok("rev-parse", "v1");
    await bring(appId, tag);
    await repos.moveRef(appId, "refs/tags/v1", tag, null);
    await repos.moveRef(appId, "refs/tags/topic", first, null);
    await repos.moveRef(appId, "refs/heads/topic", second, null);
    const tree = await workplace.ok("rev-parse", `${first}^{tree}`);
    const cases: [string, string | null][] = [
      ["topic", second],
      ["v1", first],
      [first, first],
      [first.slice(0, 8), first],
      [first.toUpperCase(), first],
      [tag, first],
      [tree, null],
      ["nothing", null],
      ["f".repeat(40), null],
      ["", null],
      ["--all", null],
      ["-h", null],
      ["HEAD", null],
      ["topic~1", null],
      [`${first}^{tree}`, null],
      ["topic\nHEAD", null],
      [":/Add", null],
      ["../topic", null],
      ["top*", null],
    ];
    for (const [text, commit] of cases) expect([text, await repos.resolveCommit(appId, text)]).toEqual([text, commit]);
  });

  test("what a commit says of itself, and what contains what", async () => {
    expect(await repos.commitInfo(appId, second)).toEqual({
      subject: "Add b.txt",
      authorName: "Ana",
      tree: await workplace.ok("rev-parse", `${second}^{tree}`),
    });
    expect(await repos.isAncestor(appId, first, second)).toBe(true);
    expect(await repos.isAncestor(appId, second, second)).toBe(true);
    expect(await repos.isAncestor(appId, second, first)).toBe(false);
    expect(await repos.isAncestor(appId, "f".repeat(40), first)).toBe(false);
    expect(await repos.objectType(appId, second)).toBe("commit");
    expect(await repos.objectType(appId, "f".repeat(40))).toBeNull();
    await expect(repos.commitInfo(appId, "--output=/tmp/x")).rejects.toThrow(/no full object id/);
  });

  test("what lies between two commits is told from either side; of what is not kept, nothing", async () => {
    const between = { count: 1, newest: [{ commit: second, subject: "Add b.txt" }] };
    const nothing = { count: 0, newest: [] };
    const facts = { isCut: false, files: 1 };
    expect(await repos.commitRange(appId, first, second)).toEqual({ added: between, removed: nothing, ...facts });
    expect(await repos.commitRange(appId, second, first)).toEqual({ added: nothing, removed: between, ...facts });
    expect(await repos.commitRange(appId, first, "f".repeat(40))).toBeNull();
    expect(() => repos.commitRange(appId, first, "--output=/tmp/x")).toThrow(/no full object id/);
  });

  test("a commit's files are written as a checkout would, export attributes or not", async () => {
    const elsewhere = await openWorkplace();
    await mkdir(join(elsewhere.folder, "bin"));
    await writeFile(join(elsewhere.folder, "bin/run"), "#!/bin/sh\n");
    await chmod(join(elsewhere.folder, "bin/run"), 0o755);
    await symlink("/etc/hostname", join(elsewhere.folder, "absolute"));
    await symlink("bin", join(elsewhere.folder, "link"));
    await writeFile(join(elsewhere.folder, "odd\n name ü"), "odd");
    await writeFile(
      join(elsewhere.folder, ".gitattributes"),
      "secret.txt export-ignore\nversion.txt export-subst\n*.x filter=evil\n",
    );
    await writeFile(join(elsewhere.folder, "secret.txt"), "kept");
    await writeFile(join(elsewhere.folder, "version.txt"), "$Format:%H$\n");
    await writeFile(join(elsewhere.folder, "a.x"), "unfiltered");
    await elsewhere.ok("add", ".");
    const commit = await elsewhere.commit("last.txt", "last");
    const id = randomUUID();
    await repos.ensureRepo(id);
    await bring(id, commit, elsewhere);

    const into = join(dataDir, "source");
    await repos.archiveInto(id, commit, into, never);
    expect((await readdir(into)).sort()).toEqual(
      [
        ".gitattributes",
        "a.x",
        "absolute",
        "bin",
        "last.txt",
        "link",
        "odd\n name ü",
        "secret.txt",
        "version.txt",
      ].sort(),
    );
    expect((await lstat(join(into, "bin/run"))).mode & 0o111).toBeGreaterThan(0);
    expect(await readlink(join(into, "absolute"))).toBe("/etc/hostname");
    expect(await readFile(join(into, "version.txt"), "utf8")).toBe("$Format:%H$\n");
    expect(await readFile(join(into, "a.x"), "utf8")).toBe("unfiltered");
    await expect(repos.archiveInto(id, commit, into, never)).rejects.toThrow(/not empty/);
    expect((await readdir(repos.gitDir(id))).filter((name) => name.startsWith("zyndra-index"))).toEqual([]);
    await elsewhere.remove();
  });

  test("nothing is written through a link, not even by a tree that git would never make", async () => {
    const outside = await mkdtemp(join(tmpdir(), "zyndra-outside-"));
    const id = randomUUID();
    const gitDir = await repos.ensureRepo(id);
    const git = (args: string[], input: string | Buffer) =>
      execFileSync("git", ["--git-dir", gitDir, ...args], { input, env: repos.gitEnvironment() as NodeJS.ProcessEnv })
        .toString()
        .trim();
    const rawTree = (...entries: [string, string, string][]) =>
      git(
        ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        Buffer.concat(
          entries.map(([mode, name, object]) =>
            Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(object, "hex")]),
          ),
        ),
      );
    const blob = git(["hash-object", "-w", "--stdin"], "evil");
    const link = git(["hash-object", "-w", "--stdin"], outside);
    const below = rawTree(["100644", "evil.txt", blob]);
    const trees = [
      rawTree(["120000", "a", link], ["40000", "a", below]),
      rawTree(["100644", "../evil.txt", blob]),
      rawTree(["40000", "..", below]),
      rawTree(["40000", ".git", below]),
      rawTree(["40000", "GIT~1", below]),
    ];
    for (const [index, tree] of trees.entries()) {
      const commit = git(["commit-tree", "-m", "Evil", tree], "");
      const into = join(dataDir, `evil-${index}`);
      await repos.archiveInto(id, commit, into, never).catch(() => {});
      expect(await readdir(outside)).toEqual([]);
      expect((await readdir(into)).filter((name) => /git/i.test(name))).toEqual([]);
    }
    expect((await readdir(dataDir)).includes("evil.txt")).toBe(false);
    await rm(outside, { recursive: true });
  });

  test("ten objects that name a hundred million files are refused at once", async () => {
    const id = randomUUID();
    const gitDir = await repos.ensureRepo(id);
    const git = (args: string[], input: string) =>
      execFileSync("git", ["--git-dir", gitDir, ...args], { input, env: repos.gitEnvironment() as NodeJS.ProcessEnv })
        .toString()
        .trim();
    let object = git(["hash-object", "-w", "--stdin"], "x");
    for (let level = 0; level < 8; level++) {
      const kind = level === 0 ? "100644 blob" : "040000 tree";
      object = git(["mktree"], Array.from({ length: 10 }, (_, index) => `${kind} ${object}\t${index}`).join("\n"));
    }
    const commit = git(["commit-tree", "-m", "Bomb", object], "");
    const into = join(dataDir, "bomb");
    const refused = repos.archiveInto(id, commit, into, never);
    await expect(refused).rejects.toThrow(UserError);
    await expect(refused).rejects.toThrow(/has more than 100,000 files/);
    await expect(readdir(into)).rejects.toThrow();
    await expect(repos.measureTree(appId, second, { maxFiles: 10, maxBytes: 1 })).rejects.toThrow(/larger than 0 MiB/);
    expect(await repos.measureTree(appId, second)).toEqual({ files: 2, bytes: 2 });
  });

  test("an aborted checkout ends, with the signal's reason", async () => {
    const reason = new Error("cancelled");
    await expect(repos.archiveInto(appId, second, join(dataDir, "aborted"), AbortSignal.abort(reason))).rejects.toBe(
      reason,
    );
  });

  test("what killed gits left is swept once it is old, the rest stays", async () => {
    const id = randomUUID();
    const gitDir = await repos.ensureRepo(id);
    const old = ["objects/tmp_objdir-incoming-old/pack", `../${randomUUID()}.git.removed-ab12`];
    const young = ["objects/incoming-young"];
    const past = new Date(Date.now() - 2 * 60 * 60_000);
    for (const name of [...old, ...young]) await mkdir(join(gitDir, name), { recursive: true });
    await mkdir(join(gitDir, "objects/tmp_objdir-incoming-busy"));
    await writeFile(join(gitDir, "objects/tmp_objdir-incoming-busy/pack"), "");
    for (const name of [...old, "objects/tmp_objdir-incoming-old", "objects/tmp_objdir-incoming-busy"])
      await utimes(join(gitDir, name), past, past);
    expect(await repos.sweepQuarantine()).toEqual({ removed: 2 });
    expect((await readdir(join(gitDir, "objects"))).sort()).toEqual([
      "incoming-young",
      "info",
      "pack",
      "tmp_objdir-incoming-busy",
    ]);
    expect(await repos.objectType(appId, second)).toBe("commit");
  });

  test("are packed and pruned, and keep what a ref holds", async () => {
    await repos.tidy(appId, never);
    expect(await repos.objectType(appId, second)).toBe("commit");
  });

  async function bring(id: string, object: string, from: Workplace = workplace): Promise<void> {
    const pack = execFileSync("git", ["pack-objects", "--revs", "--stdout", "-q"], {
      cwd: from.folder,
      input: `${object}\n`,
    });
    execFileSync("git", ["--git-dir", repos.gitDir(id), "index-pack", "--stdin"], {
      input: pack,
      env: repos.gitEnvironment() as NodeJS.ProcessEnv,
    });
  }
});

describe("the machine's git", () => {
  test.each([
    ["git version 2.25.1", /git 2\.25\.1 is too old: Zyndra needs 2\.31 or newer/],
    ["git version 2.30.9 (Apple Git-1)", /2\.30\.9 is too old/],
    ["nonsense", /nonsense is too old/],
  ])("%s is refused in a sentence", async (words, sentence) => {
    const folder = await mkdtemp(join(tmpdir(), "zyndra-oldgit-"));
    await writeFile(join(folder, "git"), `#!/bin/sh\necho '${words}'\n`);
    await chmod(join(folder, "git"), 0o755);
    await expect(openRepos({ dataDir: folder, gitPath: join(folder, "git"), log })).rejects.toThrow(sentence);
    await rm(folder, { recursive: true });
  });

  test("that is missing is told in a sentence", async () => {
    const folder = await mkdtemp(join(tmpdir(), "zyndra-nogit-"));
    await expect(openRepos({ dataDir: folder, searchPath: folder, log })).rejects.toThrow(
      "git is not installed: there is no program git",
    );
    await rm(folder, { recursive: true });
  });
});
