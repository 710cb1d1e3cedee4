import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { cp, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { getPage } from "../support/get-page.ts";
import { type TestPlatform, testPlatform } from "../support/platform.ts";
import { type GitRun, newPusher } from "../support/pusher.ts";
import { readLog } from "../support/read-log.ts";

/** Each example as somebody copies it: pushed with git to a real platform, built, run and fetched. */
const folder = fileURLToPath(new URL("../../examples", import.meta.url));
let platform: TestPlatform;

beforeAll(async () => {
  platform = await testPlatform();
});

afterAll(() => platform?.[Symbol.asyncDispose]());

type Example = {
  /** What must be on the machine besides Node. */
  needs?: string;
  /** What its README says to do before the push, beside making the app. */
  prepare?(app: string): Promise<unknown>;
  /** What the push prints. */
  printed?: RegExp;
  check(app: string): Promise<void>;
};

const examples: Record<string, Example> = {
  hello: {
    async check(app) {
      expect(await get(app, "/")).toMatchObject({ status: 200, body: expect.stringContaining("This is release v1") });
    },
  },
  node: {
    printed: /npm ci \(package-lock\.json\), npm run build, npm prune[\s\S]*built about\.md/,
    async check(app) {
      expect(await get(app, "/")).toMatchObject({ status: 200, body: expect.stringContaining("<h1>Hats</h1>") });
      expect(await get(app, "/about")).toMatchObject({ status: 200, body: expect.stringContaining("We sell hats.") });
      expect(await get(app, "/api/time")).toMatchObject({ body: expect.stringMatching(/^\{"now":"\d{4}-/) });
      expect(await get(app, "/nothing")).toMatchObject({ status: 404 });
    },
  },
  "python-flask": {
    needs: "python3",
    printed: /web: gunicorn app:app --bind/,
    async check(app) {
      expect(await get(app, "/")).toMatchObject({ status: 200, body: expect.stringContaining("This is release v1") });
    },
  },
  "static-site": {
    printed: /static files: nothing to install or build/,
    async check(app) {
      expect(await get(app, "/")).toMatchObject({ status: 200, body: expect.stringContaining("Nothing but files.") });
      expect(await get(app, "/about/")).toMatchObject({ body: expect.stringContaining("We sell hats.") });
      expect(await get(app, "/nothing")).toMatchObject({ status: 404, body: expect.stringContaining("No such hat") });
    },
  },
  go: {
    needs: "go",
    async check(app) {
      expect(await get(app, "/")).toEqual(expect.objectContaining({ status: 200, body: "Hats from Go\n" }));
    },
  },
  worker: {
    printed: /web 2 of 2 healthy \(GET \/health 200\)/,
    async check(app) {
      expect(await get(app, "/")).toMatchObject({ status: 200, body: expect.stringMatching(/answered by web\.[12]/) });
      await eventually(async () => expect(await readLog(platform, app, "worker")).toContain("hat 1 is made"));
      const entries = (await platform.ask("cron", { app })).data;
      expect(entries).toMatchObject([{ name: "report", schedule: "0 3 * * *", timezone: "Europe/Stockholm" }]);
      await platform.ask("cron:run", { app, name: "report" });
      await eventually(async () => {
        expect(await readLog(platform, app, "cron.report")).toContainEqual(expect.stringMatching(/all hats are made$/));
      });
    },
  },
  database: {
    prepare: (app) => platform.ask("addons:create", { engine: "postgres", app }),
    printed: /migrated 001_visits\.sql[\s\S]*migrated 002_visits_by_page\.sql/,
    async check(app) {
      expect((await get(app, "/")).body).toBe("visit 1\n");
      expect((await get(app, "/")).body).toBe("visit 2\n");
      // It lies on the server of all tests, so it must not be left there.
      await platform.ask("addons:destroy", { name: `${app}-postgres`, force: true });
      await eventually(async () => expect((await platform.ask("addons", { all: true })).data).toEqual([]));
    },
  },
};

test("every example is here, has a README, and gives no registry away", async () => {
  const names = readdirSync(folder);
  expect(Object.keys(examples).sort()).toEqual(names.sort());
  for (const name of names) {
    expect(await readFile(`${folder}/${name}/README.md`, "utf8")).toMatch(/git push zyndra main/);
    const lock = await readFile(`${folder}/${name}/package-lock.json`, "utf8").catch(() => "");
    expect(lock).not.toMatch(/"resolved"/);
  }
});

test.for(Object.entries(examples))(
  "%s is pushed and answers",
  { timeout: 120_000 },
  async ([name, example], { skip }) => {
    skip(!isThere(example.needs), `${example.needs} is not on this machine`);
    const app = `my-${name}`;
    await platform.ask("apps:create", { app });
    await example.prepare?.(app);
    const { exitCode, output } = await push(name, app);
    expect(output).toMatch(example.printed ?? /is live at/);
    expect(exitCode).toBe(0);
    await example.check(app);
  },
);

/** A copy of an example becomes a repository and is pushed. */
async function push(name: string, app: string): Promise<GitRun> {
  await using pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/${app}.git`);
  await cp(`${folder}/${name}`, pusher.folder, { recursive: true });
  await pusher.commit({}, "First");
  return await pusher.push("main");
}

const get = (app: string, path: string) => getPage(`http://${app}.localhost:${platform.port}${path}`);

function isThere(program: string | undefined): boolean {
  if (program === undefined) return true;
  try {
    execFileSync(program, [program === "go" ? "version" : "--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
