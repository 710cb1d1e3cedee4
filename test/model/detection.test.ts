import { describe, expect, test } from "vitest";
import { type BuildPlan, detect, isReadByDetection, type SourceTree } from "../../src/model/detection.ts";
import { nodeVersionMeets } from "../../src/model/node-versions.ts";
import { parsePackageJson } from "../../src/model/package-json.ts";

/** A commit: what its files say, an empty text where it does not matter. */
function commit(files: Record<string, string | object>): SourceTree {
  const paths = new Set<string>();
  const texts = new Map<string, string>();
  for (const [path, content] of Object.entries(files)) {
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth++) paths.add(`${parts.slice(0, depth).join("/")}/`);
    paths.add(path);
    if (isReadByDetection(path)) texts.set(path, typeof content === "string" ? content : JSON.stringify(content));
  }
  return { paths, texts };
}

function planOf(files: Record<string, string | object>): BuildPlan {
  const detected = detect(commit(files));
  if (!detected.ok) throw new Error(`refused: ${JSON.stringify(detected.cause)}`);
  return detected.plan;
}

function causeOf(files: Record<string, string | object>) {
  const detected = detect(commit(files));
  if (detected.ok) throw new Error(`not refused: ${JSON.stringify(detected.plan)}`);
  return detected.cause;
}

/** The commands and folders that may become web, best first. */
function webOf(files: Record<string, string | object>): string[] {
  return planOf(files).webChoices.map((choice) =>
    choice.kind === "command" ? choice.command : `static ${choice.folder}`,
  );
}

const dependencies = { ms: "2.1.3" };

describe("who says what web is", () => {
  test("the Procfile, whatever else is there", () => {
    const plan = planOf({
      Procfile: "web: ./run\nrelease: ./migrate",
      "package.json": { scripts: { start: "node a.js" }, dependencies },
    });
    expect(plan.processTypes).toEqual({ web: { command: "./run" } });
    expect(plan.releaseCommand).toBe("./migrate");
    expect(plan.node?.installs).toBe(true);
  });

  test("detection, where the Procfile names only what runs before a release", () => {
    const plan = planOf({ Procfile: "release: ./migrate", "package.json": { scripts: { start: "node a.js" } } });
    expect(plan).toMatchObject({ releaseCommand: "./migrate", webChoices: [{ command: "node a.js" }] });
    expect(plan.processTypes).toBeUndefined();
  });

  test("a Procfile alone is enough for anything", () => {
    expect(planOf({ Procfile: "web: ./run", run: "#!/bin/sh" })).toEqual({
      processTypes: { web: { command: "./run" } },
      webChoices: [],
      warnings: [],
    });
  });

  test("Node before Python, and both are installed", () => {
    const plan = planOf({
      "package.json": { scripts: { build: "vite build" } },
      "requirements.txt": "flask\ngunicorn",
      "app.py": "app = Flask(__name__)",
    });
    expect(plan).toMatchObject({ node: { buildScript: "build" }, python: { installs: "requirements" } });
  });
});

describe("Node", () => {
  const cases: [name: string, files: Record<string, string | object>, web: string[]][] = [
    [
      "start is run as it is",
      { "package.json": { scripts: { start: "node server.js --fast" } } },
      ["node server.js --fast"],
    ],
    [
      "start with a prestart is npm's",
      { "package.json": { scripts: { prestart: "x", start: "node a.js" } } },
      ["npm start"],
    ],
    [
      "start that uses npm's variables is npm's",
      { "package.json": { scripts: { start: "node a.js $npm_package_version" } } },
      ["npm start"],
    ],
    [
      "main, where its file is there",
      { "package.json": { main: "./src/main.js" }, "src/main.js": "" },
      ["node src/main.js"],
    ],
    [
      "server.js, where main is an empty promise",
      { "package.json": { main: "lib.js" }, "server.js": "" },
      ["node server.js"],
    ],
    [
      "server.js before index.js",
      { "package.json": {}, "server.js": "", "index.js": "" },
      ["node server.js", "node index.js"],
    ],
    [
      "a file with a strange name is quoted",
      { "package.json": { main: "my app;x.js" }, "my app;x.js": "" },
      ["node 'my app;x.js'"],
    ],
    [
      "main that leads out of the commit is not run",
      { "package.json": { main: "../x.js" }, "server.js": "" },
      ["node server.js"],
    ],
    [
      "a site's source is built, and then its output served",
      { "package.json": { scripts: { build: "vite build" } }, "index.html": "", "index.js": "" },
      ["static dist", "static build", "static out", "static public", "static _site", "node index.js", "static ."],
    ],
    [
      "main may be made by the build",
      { "package.json": { main: "dist/server.js", scripts: { build: "tsc" } } },
      ["node dist/server.js", "static dist", "static build", "static out", "static public", "static _site"],
    ],
  ];
  test.each(cases)("%s", (_, files, web) => expect(webOf(files)).toEqual(web));

  const managers: [name: string, files: Record<string, string | object>, expected: object][] = [
    ["npm by its lock file", { "package-lock.json": "{}" }, { manager: "npm", lockFile: "package-lock.json" }],
    ["npm without one", {}, { manager: "npm", lockFile: undefined }],
    [
      "pnpm 10 by its lock file",
      { "pnpm-lock.yaml": "lockfileVersion: '9.0'" },
      { manager: "pnpm", managerVersion: "10" },
    ],
    [
      "pnpm 8 by an older one",
      { "pnpm-lock.yaml": "lockfileVersion: '6.0'" },
      { manager: "pnpm", managerVersion: "8" },
    ],
    ["pnpm 7 by an old one", { "pnpm-lock.yaml": "lockfileVersion: 5.4" }, { manager: "pnpm", managerVersion: "7" }],
    [
      "yarn 1 by its lock file",
      { "yarn.lock": "# yarn lockfile v1" },
      { manager: "yarn-classic", managerVersion: "1" },
    ],
    [
      "a newer yarn by its lock file",
      { "yarn.lock": "__metadata:\n  version: 8" },
      { manager: "yarn", managerVersion: "4" },
    ],
    [
      "the one that packageManager names",
      { "yarn.lock": "", "package-lock.json": "{}", packageManager: "yarn@3.6.1" },
      { manager: "yarn", managerVersion: "3.6.1" },
    ],
    [
      "its exact version, without the hash",
      { "pnpm-lock.yaml": "", packageManager: "pnpm@9.1.0+sha512.abc" },
      { manager: "pnpm", managerVersion: "9.1.0" },
    ],
  ];
  test.each(managers)("is installed by %s", (_, { packageManager, ...files }, expected) => {
    const plan = planOf({
      ...files,
      "package.json": { packageManager, scripts: { start: "node a.js" }, dependencies },
    });
    expect(plan.node).toMatchObject(expected);
  });

  test("two lock files without a word which counts are refused", () => {
    const cause = causeOf({
      "package.json": { dependencies, scripts: { start: "x" } },
      "yarn.lock": "",
      "package-lock.json": "",
    });
    expect(cause).toMatchObject({
      headline: "two lock files of different package managers",
      detail: "package-lock.json and yarn.lock are both in the commit",
    });
  });

  test("without a lock file there is a warning, without dependencies there is nothing to say", () => {
    expect(planOf({ "package.json": { dependencies, scripts: { start: "x" } } }).warnings[0]).toMatch(
      /^no lock file: .*npm install/,
    );
    expect(planOf({ "package.json": { scripts: { start: "x" } } })).toMatchObject({
      warnings: [],
      node: { installs: false },
    });
  });

  test("scripts that belong to an install make one necessary", () => {
    expect(planOf({ "package.json": { scripts: { start: "x", postinstall: "y" } } }).node).toMatchObject({
      installs: true,
      lifecycleScripts: ["postinstall"],
    });
  });

  test("Heroku's build hooks are honoured", () => {
    const scripts = { start: "x", build: "b", "heroku-prebuild": "a", "heroku-postbuild": "c", "heroku-cleanup": "d" };
    expect(planOf({ "package.json": { scripts } }).node).toMatchObject({
      beforeInstallScript: "heroku-prebuild",
      buildScript: "heroku-postbuild",
      afterPruneScript: "heroku-cleanup",
    });
  });

  test("without anything to start it is refused with what to add", () => {
    expect(causeOf({ "package.json": { dependencies } })).toMatchObject({
      headline: "nothing says how to start this Node app",
      hint: expect.stringContaining('"start"'),
    });
  });
});

describe("Python", () => {
  const cases: [name: string, files: Record<string, string>, web: string[]][] = [
    [
      "Flask behind gunicorn",
      { "requirements.txt": "Flask==3\ngunicorn==23", "app.py": "app = Flask(__name__)" },
      ["gunicorn app:app --bind 0.0.0.0:$PORT"],
    ],
    [
      "FastAPI behind uvicorn",
      { "requirements.txt": "fastapi\nuvicorn[standard]>=0.3", "main.py": "api = FastAPI(title='x')" },
      ["uvicorn main:api --host 0.0.0.0 --port $PORT"],
    ],
    [
      "FastAPI with its own extra",
      { "requirements.txt": "fastapi[standard]", "main.py": "app = fastapi.FastAPI()" },
      ["uvicorn main:app --host 0.0.0.0 --port $PORT"],
    ],
    [
      "Django behind gunicorn",
      { "requirements.txt": "django\ngunicorn", "manage.py": "", "shop/wsgi.py": "" },
      ["gunicorn shop.wsgi --bind 0.0.0.0:$PORT"],
    ],
    ["a file that listens on PORT", { "requirements.txt": "", "app.py": 'int(os.environ["PORT"])' }, ["python app.py"]],
    ["a file that asks for PORT with getenv", { "main.py": "os.getenv('PORT', 80)" }, ["python main.py"]],
    [
      "dependencies in pyproject.toml",
      {
        "pyproject.toml": '[project]\ndependencies = ["flask", "gunicorn"]',
        "wsgi.py": "application = Flask(__name__)",
      },
      ["gunicorn wsgi:application --bind 0.0.0.0:$PORT"],
    ],
  ];
  test.each(cases)("is started: %s", (_, files, web) => expect(webOf(files)).toEqual(web));

  test("a development server is never chosen: the server is named that must be added", () => {
    expect(causeOf({ "requirements.txt": "flask", "app.py": "app = Flask(__name__)" })).toMatchObject({
      headline: "nothing says how to start this Python app",
      detail: "app.py has app, but gunicorn is not among the dependencies",
    });
    expect(causeOf({ "requirements.txt": "django", "manage.py": "", "shop/wsgi.py": "" }).detail).toContain(
      "gunicorn is not among",
    );
    expect(
      causeOf({ "requirements.txt": "flask\ngunicorn-extra", "app.py": "app = Flask(__name__)" }).detail,
    ).toContain("gunicorn is not among");
  });

  test("without a convention it is refused with what to write", () => {
    expect(causeOf({ "requirements.txt": "six", "tool.py": "" }).hint).toContain("Procfile");
  });

  const installs: [files: Record<string, string>, string][] = [
    [{ "requirements.txt": "six", "pyproject.toml": "[project]" }, "requirements"],
    [{ "pyproject.toml": "[project]", "uv.lock": "" }, "uv-lock"],
    [{ "pyproject.toml": "[project]\n[build-system]" }, "project"],
    [{ "pyproject.toml": "[project]" }, "pyproject-list"],
    [{ "app.py": "" }, "nothing"],
  ];
  test.each(installs)("%j is installed from: %s", (files, expected) => {
    expect(planOf({ Procfile: "web: x", ...files }).python?.installs).toBe(expected);
  });

  test("the version comes from .python-version or runtime.txt", () => {
    expect(planOf({ Procfile: "web: x", "app.py": "", ".python-version": "3.12.1\n" }).python?.askedVersion).toBe(
      "3.12",
    );
    expect(planOf({ Procfile: "web: x", "app.py": "", "runtime.txt": "python-3.11.4" }).python?.askedVersion).toBe(
      "3.11",
    );
  });

  test("collectstatic runs where the settings say where to", () => {
    const files = {
      "requirements.txt": "django\ngunicorn",
      "manage.py": "",
      "shop/wsgi.py": "",
      "shop/settings.py": "STATIC_ROOT = BASE / 'static'",
    };
    expect(planOf(files).python?.collectsStatic).toBe(true);
    expect(planOf({ ...files, "shop/settings.py": "" }).python?.collectsStatic).toBe(false);
  });

  test("lock files of other tools are refused with the command that helps", () => {
    expect(causeOf({ Pipfile: "", "app.py": "" })).toMatchObject({
      headline: "Pipfile is not read",
      hint: expect.stringContaining("pipenv requirements"),
    });
  });
});

describe("Go", () => {
  const main = "package main\n";
  const cases: [name: string, files: Record<string, string>, plan: object, web: string[]][] = [
    [
      "the program at the root",
      { "go.mod": "module example.org/shop/v2\n", "main.go": main },
      { packages: ".", binaries: ["shop"] },
      ["bin/shop"],
    ],
    [
      "one program below cmd/",
      { "go.mod": "module shop", "cmd/api/main.go": main },
      { packages: "./cmd/...", binaries: ["api"] },
      ["bin/api"],
    ],
    [
      "of several, the one named server",
      { "go.mod": "module shop", "cmd/server/a.go": main, "cmd/tool/a.go": main },
      { binaries: ["server", "tool"] },
      ["bin/server"],
    ],
  ];
  test.each(cases)("builds %s", (_, files, plan, web) => {
    expect(planOf(files).go).toMatchObject(plan);
    expect(webOf(files)).toEqual(web);
  });

  test("several programs without a name that tells are refused", () => {
    expect(causeOf({ "go.mod": "module shop", "cmd/a/a.go": main, "cmd/b/b.go": main }).detail).toContain(
      "2 programs (a, b)",
    );
  });

  test("a library is no app", () => {
    expect(causeOf({ "go.mod": "module shop", "shop.go": "package shop" }).detail).toContain("no package main");
  });
});

describe("files alone", () => {
  test("index.html at the root, or in public/", () => {
    expect(webOf({ "index.html": "" })).toEqual(["static ."]);
    expect(webOf({ "public/index.html": "" })).toEqual(["static public"]);
  });

  test("a package.json beside a plain site is left alone", () => {
    expect(planOf({ "index.html": "", "package.json": { devDependencies: { prettier: "3" } } }).node).toBeUndefined();
  });
});

describe("nothing detected is refused", () => {
  test("with what was looked for and what is there", () => {
    const cause = causeOf({ "README.md": "", "src/main.rs": "" });
    expect(cause.headline).toBe("found nothing to build");
    expect(cause.detail).toMatch(
      /^looked for Procfile, package\.json, requirements\.txt.*index\.html.*; the commit has README\.md, src\/$/,
    );
    expect(cause.hint).toMatch(/Procfile with a line such as: web:/);
  });

  test("with the folder in which the app seems to lie", () => {
    expect(causeOf({ "README.md": "", "backend/package.json": "{}" }).hint).toContain("package.json is in backend/");
  });

  test("with a word on languages that are not built here", () => {
    expect(causeOf({ Gemfile: "gem 'sinatra'", "app.rb": "" }).hint).toBe(
      "Ruby is not built here: a Procfile alone runs what the machine has, with a line such as: web: ruby app.rb",
    );
    expect(causeOf({ "pom.xml": "<project/>" }).hint).toContain("Java is not built here");
  });

  test("with a word on Dockerfiles", () => {
    expect(causeOf({ Dockerfile: "FROM x" }).hint).toContain("Dockerfiles are not built on this machine itself");
  });

  test("an empty commit too", () => {
    expect(causeOf({}).detail).toContain("the commit has no files");
  });
});

describe("package.json", () => {
  const cases: [text: string, detail: string][] = [
    ["", "package.json:1:1: it is empty"],
    ["[]", "package.json:1: it is no JSON object"],
    ['{\n  "a": 1,\n}', "package.json:3:1: it is no JSON at: }"],
    ['{\n  "a": 1\n  "b": 2\n}', 'package.json:3:3: it is no JSON at: "b": 2'],
    ['{\n  "a": [1,\n  2\n', "package.json:3:4: it ends too early: a bracket is not closed"],
    ['{\n// note\n"a": 1}', "package.json:2:1: it is no JSON at: // note"],
    ['{\n<<<<<<< HEAD\n"a": 1}', "package.json:2: it holds the marks of an unfinished merge"],
    ['{\n"scripts": "x"}', 'package.json:2: "scripts" is no object'],
    ['{"scripts": {\n"start": 1}}', 'package.json:2: the script "start" is no text'],
  ];
  test.each(cases)("%j is told with its line", (text, detail) => {
    expect(parsePackageJson(text)).toMatchObject({ ok: false, cause: { detail } });
  });

  test("a mark at its start is no fault", () =>
    expect(parsePackageJson('\uFEFF{"name": "a"}')).toMatchObject({ ok: true, packageJson: { name: "a" } }));
});

describe("engines.node", () => {
  const cases: [range: string, meets: boolean | undefined][] = [
    ["*", true],
    ["", true],
    ["24", true],
    ["24.x", true],
    ["24.2", true],
    ["24.3", false],
    ["^24.0.0", true],
    ["^24.3", false],
    ["~24.2.0", true],
    ["~24.1", false],
    [">=20", true],
    [">= 20 < 25", true],
    [">=20 <24", false],
    ["<=24", true],
    ["<24", false],
    [">24", false],
    [">23", true],
    ["18 || 20 || >=22", true],
    ["18.x || 20.x", false],
    ["20 - 24", true],
    ["20 - 23.9", false],
    ["v24.2.1", true],
    ["24.2.0", false],
    ["lts/*", undefined],
    ["latest", undefined],
  ];
  test.each(cases)("24.2.1 meets %j: %s", (range, meets) => expect(nodeVersionMeets("24.2.1", range)).toBe(meets));
});
