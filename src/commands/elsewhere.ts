/**
 * What people type who come from Heroku, Dokku and their like. Either it is one of our commands under another name, or it is
 * answered in a sentence, with the line to type where there is one. Help shows none of this.
 */

/** By our command, the words that mean the same and take the same words after them. */
const otherWords: Record<string, string> = {
  "apps:list": "list ls apps:ls apps:all",
  "apps:create": "apps:new apps:add new",
  "apps:info": "apps:show apps:report apps:status apps:exists app:info app status",
  "apps:destroy": "apps:delete apps:remove apps:rm app:destroy delete",
  deploy: "rebuild redeploy ps:rebuild deploys:create releases:deploy",
  "deploys:list": "builds builds:list deployments deployments:list deploys:ls",
  "deploys:info": "builds:info deploys:show deployments:info",
  "deploys:logs": "builds:output builds:logs deploys:output deployments:logs",
  "deploys:cancel": "builds:cancel deploys:stop deploys:abort abort",
  "deploys:retry": "releases:retry deploys:rerun builds:retry",
  "releases:list": "releases:ls history",
  "releases:info": "releases:show",
  "releases:diff": "releases:compare diff",
  "releases:rollback": "releases:revert revert releases:undo deploys:rollback",
  "config:list": "config:show config:keys config:ls env env:list vars vars:list secrets secrets:list",
  "config:set": "config:add env:set env:add vars:set secrets:set setenv set",
  "config:unset": "config:remove config:rm config:delete env:unset env:remove vars:unset secrets:unset unset",
  "config:get": "env:get vars:get",
  "config:import": "env:import secrets:import",
  "config:export": "env:export",
  "ps:list": "dyno run:list ps:report ps:inspect ps:ls processes dynos dyno:list formation",
  "ps:scale": "dyno:scale ps:set formation:set",
  "ps:restart": "dyno:restart ps:restart:all dyno:kill ps:kill bounce",
  "ps:stop": "dyno:stop apps:stop",
  "ps:start": "apps:start",
  logs: "log tail logs:tail logs:failed",
  "maintenance:on": "maintenance:enable",
  "maintenance:off": "maintenance:disable",
  maintenance: "maintenance:report maintenance:status",
  "domains:list": "domains:report domains:ls domains:show",
  "domains:remove": "domains:rm domains:delete",
  "cron:list": "cron:ls cron:report scheduler:list jobs",
  "cron:runs": "cron:logs cron:history",
  "addons:list": "addons:ls pg:info pg postgres:list postgres databases",
  "addons:info": "addons:show postgres:info",
  "addons:create": "addons:add",
  "addons:attach": "postgres:link",
  "addons:detach": "postgres:unlink",
  "addons:destroy": "addons:remove addons:delete addons:rm postgres:destroy",
  "volumes:list": "storage storage:list storage:report disks",
  "volumes:create": "volumes:add",
  "volumes:destroy": "volumes:delete volumes:remove storage:destroy",
  "volumes:detach": "storage:unmount",
  "tokens:create": "authorizations:create tokens:add tokens:new",
  "tokens:list": "authorizations tokens:ls",
  "tokens:revoke": "authorizations:revoke tokens:delete tokens:remove tokens:destroy",
};

/** `APP` in a line becomes the app that is meant, where that is known. */
export type ToType = { say: string; type?: string };

const fromImages = "images are built from what is pushed, and come from nowhere else";
const noSizes = "processes have no sizes: each takes what the machine has";
const noTls = "HTTPS is up to a proxy in front of Zyndra, such as Caddy, which gets and keeps the certificates";
const ownPort = "an app listens on $PORT, and the router finds it there: there is nothing to map";
const detected = "what an app is built with is found in its files, or said in zyndra.yml";
const noRegions = "an app runs where its Zyndra does, and there are no regions";
const oneApp = "an app is one place, without stages or pipelines";

const answers: [words: string, answer: ToType][] = [
  // Apps
  ["apps:clone fork", { say: "apps are not copied: make another one and push to it", type: "zyndra apps:create NAME" }],
  ["apps:transfer", { say: "an app stays in the org in which it was made" }],
  ["apps:join apps:leave apps:favorites:*", { say: "an app belongs to its org, and all members see it" }],
  ["apps:errors", { say: "what goes wrong stands in the log", type: "zyndra logs APP --grep error" }],
  ["launch", { say: "an app is made, then pushed to", type: "zyndra apps:create NAME" }],
  ["git:clone", { say: "git clones it with a token as the password", type: "zyndra git:remote APP" }],
  ["url urls", { say: "its address and its domains stand together", type: "zyndra apps:info APP" }],
  // Deploys
  ["builds:create push up", { say: "git brings the code", type: "git push zyndra main" }],
  ["git:from-image git:load-image container:* docker:* registry:*", { say: fromImages, type: "git push zyndra main" }],
  ["git:from-archive git:sync", { say: "code comes by git alone", type: "git push zyndra main" }],
  [
    "git:set git:initialize git:report git:allow-host git:auth",
    { say: "what is pushed to main is deployed; there is nothing to set", type: "zyndra git:remote APP" },
  ],
  ["git:unlock", { say: "a deploy that hangs is ended", type: "zyndra deploys:cancel APP" }],
  [
    "builds:cache:* repo:* cache:* purge",
    { say: "a build starts with empty caches where it is asked to", type: "zyndra deploy APP --skip-cache" },
  ],
  ["tags:*", { say: "tags are git's: push one, then deploy it", type: "zyndra deploy APP TAG" }],
  [
    "releases:output",
    { say: "what a release command prints stands in the log of its deploy", type: "zyndra deploys:logs APP" },
  ],
  ["promote pipelines:* reviewapps:*", { say: oneApp, type: "zyndra deploy APP BRANCH" }],
  ["buildpacks:* builder:* stack:* builder-herokuish:* builder-pack:*", { say: detected, type: "zyndra validate" }],
  ["ci:*", { say: "tests run where the code is written, or as a part of the build that zyndra.yml says" }],
  ["spaces:*", { say: "an app belongs to an org, and there are no spaces beside it" }],
  ["regions", { say: noRegions }],
  // Config
  ["config:clear env:clear", { say: "config vars are removed by name", type: "zyndra config:unset APP NAMES..." }],
  ["config:push env:push", { say: "a file of config vars is read from here", type: "zyndra config:import APP .env" }],
  [
    "config:pull config:bundle env:pull",
    { say: "config vars are written into a file", type: "zyndra config:export APP --reveal > .env" },
  ],
  // Processes
  ["ps:type ps:resize dyno:type dyno:resize resource:* limits:*", { say: noSizes, type: "zyndra ps:scale APP web=2" }],
  [
    "ps:autoscale:* autoscale:*",
    { say: "nothing scales by itself in this version", type: "zyndra ps:scale APP web=2" },
  ],
  [
    "ps:exec ps:ssh run:inside ssh exec enter console bash shell",
    {
      say: "nobody enters a process that runs; a fresh one beside it has the same files and config",
      type: "zyndra run APP -it bash",
    },
  ],
  [
    "ps:copy ps:forward ps:socks ps:wait ps:retire ps:restore",
    { say: "this version has nothing of the kind", type: "zyndra ps APP" },
  ],
  [
    "ps:signal",
    { say: "a process is ended by starting it anew, or by running fewer", type: "zyndra ps:scale APP web-1" },
  ],
  ["checks:* healthcheck:*", { say: "a health check stands in zyndra.yml: processes.web.health" }],
  [
    "cron:add cron:set cron:create cron:edit cron:remove scheduler:add scheduler:*",
    { say: "what runs when stands in the app's zyndra.yml, under cron", type: "zyndra cron APP" },
  ],
  // The way in
  ["certs:* certificates:* letsencrypt:* tls:* ssl:*", { say: noTls }],
  [
    "proxy:* ports:* nginx:* caddy:* traefik:* haproxy:* network:* docker-options:*",
    { say: ownPort, type: "zyndra apps:info APP" },
  ],
  ["http-auth:* redirect:*", { say: "who may see a page is the app's own business in this version" }],
  // Data
  [
    "pg:psql psql postgres:connect postgres:enter pg:connect",
    {
      say: "psql on your machine connects with the address",
      type: 'psql "$(zyndra config:get APP DATABASE_URL --reveal)"',
    },
  ],
  [
    "pg:credentials pg:credentials:url pg:url",
    { say: "the address of a database is a config var", type: "zyndra config:get APP DATABASE_URL --reveal" },
  ],
  [
    "pg:backups:* pg:copy pg:push pg:pull postgres:export postgres:import postgres:clone postgres:backup postgres:backup:*",
    {
      say: "pg_dump, pg_restore and psql do this with the address",
      type: 'pg_dump "$(zyndra config:get APP DATABASE_URL --reveal)"',
    },
  ],
  [
    "pg:reset",
    {
      say: "psql empties a database, and all in it is lost",
      type: `zyndra run APP 'psql "$DATABASE_URL" -c "drop schema public cascade; create schema public"'`,
    },
  ],
  [
    "pg:ps pg:locks pg:kill pg:killall pg:diagnose pg:outliers pg:long-running-queries",
    {
      say: "psql asks the database itself",
      type: 'psql "$(zyndra config:get APP DATABASE_URL --reveal)" -c "select * from pg_stat_activity"',
    },
  ],
  ["pg:wait", { say: "whether a database is there shows in its state", type: "zyndra addons APP" }],
  ["pg:upgrade", { say: "a database has the version that its server has", type: "zyndra addons APP" }],
  [
    "redis:* mysql:* mariadb:* mongo:* memcached:* rabbitmq:* elasticsearch:* kafka:* data:*",
    {
      say: "this version makes no such add-on: its address goes into a config var",
      type: "zyndra config:set APP REDIS_URL=…",
    },
  ],
  [
    "postgres:create pg:create db:create",
    { say: "a database is an add-on like others", type: "zyndra addons:create postgres --app APP --name NAME" },
  ],
  [
    "pg:promote postgres:promote",
    { say: "the one attached as DATABASE is DATABASE_URL", type: "zyndra addons:attach NAME --app APP --as DATABASE" },
  ],
  [
    "addons:open addons:docs addons:plans addons:services addons:upgrade addons:downgrade addons:wait addons:rename",
    { say: "add-ons have no plans and no pages of their own", type: "zyndra addons:list" },
  ],
  [
    "storage:mount storage:ensure-directory",
    { say: "a folder that stays is a volume", type: "zyndra volumes:create NAME --app APP --mount /app/FOLDER" },
  ],
  // Domains
  ["domains:set domains:update", { say: "a host is added beside others", type: "zyndra domains:add APP HOST" }],
  ["domains:clear", { say: "hosts are taken away by name", type: "zyndra domains:remove APP HOST..." }],
  [
    "domains:info domains:wait domains:enable domains:disable",
    { say: "a host leads to its app at once", type: "zyndra domains APP" },
  ],
  // Logs and the rest
  [
    "drains:* logs:drain logs:set telemetry:*",
    {
      say: "logs are not sent elsewhere by themselves; they can be followed as JSON",
      type: "zyndra logs APP --tail --json",
    },
  ],
  [
    "events:* audit:* trace:* activity",
    { say: "what was done to an app shows in its deploys and releases", type: "zyndra deploys APP" },
  ],
  ["metrics:* usage:*", { say: "there are no figures over time in this version", type: "zyndra ps APP" }],
  [
    "access:* members:* sharing:* orgs:* teams:* users:*",
    {
      say: "members are not managed in this version; each machine and program of yours gets a token of its own",
      type: "zyndra tokens:create LABEL",
    },
  ],
  [
    "keys:* ssh-keys:*",
    { say: "git needs no SSH key: it pushes over HTTP with a token", type: "zyndra git:remote APP" },
  ],
  ["auth:token", { say: "a token is shown once, when it is made", type: "zyndra tokens:create LABEL" }],
  ["auth:2fa 2fa:* clients:* sessions:*", { say: "who gets in is said by tokens", type: "zyndra tokens" }],
  [
    "features:* labs:* plugins:* plugin:* webhooks:* notifications:* integrations:*",
    { say: "this version has nothing of the kind", type: "zyndra help" },
  ],
  ["commands", { say: "help lists them", type: "zyndra help --all" }],
  ["dashboard", { say: "what there is to see of an app is shown here", type: "zyndra apps:info APP" }],
  ["update", { say: "a new version comes the way by which this one was installed" }],
  ["which", { say: "which app and which server a folder is about is told with the rest", type: "zyndra doctor" }],
  [
    "local:*",
    {
      say: "on your own machine an app runs without Zyndra; its config vars go there as a file",
      type: "zyndra config:export APP --reveal > .env",
    },
  ],
];

const noPlans = "add-ons have no plans";
const ofOrg = "an app belongs to the org of whoever makes it";
const allListed = "all apps that you may see are listed";
const ofShell: ToType = {
  say: "what else a command is to know stands before it",
  type: "zyndra run APP 'NAME=VALUE COMMAND'",
};

/** By our command, flags that it does not have: their words with and without a short form. */
const foreignFlags: Record<string, [flags: string, answer: ToType][]> = {
  "apps:create": [
    ["region", { say: noRegions }],
    ["buildpack b stack s", { say: detected }],
    ["team t org space", { say: ofOrg }],
    ["addons", { say: "add-ons are made next", type: "zyndra addons:create postgres --app NAME" }],
    ["no-remote n", { say: "no remote is made unless it is asked for" }],
    ["remote r", { say: "the remote is made next, in the folder of the code", type: "zyndra git:remote NAME" }],
  ],
  "apps:list": [["all A personal p team t org space", { say: allListed }]],
  "apps:info": [["shell s json j", { say: "programs read JSON", type: "zyndra apps:info APP --json" }]],
  "addons:create": [
    ["version", { say: "a database has the version that its server has" }],
    ["plan follow fork rollback", { say: noPlans }],
    ["wait", { say: "it is waited for anyway, unless --detach says otherwise" }],
  ],
  run: [
    ["env e", ofShell],
    ["size s", { say: noSizes }],
  ],
  "run:detached": [
    ["env e", ofShell],
    ["size s", { say: noSizes }],
  ],
  "domains:add": [
    ["cert c", { say: noTls }],
    ["wait", { say: "a host leads to its app at once" }],
  ],
};

/** What there is to say about a flag from elsewhere. */
export function answerToFlag(command: string, flag: string): ToType | undefined {
  return foreignFlags[command]?.find(([flags]) => flags.split(" ").includes(flag))?.[1];
}

const commandOf = new Map(
  Object.entries(otherWords).flatMap(([name, words]) => words.split(" ").map((word) => [word, name] as const)),
);
const answerOf = new Map(answers.flatMap(([words, answer]) => words.split(" ").map((word) => [word, answer] as const)));

/** Our command under a name from elsewhere. */
export function commandMeant(word: string): string | undefined {
  return commandOf.get(word);
}

/** What there is to say about a word from elsewhere; `pipelines:*` stands for `pipelines` as well. */
export function answerTo(word: string): ToType | undefined {
  for (let topic = word; ; topic = topic.slice(0, topic.lastIndexOf(":"))) {
    const answer = (topic === word ? answerOf.get(word) : undefined) ?? answerOf.get(`${topic}:*`);
    if (answer !== undefined || !topic.includes(":")) return answer;
  }
}

/** For tests: all words, with what they mean. */
export const wordsFromElsewhere = { commands: commandOf, answers: answerOf, flags: foreignFlags };
