import { describe, expect, test } from "vitest";
import { describeCommands } from "../../src/commands/argv.ts";
import { answerTo, commandMeant, wordsFromElsewhere } from "../../src/commands/elsewhere.ts";
import { commands } from "../../src/commands/registry.ts";

const ours = new Map(commands.flatMap(({ name, aliases }) => [name, ...(aliases ?? [])].map((word) => [word, name])));
const { commands: other, answers, flags } = wordsFromElsewhere;

test("what a word from elsewhere means is a command of ours", () => {
  expect([...other.values()].filter((name) => ours.get(name) !== name)).toEqual([]);
});

test("no word from elsewhere is one of ours, or stands twice", () => {
  const words = [...other.keys(), ...answers.keys()];
  expect(words.filter((word) => ours.has(word))).toEqual([]);
  expect(words.filter((word, index) => words.indexOf(word) !== index)).toEqual([]);
  // Nor does an answer for a whole topic hide what we have in it.
  const topics = words.filter((word) => word.endsWith(":*")).map((word) => word.slice(0, -1));
  expect([...ours.keys()].filter((word) => topics.some((topic) => word.startsWith(topic)))).toEqual([]);
});

test("no flag from elsewhere is one that our command has", () => {
  for (const [name, answered] of Object.entries(flags)) {
    const { flags: own } = describeCommands(commands).find((command) => command.name === name)!;
    const taken = own.flatMap((flag) => [flag.name, flag.short]);
    const words = answered.flatMap(([each]) => each.split(" "));
    expect(
      words.filter((word) => taken.includes(word)),
      name,
    ).toEqual([]);
    for (const [, { say }] of answered) expect(say).toMatch(/^[a-zA-Z$].*[^.]$/);
  }
});

describe("every line to type", () => {
  const lines = [...new Set([...answers.values()].flatMap(({ type }) => (type === undefined ? [] : [type])))];
  test.each(lines.filter((line) => line.includes("zyndra ")))("%s begins with a command that is there", (line) => {
    const [, word = ""] = /zyndra ([\w:-]+)/.exec(line) ?? [];
    const ofDoors = ["git:remote", "open", "help", "main", "run", "doctor", "validate"];
    expect(ours.has(word) || ofDoors.includes(word), word).toBe(true);
  });

  test.each([...answers.values()])("$say is half a sentence", ({ say }) => {
    expect(say).toMatch(/^[a-zA-Z$].*[^.]$/);
    expect(say.length).toBeLessThan(120);
  });
});

/** What a Heroku or Dokku user types in a week: each is a command or has an answer. */
test.each(
  `apps apps:create apps:destroy apps:info apps:delete apps:remove apps:errors create destroy info
   config config:add config:clear config:edit config:get config:remove config:set config:unset env env:set
   ps ps:scale dyno:scale ps:type ps:resize ps:exec ps:kill ps:rebuild ps:report ps:inspect enter
   releases releases:info releases:output releases:revert releases:rollback releases:retry rollback
   builds builds:info builds:output builds:cancel builds:cache:purge deploys
   git:from-image git:from-archive git:sync git:clone git:set tags tags:create
   pg:psql pg:credentials:url pg:backups:capture postgres:connect postgres:export redis:create
   logs logs:failed drains drains:add
   certs certs:auto certs:add letsencrypt:enable proxy:report proxy:ports-add nginx:show-config ports:add network:report
   buildpacks buildpacks:set builder:set stack stack:set features features:enable labs pipelines pipelines:promote
   access access:add members keys keys:add ssh-keys:add local local:run container:push plugins
   addons addons:create addons:add addons:remove addons:open addons:upgrade pg pg:info pg:promote postgres:create postgres:link
   domains domains:add domains:clear domains:remove domains:report storage:mount storage:list volumes:create
   maintenance:on maintenance:enable ps:restart dyno:restart dyno:kill ps:stop apps:rename apps:lock
   checks:report resource:limit registry:login docker-options:add auth:token auth:2fa status
   dyno commands update which regions sessions dashboard pg:wait pg:ps pg:upgrade pg:reset domains:info ci spaces`.split(
    /\s+/,
  ),
)("%s is understood or answered", (word) => {
  expect(ours.has(word) || commandMeant(word) !== undefined || answerTo(word) !== undefined).toBe(true);
});
