import { appNamePattern, appNameRule, clip } from "../names.ts";
import { maxProcessesOfType } from "../process-types.ts";
import { anything, block, either, key, later, list, named, required } from "./block-shapes.ts";
import { choice, durationShape, only, text, truth, wholeNumber } from "./scalar-shapes.ts";
import type { Shape } from "./shape.ts";
import { laterKeys, resources } from "./zyndra-yml-later.ts";
import {
  app,
  command,
  commandProblem,
  configName,
  cronNamePattern,
  envValue,
  folder,
  httpPath,
  processType,
  scheduleProblem,
  timezoneProblem,
  word,
} from "./zyndra-yml-values.ts";

/** The value of a right zyndra.yml: keys as they are written, times in milliseconds. */
export type ZyndraYml = typeof zyndraYml extends Shape<infer Value> ? Value : never;

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

// --- build

const build = block(
  {
    builder: key(
      choice(["auto", "static"], ["dockerfile", "buildpacks", "railpack", "nixpacks", "image"]),
      "How it is built: `auto` looks at the files; `static` serves the folder `output`.",
    ),
    root: key(folder("apps/shop"), "The folder that is built and run, in a repository of several apps.", {
      alsoCalled: ["dir", "directory", "context", "path", "folder", "rootdirectory", "sourcedir", "workdir", "basedir"],
    }),
    output: key(
      folder("dist"),
      "With `builder: static`: the folder that is served. Default: the one that a build makes.",
      {
        alsoCalled: ["publish", "publishdir", "outputdir", "dist", "public", "staticpublishpath"],
      },
    ),
    cache: key(truth, "`false`: each build starts with empty caches."),
    timeout: key(durationShape(second, day, "20m"), "How long a build may take."),
    args: key(
      named(configName, envValue("NODE_OPTIONS"), {
        wants: "a block of NAME: value",
        example: "{ NODE_OPTIONS: --max-old-space-size=2048 }",
      }),
      "Variables of the build's environment that are no secrets. A config var of the same name wins.",
      { alsoCalled: ["env", "environment", "buildargs", "vars"] },
    ),
    secrets: key(
      list(text({ wants: "a config var's name", example: "NPM_TOKEN", check: configName.check })),
      "Names of config vars that the build cannot do without: a push is refused while one is not set.",
    ),
  },
  {
    example: "builder: auto",
    mistaken: {
      command: 'a build command is package.json\'s "build" script, or heroku-postbuild',
      buildcommand: 'a build command is package.json\'s "build" script, or heroku-postbuild',
    },
    later: {
      dockerfile: later(
        word("a path", "Dockerfile"),
        "The Dockerfile that is built.",
        "remove it: Dockerfiles are not built in this version",
      ),
      target: later(word("a stage", "runtime"), "The stage of the Dockerfile."),
      image: later(word("an image", "ghcr.io/acme/shop:1"), "An image that is run as it is."),
      buildpacks: later(
        list(word("a buildpack", "heroku/nodejs")),
        "Cloud Native Buildpacks.",
        "remove it: the language is found by its files",
      ),
      resources: later(resources(), "What a build may take."),
      watch: later(list(word("a pattern", "apps/shop/**")), "Nothing is deployed where no changed file matches."),
    },
  },
);

// --- deploy

const deploy = block(
  {
    branch: key(
      only("main", "main is what is deployed; another one is: git push zyndra OTHER:main"),
      "The branch that is deployed.",
    ),
    strategy: key(
      choice(["rolling"], ["recreate"]),
      "How a new version takes over: the old one serves until the new one is healthy.",
    ),
    timeout: key(durationShape(second, hour, "5m"), "How long new processes may take to become healthy."),
    drain: key(durationShape(0, hour, "30s"), "How long requests of the old version may take to finish."),
    stop_grace: key(durationShape(0, hour, "30s"), "How long a process may take to end after SIGTERM."),
    auto_rollback: key(
      only(true, "a version that is not healthy never serves: remove the line"),
      "The old version goes on where the new one is not healthy.",
    ),
  },
  {
    example: "timeout: 5m",
    later: {
      concurrency: later(
        choice(["queue", "supersede", "reject"]),
        "What a push does while a deploy runs.",
        "remove it: pushes wait, and the newest wins",
      ),
      max_surge: later(wholeNumber(0, 50, 1), "How many more processes may run meanwhile."),
      max_unavailable: later(wholeNumber(0, 50, 0), "How many fewer processes may run meanwhile."),
      keep_releases: later(wholeNumber(1, 500, 10), "How many releases can be gone back to."),
      require_checks: later(list(word("a check's name", "ci / test")), "GitHub checks that must be green."),
      approval: later(anything, "Who must say yes."),
      skip_tokens: later(
        list(word("a word", "[skip deploy]")),
        "Words in a commit's message that keep it from being deployed.",
      ),
    },
  },
);

// --- hooks

const hook = (typed: string) =>
  either(
    text({ wants: "a command", example: typed, check: commandProblem }),
    block(
      {
        command: required(command, "What is run."),
        timeout: key(durationShape(second, day, "10m"), "How long it may take."),
      },
      {
        example: `{ command: ${typed}, timeout: 10m }`,
        later: { process: later(word("a process type", "web"), "The process type whose size it gets.") },
      },
    ),
  );

const hooks = block(
  {
    release: key(
      hook("npm run migrate"),
      "Run in the new version before it serves, for every deploy but a rollback; its failure keeps the old version.",
      {
        alsoCalled: ["predeploy", "migrate", "beforedeploy", "releasecommand"],
      },
    ),
    first_deploy: key(
      hook("npm run seed"),
      "Run after `release`, as long as nothing of the app was ever live; its failure keeps it from going live.",
      {
        alsoCalled: ["postdeploy", "seed", "initial", "setup"],
      },
    ),
    after_deploy: key(hook("npm run warm-cache"), "Run after every switch to a new version; its failure only warns.", {
      alsoCalled: ["afterdeploy", "postrelease"],
    }),
  },
  {
    example: "release: npm run migrate",
    later: {
      on_failure: later(hook("./bin/report"), "Run when a deploy failed."),
      before_destroy: later(hook("./bin/cleanup"), "Run before the app is destroyed."),
    },
  },
);

// --- processes

const probe = block(
  {
    path: required(httpPath, "GET this path: 200 to 399 is healthy."),
    timeout: key(durationShape(second, 5 * minute, "2s"), "How long an answer may take."),
  },
  {
    example: "{ path: /healthz }",
    later: {
      period: later(durationShape(second, hour, "5s"), "How often it is asked."),
      failures: later(wholeNumber(1, 1000, 3), "How many failures are too many."),
      initial_delay: later(durationShape(0, hour, "5s"), "When it is asked first."),
      command: later(anything, "A command that is asked instead."),
    },
  },
);

const health = either(
  httpPath,
  block(
    {
      readiness: key(probe, "Asked before a new process serves."),
      startup: key(probe, "The same, where there is no `readiness`."),
    },
    {
      example: "readiness: { path: /healthz }",
      mistaken: { path: "write health: /healthz, or health: { readiness: { path: /healthz } }" },
      later: { liveness: later(anything, "Asked while a process runs.") },
    },
  ),
);

const oneProcess = either(
  command,
  block(
    {
      command: key(command, "What is run. Default: the Procfile's line; for `web`, what the files say.", {
        alsoCalled: ["cmd", "run", "start", "runcommand", "startcommand", "entrypoint"],
      }),
      replicas: key(
        wholeNumber(0, maxProcessesOfType, 2),
        "How many run until somebody scales: ps:scale wins. Default: 1 web, 0 of the others.",
        {
          alsoCalled: ["count", "quantity", "instances", "instancecount", "scale", "numinstances", "processes"],
        },
      ),
      health: key(health, "What a new web process must answer before it serves. Default: it listens on $PORT.", {
        alsoCalled: ["healthcheck", "healthcheckpath", "healthchecks"],
      }),
      stop_grace: key(
        durationShape(0, hour, "30s"),
        "How long one may take to end after SIGTERM; wins over deploy.stop_grace.",
        {
          alsoCalled: ["stoptimeout", "killtimeout", "graceperiod"],
        },
      ),
    },
    {
      example: "command: node server.js",
      mayBeEmpty: true,
      later: {
        port: later(
          wholeNumber(1, 65_535, 3000),
          "The port it listens on.",
          "remove it: web must listen on $PORT, which Zyndra gives it",
        ),
        size: later(word("a size's name", "small"), "A named size."),
        resources: later(resources(), "What one process may take."),
        autoscale: later(anything, "How many run, by load.", `remove it: zyndra ps:scale ${app} web=3`),
        idle: later(anything, "When it sleeps."),
        expose: later(
          choice(["public", "private", "none"]),
          "Who reaches it.",
          "remove it: web alone is reached from outside",
        ),
      },
    },
  ),
);

const processes = named(processType, oneProcess, {
  wants: "a block of process types",
  example: "{ web: node server.js }",
  most: 30,
});

// --- cron

const cronEntry = block(
  {
    name: required(
      text({
        wants: "a name",
        example: "nightly-report",
        check: (name) =>
          cronNamePattern.test(name)
            ? undefined
            : {
                problem: `${JSON.stringify(clip(name))} is no good name`,
                suggestion: "1 to 40 lower-case letters, digits and hyphens, for example: nightly-report",
              },
        schema: { pattern: "^[a-z0-9][a-z0-9-]{0,39}$" },
      }),
      "What it is called; each once.",
    ),
    schedule: required(
      text({ wants: "five fields", example: '"0 3 * * *"', check: scheduleProblem }),
      "When it is due: minute, hour, day of the month, month, weekday.",
    ),
    timezone: key(
      text({ wants: "a time zone", example: "Europe/Stockholm", check: timezoneProblem }),
      "Whose clock the schedule means. Default: UTC.",
      { alsoCalled: ["tz", "timezone"] },
    ),
    command: required(command, "What is run, in the live release."),
    concurrency: key(
      choice(["forbid", "allow"], ["replace"]),
      "What happens while the last run still goes on. Default: forbid, it is skipped.",
      {
        alsoCalled: ["overlap", "concurrencypolicy"],
      },
    ),
    timeout: key(durationShape(second, day, "30m"), "How long a run may take."),
    retries: key(wholeNumber(0, 10, 1), "How often a failed run is tried again."),
  },
  {
    example: '{ name: nightly-report, schedule: "0 3 * * *", command: node report.js }',
    later: { notify_on: later(list(word("failure or success", "failure")), "Who is told.") },
  },
);

// --- env

const envRule = either(
  envValue("info"),
  block(
    {
      value: key(envValue("info"), "Holds where no config var of this name is set.", { alsoCalled: ["default"] }),
      sync: key(truth, "`true`: this value wins over the config var."),
      generate: key(wholeNumber(8, 1024, 32), "Made once, of so many random bytes, and kept as a config var.", {
        alsoCalled: ["generator", "generatevalue", "random"],
      }),
      required: key(truth, "`true`: a push is refused while it is not set."),
      from: key(choice(["app.url", "app.name"]), "Taken from the platform: the app's address or its name.", {
        alsoCalled: ["valuefrom"],
      }),
      description: key(word("a sentence", "Stripe's live key"), "What it is for."),
      secret: key(truth, "That its value must not stand here; config vars are never shown anyway."),
    },
    { example: "{ value: info }" },
  ),
);

// --- The file

/** The one table of what a zyndra.yml may hold. */
export const zyndraYml = block(
  {
    version: required(only(1, "write version: 1"), "The version of this format: 1."),
    name: key(
      text({
        wants: "an app's name",
        example: "shop",
        check: (name) =>
          appNamePattern.test(name)
            ? undefined
            : { problem: `${JSON.stringify(clip(name))} is no app's name`, suggestion: appNameRule },
        schema: { pattern: appNamePattern.source },
      }),
      "The app that this file is for: a push to another one is refused.",
      { alsoCalled: ["app", "appname", "service"] },
    ),
    build: key(build, "How a commit becomes an image."),
    deploy: key(deploy, "How a new version takes over."),
    hooks: key(hooks, "Commands that are run once at a step of a deploy.", { alsoCalled: ["scripts"] }),
    processes: key(
      processes,
      "What runs, by process type; `web` is reached from outside. Named here, they are all that there are.",
      {
        alsoCalled: ["services", "formation", "procfile", "web", "workers", "servers"],
      },
    ),
    cron: key(list(cronEntry), "Commands that are run at times.", {
      alsoCalled: ["crons", "jobs", "schedule", "crontab"],
    }),
    env: key(
      named(configName, envRule, { wants: "a block of NAME: value", example: "{ LOG_LEVEL: info }" }),
      "Config vars: defaults, and what must be set.",
      {
        alsoCalled: ["environment", "envvars", "vars", "config", "variables"],
      },
    ),
  },
  { example: "version: 1", later: laterKeys },
);
