import type { LanguageDetected, PythonPlan, SourceTree, WebChoice } from "./detection.ts";

/** Finds out how a Python app is installed and started. Undefined: nothing of Python is at the root. */
export function detectPython(tree: SourceTree): LanguageDetected<PythonPlan> | undefined {
  const has = (path: string) => tree.paths.has(path);
  const isPython = [...manifests, ...entryFiles, "manage.py"].some(has);
  if (!isPython) return undefined;
  if (!has("requirements.txt") && !has("uv.lock")) {
    const foreign = foreignLocks.find(([file]) => has(file));
    if (foreign && !/^\[project\]/m.test(tree.texts.get("pyproject.toml") ?? "")) {
      const [file, command] = foreign;
      return {
        ok: false,
        cause: {
          headline: `${file} is not read`,
          detail: "Python dependencies come from requirements.txt, uv.lock or pyproject.toml",
          hint: `${command}, commit it, push again`,
        },
      };
    }
  }
  const web = webOf(tree);
  return {
    ok: true,
    plan: { installs: installsOf(tree), askedVersion: askedVersion(tree), collectsStatic: collectsStatic(tree) },
    webChoices: web.choice ? [web.choice] : [],
    warnings: poetryWarning(tree),
    noWeb: web.choice ? undefined : { detail: web.detail, hint: web.hint },
  };
}

const manifests = ["requirements.txt", "pyproject.toml", "uv.lock", "Pipfile", "setup.py"];
const entryFiles = ["app.py", "main.py", "wsgi.py", "asgi.py", "server.py"];
const foreignLocks = [
  ["Pipfile", "pipenv requirements > requirements.txt"],
  ["poetry.lock", "poetry export -o requirements.txt"],
] as const;

function installsOf(tree: SourceTree): PythonPlan["installs"] {
  const pyproject = tree.texts.get("pyproject.toml");
  if (tree.paths.has("requirements.txt")) return "requirements";
  if (pyproject !== undefined && tree.paths.has("uv.lock")) return "uv-lock";
  if (pyproject !== undefined && /^\[build-system\]/m.test(pyproject)) return "project";
  if (pyproject !== undefined && /^\[project\]/m.test(pyproject)) return "pyproject-list";
  return tree.paths.has("setup.py") ? "project" : "nothing";
}

function poetryWarning(tree: SourceTree): string[] {
  const isIgnored = tree.paths.has("poetry.lock") && !tree.paths.has("requirements.txt") && !tree.paths.has("uv.lock");
  return isIgnored
    ? ["poetry.lock is not read, pip chooses versions; poetry export -o requirements.txt keeps them"]
    : [];
}

/** `.python-version` (pyenv, uv) or Heroku's older runtime.txt. */
function askedVersion(tree: SourceTree): string | undefined {
  const text = tree.texts.get(".python-version") ?? tree.texts.get("runtime.txt");
  return /^(?:python-)?(\d+\.\d+)/m.exec(text ?? "")?.[1];
}

/** Django's collectstatic, where the settings say where to; DISABLE_COLLECTSTATIC turns it off later, as on Heroku. */
function collectsStatic(tree: SourceTree): boolean {
  return (
    tree.paths.has("manage.py") &&
    [...tree.texts].some(([path, text]) => path.endsWith("settings.py") && /^\s*STATIC_ROOT\s*=/m.test(text))
  );
}

type Web = { choice: WebChoice } | { choice?: undefined; detail: string; hint: string };

/**
 * What starts a Python app where the convention leaves no doubt. Development servers are never chosen: a Flask or Django app
 * needs a real one among its dependencies.
 */
function webOf(tree: SourceTree): Web {
  if (tree.paths.has("manage.py")) return djangoWeb(tree);
  const apps = entryFiles.flatMap((file) => appsIn(file, tree.texts.get(file) ?? ""));
  for (const app of apps) {
    if (app.framework === "asgi" && dependsOn(tree, "uvicorn|fastapi\\[(?:standard|all)\\]"))
      return command(`uvicorn ${app.module}:${app.name} --host 0.0.0.0 --port $PORT`);
    if (app.framework === "wsgi" && dependsOn(tree, "gunicorn"))
      return command(`gunicorn ${app.module}:${app.name} --bind 0.0.0.0:$PORT`);
  }
  const listening = entryFiles.find((file) => readsPort(tree.texts.get(file) ?? ""));
  if (listening) return command(`python ${listening}`);
  if (apps[0]) {
    const { file, name, module, framework } = apps[0];
    const [server, line] =
      framework === "wsgi"
        ? ["gunicorn", `web: gunicorn ${module}:${name} --bind 0.0.0.0:$PORT`]
        : ["uvicorn", `web: uvicorn ${module}:${name} --host 0.0.0.0 --port $PORT`];
    return {
      detail: `${file} has ${name}, but ${server} is not among the dependencies`,
      hint: `add ${server} to them; what is then run is ${line}`,
    };
  }
  return {
    detail: `looked for manage.py, for a Flask, FastAPI or Starlette object in ${entryFiles.join(", ")}, and for one of these that reads PORT`,
    hint: "add a file named Procfile with a line such as: web: python YOUR_FILE.py   (it must listen on the port in PORT)",
  };
}

function command(line: string): Web {
  return { choice: { kind: "command", command: line } };
}

function djangoWeb(tree: SourceTree): Web {
  const packages = [...tree.paths]
    .map((path) => /^([A-Za-z_]\w*)\/wsgi\.py$/.exec(path)?.[1])
    .filter((name) => name !== undefined);
  const line = `gunicorn ${packages[0] ?? "PROJECT"}.wsgi --bind 0.0.0.0:$PORT`;
  if (packages.length === 1 && dependsOn(tree, "gunicorn")) return command(line);
  if (packages.length !== 1) {
    return {
      detail: `manage.py is there, and ${packages.length === 0 ? "no folder" : `more than one folder (${packages.join(", ")})`} with wsgi.py`,
      hint: `add a Procfile with a line such as: web: ${line}`,
    };
  }
  return {
    detail: "manage.py is there, but gunicorn is not among the dependencies",
    hint: `add gunicorn to them; what is then run is web: ${line}`,
  };
}

type FoundApp = { file: string; module: string; name: string; framework: "wsgi" | "asgi" };

function appsIn(file: string, text: string): FoundApp[] {
  const module = file.replace(/\.py$/, "");
  return [
    ...text.matchAll(
      /^(\w+)\s*(?::\s*\w+\s*)?=\s*(?:\w+\.)?(Flask|FastAPI|Starlette|Quart|get_wsgi_application|get_asgi_application)\(/gm,
    ),
  ].map((match) => ({
    file,
    module,
    name: match[1]!,
    framework: match[2] === "Flask" || match[2] === "get_wsgi_application" ? "wsgi" : "asgi",
  }));
}

function dependsOn(tree: SourceTree, names: string): boolean {
  const declared = `${tree.texts.get("requirements.txt") ?? ""}\n${tree.texts.get("pyproject.toml") ?? ""}`;
  return new RegExp(`(?:^|["'\\s])(?:${names})(?![\\w.-]*[\\w])`, "im").test(declared);
}

function readsPort(text: string): boolean {
  return /\b(?:environ|getenv)\b[^\n]{0,20}["']PORT["']/.test(text);
}
