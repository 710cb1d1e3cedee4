import { describe, expect, test } from "vitest";
import { z } from "zod";
import { describeCommands, parseWords } from "../../src/commands/argv.ts";
import { type Command, defineCommand } from "../../src/commands/command.ts";
import { UserError } from "../../src/errors.ts";
import { AppName } from "../../src/model/names.ts";

const nothing = { needs: "viewer", changes: false, run: async () => ({}), view: () => ({}) } as const;
const App = z.string();

const scale = defineCommand({
  ...nothing,
  name: "ps:scale",
  aliases: ["scale"],
  summary: "Change how many processes run",
  examples: ["ps:scale shop web=2"],
  input: z.strictObject({ app: App, changes: z.array(z.string()).min(1) }),
  words: { positional: ["app", "changes"], rest: true },
});
const logs = defineCommand({
  ...nothing,
  name: "logs",
  summary: "Show what an app writes",
  examples: ["logs shop --tail"],
  input: z.strictObject({
    app: App,
    tail: z.boolean().default(false),
    num: z.number().default(100),
    processType: App.optional(),
  }),
  words: {
    positional: ["app"],
    flags: {
      tail: { kind: "switch", short: "t", summary: "go on with what comes" },
      num: { kind: "number", short: "n", summary: "how many lines" },
      processType: { kind: "text", short: "p", also: ["dyno", "d"], summary: "only of this" },
    },
  },
});
const listApps = defineCommand({
  ...nothing,
  name: "apps:list",
  aliases: ["apps"],
  summary: "List the apps",
  examples: ["apps"],
  input: z.strictObject({}),
  words: { positional: [] },
});
const createApp = defineCommand({
  ...nothing,
  name: "apps:create",
  summary: "Make an app",
  examples: ["apps:create shop"],
  input: z.strictObject({ app: AppName }),
  words: { positional: ["app"] },
});
const destroyApp = defineCommand({
  ...nothing,
  name: "apps:destroy",
  summary: "Remove an app",
  examples: ["apps:destroy shop"],
  input: z.strictObject({ app: App }),
  words: { positional: ["app"] },
  confirm: ({ app }) => ({ warning: `removes ${app}`, type: app }),
});
const deploy = defineCommand({
  ...nothing,
  name: "deploy",
  summary: "Deploy a commit",
  examples: ["deploy shop"],
  input: z.strictObject({ app: App, ref: z.string().optional() }),
  words: { positional: ["app", "ref"] },
});
const setConfig = defineCommand({
  ...nothing,
  name: "config:set",
  summary: "Set config vars",
  examples: ["config:set shop A=1"],
  input: z.strictObject({ app: App, vars: z.array(z.string()) }),
  words: { positional: ["app", "vars"], rest: true },
});
const createToken = defineCommand({
  ...nothing,
  name: "tokens:create",
  summary: "Make a token",
  examples: ["tokens:create laptop"],
  input: z.strictObject({ label: z.string() }),
  words: { positional: ["label"] },
});
const run = defineCommand({
  ...nothing,
  name: "run",
  summary: "Run a command",
  examples: ["run shop ls"],
  input: z.strictObject({ app: App, command: z.array(z.string()), tty: z.boolean().optional() }),
  words: {
    positional: ["app", "command"],
    rest: true,
    literalRest: true,
    flags: { tty: { kind: "switch", short: "t", summary: "with a terminal" } },
  },
});

const commands: Command[] = [run, scale, logs, listApps, createApp, destroyApp, deploy, setConfig, createToken];
const apps = ["shop", "blog"];

/** As typed in a terminal, without quotes. `in` names the folder's app. */
async function parse(line: string, options: { in?: string } = {}) {
  const { command, input, confirmed } = await parseWords(line.split(" ").filter(Boolean), {
    commands,
    defaultApp: options.in,
    appNames: async () => apps,
    doorCommands: ["login", "git:remote", "stop"],
  });
  return { name: command.name, input, ...(confirmed === undefined ? {} : { confirmed }) };
}

async function refusal(
  line: string,
  options: { in?: string } = {},
): Promise<{ message: string; hint?: string | undefined }> {
  const error = await parse(line, options).then(
    (parsed) => expect.fail(`it was understood as ${JSON.stringify(parsed)}`),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).code).toBe("bad_input");
  return error as UserError;
}

describe("words become a command and its input", () => {
  test.each([
    ["ps:scale shop web=2 worker=0", { name: "ps:scale", input: { app: "shop", changes: ["web=2", "worker=0"] } }],
    ["scale shop web=2", { name: "ps:scale", input: { app: "shop", changes: ["web=2"] } }],
    ["deploy shop", { name: "deploy", input: { app: "shop" } }],
    ["deploy shop feature/hats", { name: "deploy", input: { app: "shop", ref: "feature/hats" } }],
    ["apps", { name: "apps:list", input: {} }],
    ["tokens:create laptop", { name: "tokens:create", input: { label: "laptop" } }],
    ["config:set shop A=--x B=-", { name: "config:set", input: { app: "shop", vars: ["A=--x", "B=-"] } }],
    ["scale", { name: "ps:scale", input: {} }],
  ])("%s", async (line, parsed) => {
    expect(await parse(line)).toEqual(parsed);
  });
});

describe("flags", () => {
  test.each([
    ["logs shop --tail", { app: "shop", tail: true }],
    ["logs --tail shop", { app: "shop", tail: true }],
    ["logs shop -t -n 5", { app: "shop", tail: true, num: 5 }],
    ["logs shop -tn5", { app: "shop", tail: true, num: 5 }],
    ["logs shop --num 50", { app: "shop", num: 50 }],
    ["logs shop --num=50", { app: "shop", num: 50 }],
    ["logs shop --tail=false", { app: "shop", tail: false }],
    ["logs shop --process-type web", { app: "shop", processType: "web" }],
    ["logs shop --process-type=", { app: "shop", processType: "" }],
    // Names that people bring along.
    ["logs shop --dyno web.1", { app: "shop", processType: "web.1" }],
    ["logs shop -dweb", { app: "shop", processType: "web" }],
  ])("%s", async (line, input) => {
    expect((await parse(line)).input).toEqual(input);
  });

  test("after -- all words are plain", async () => {
    expect((await parse("config:set shop -- --odd -x")).input).toEqual({ app: "shop", vars: ["--odd", "-x"] });
  });

  test("an unknown flag is answered with the nearest and with what there is", async () => {
    expect(await refusal("logs shop --tial")).toMatchObject({
      message: "logs has no flag --tial. Did you mean --tail?",
      hint: "it has --tail (-t), --num (-n), --process-type (-p), --app (-a)",
    });
    expect((await refusal("apps -x")).message).toBe("apps:list has no flag -x");
  });

  test("a flag without its value, or with another kind of value, says so", async () => {
    expect((await refusal("logs shop --num")).message).toBe("--num needs a value, such as --num 50");
    expect((await refusal("logs shop --num --tail")).message).toBe("--num needs a value, such as --num 50");
    expect((await refusal("logs shop -n many")).message).toBe('-n needs a number, not "many"');
    expect((await refusal("logs shop --tail=5")).message).toBe("--tail takes no value");
  });

  test("a flag from elsewhere is answered in a sentence", async () => {
    expect(await refusal("apps:create hats --region eu")).toMatchObject({
      message: "apps:create has no flag --region: an app runs where its Zyndra does, and there are no regions",
      hint: "leave it out: zyndra apps:create hats",
    });
    expect(await refusal("apps -A")).toMatchObject({
      message: "apps:list has no flag -A: all apps that you may see are listed",
      hint: "leave it out: zyndra apps:list",
    });
    expect(await refusal("run -e A=1 shop ls")).toMatchObject({ hint: "zyndra run APP 'NAME=VALUE COMMAND'" });
    expect((await refusal("apps --colour")).hint).toBe("apps:list takes no flags");
  });

  test("--confirm is heard by commands that ask first, and by no others", async () => {
    expect(await parse("apps:destroy shop --confirm shop")).toEqual({
      name: "apps:destroy",
      input: { app: "shop" },
      confirmed: "shop",
    });
    expect((await parse("apps:destroy shop -c shop")).confirmed).toBe("shop");
    expect((await refusal("logs shop --confirm shop")).message).toBe("logs has no flag --confirm");
  });
});

describe("which app is meant", () => {
  test.each([
    // Without a folder's app the first word is it, whether there is such an app or not.
    ["logs shpo", {}, { app: "shpo" }],
    // Flags may stand before the command.
    ["-a shop scale web=2", {}, { app: "shop", changes: ["web=2"] }],
    ["--app=shop config set A=1", { in: "blog" }, { app: "shop", vars: ["A=1"] }],
    ["logs", {}, {}],
    // --app wins, everywhere.
    ["scale --app shop web=2", {}, { app: "shop", changes: ["web=2"] }],
    ["scale web=2 -a shop", { in: "blog" }, { app: "shop", changes: ["web=2"] }],
    ["scale web=2 --app=shop", {}, { app: "shop", changes: ["web=2"] }],
    ["deploy blog --app shop", {}, { app: "shop", ref: "blog" }],
    // In a folder of shop the app may be left out, and another one be named.
    ["scale web=2", { in: "shop" }, { app: "shop", changes: ["web=2"] }],
    ["scale blog web=2", { in: "shop" }, { app: "blog", changes: ["web=2"] }],
    ["logs", { in: "shop" }, { app: "shop" }],
    ["deploy feature/hats", { in: "shop" }, { app: "shop", ref: "feature/hats" }],
    // A new app is never the folder's.
    ["apps:create hats", { in: "shop" }, { app: "hats" }],
    ["apps:create", { in: "shop" }, {}],
    // What is about no app takes none.
    ["tokens:create shop", { in: "shop" }, { label: "shop" }],
  ])("%s %j", async (line, options, input) => {
    expect((await parse(line, options)).input).toEqual(input);
  });

  test.each<[string, string, string | undefined]>([
    ["config:set A=1", "which app?", "zyndra config:set -a APP A=…"],
    ["scale web=2", "which app?", "zyndra scale -a APP web=2"],
    ["run ls", "which app?", "zyndra run -a APP ls"],
    ["run npm test -- --watch", "which app?", "zyndra run -a APP npm test -- --watch"],
    ["scale blgo", 'no app is called "blgo". Did you mean blog?', "zyndra apps lists what there is"],
    ["run blgo ls", 'no app is called "blgo". Did you mean blog?', "zyndra apps lists what there is"],
  ])("%s says no app, and none is known", async (line, message, hint) => {
    expect(await refusal(line)).toMatchObject({ message, hint });
  });

  test("status alone points to the doctor as well", async () => {
    const info = { ...destroyApp, name: "apps:info" } as Command;
    const said = parseWords(["status"], { commands: [info], appNames: async () => apps });
    await expect(said).rejects.toMatchObject({ message: "which app?", hint: expect.stringContaining("zyndra doctor") });
  });

  test("where there is one app, the line to type has it", async () => {
    const said = parseWords(["scale", "web=2"], { commands, appNames: async () => ["hats"] });
    await expect(said).rejects.toMatchObject({ hint: "zyndra scale -a hats web=2" });
  });

  test("commands that are about no app have no --app", async () => {
    expect((await refusal("apps --app shop")).message).toBe("apps:list has no flag --app");
  });
});

describe("from where a literal rest begins, flags are the words' own", () => {
  test.each([
    ["run shop ls -la --color", {}, { app: "shop", command: ["ls", "-la", "--color"] }],
    ["run -t shop bash -c x", {}, { app: "shop", tty: true, command: ["bash", "-c", "x"] }],
    ["run shop -t bash", {}, { app: "shop", tty: true, command: ["bash"] }],
    ["run shop bash -t", {}, { app: "shop", command: ["bash", "-t"] }],
    ["run shop -- bash --login", {}, { app: "shop", command: ["bash", "--login"] }],
    ["run shop npm test -- --watch", {}, { app: "shop", command: ["npm", "test", "--", "--watch"] }],
    ["run -a shop ls -a blog", {}, { app: "shop", command: ["ls", "-a", "blog"] }],
    ["run --app=shop -- ls", {}, { app: "shop", command: ["ls"] }],
    // In a folder of shop the command may come at once.
    ["run npm test --silent", { in: "shop" }, { app: "shop", command: ["npm", "test", "--silent"] }],
    ["run blog npm test -t", { in: "shop" }, { app: "blog", command: ["npm", "test", "-t"] }],
    ["run -t bash -t", { in: "shop" }, { app: "shop", tty: true, command: ["bash", "-t"] }],
    ["run -- shop ls", { in: "blog" }, { app: "shop", command: ["ls"] }],
  ])("%s %j", async (line, options, input) => {
    expect((await parse(line, options)).input).toEqual(input);
  });

  test("before it they are the command's", async () => {
    expect((await refusal("run shop -la ls")).message).toBe("run has no flag -l");
  });
});

describe("words that people bring along", () => {
  test.each<[string, { in?: string }, { name: string; input: object }]>([
    // Our commands under other names.
    ["config:add shop A=1", {}, { name: "config:set", input: { app: "shop", vars: ["A=1"] } }],
    ["dyno:scale web=2 -a shop", {}, { name: "ps:scale", input: { app: "shop", changes: ["web=2"] } }],
    ["apps:delete shop", {}, { name: "apps:destroy", input: { app: "shop" } }],
    // A space where a colon belongs, in these as well.
    ["config set shop A=1", {}, { name: "config:set", input: { app: "shop", vars: ["A=1"] } }],
    ["config set A=1", { in: "shop" }, { name: "config:set", input: { app: "shop", vars: ["A=1"] } }],
    ["apps create hats", {}, { name: "apps:create", input: { app: "hats" } }],
    ["apps delete shop", {}, { name: "apps:destroy", input: { app: "shop" } }],
    // What a command can use itself is no part of its name.
    ["deploy create", { in: "shop" }, { name: "deploy", input: { app: "shop", ref: "create" } }],
  ])("%s %j", async (line, options, parsed) => {
    expect(await parse(line, options)).toEqual(parsed);
  });

  test("an app is never taken for a part of a command's name", async () => {
    const list = { ...scale, name: "ps:list", aliases: ["ps"], words: { positional: ["app"] } } as Command;
    const words = (isApp: boolean) =>
      parseWords(["ps", "scale"], {
        commands: [list, scale],
        appNames: async () => (isApp ? ["scale"] : []),
        defaultApp: "shop",
      });
    expect(await words(true)).toMatchObject({ command: { name: "ps:list" }, input: { app: "scale" } });
    expect(await words(false)).toMatchObject({ command: { name: "ps:scale" }, input: { app: "shop" } });
  });

  test.each<[string, { in?: string }, string, string | undefined]>([
    ["enter shop web", {}, 'there is no "enter" here: nobody enters a process that runs; ', "zyndra run shop -it bash"],
    ["pg:psql --app=shop", {}, 'there is no "pg:psql" here', 'psql "$(zyndra config:get shop DATABASE_URL --reveal)"'],
    ["pg psql -a shop", {}, 'there is no "pg psql" here', 'psql "$(zyndra config:get shop DATABASE_URL --reveal)"'],
    [
      "pg:backups:schedule",
      { in: "blog" },
      'there is no "pg:backups:schedule" here',
      'pg_dump "$(zyndra config:get blog',
    ],
    ["pipelines:create x", {}, 'there is no "pipelines:create" here: an app is one place', "zyndra deploy APP BRANCH"],
    ["pipelines", {}, 'there is no "pipelines" here', "zyndra deploy APP BRANCH"],
    ["certs", {}, "HTTPS is up to a proxy in front of Zyndra", undefined],
    ["domains:info www.hats.example", {}, "a host leads to its app at once", "zyndra domains APP"],
    ["config clear shop", {}, 'there is no "config clear" here', "zyndra config:unset shop NAMES..."],
  ])("%s is answered with what to type", async (line, options, message, hint) => {
    const refused = await refusal(line, options);
    expect(refused.message).toContain(message);
    if (hint === undefined) expect(refused.hint).toBeUndefined();
    else expect(refused.hint).toContain(hint);
  });
});

describe("a slip of the pen", () => {
  test.each([
    ["scael shop web=3", 'there is no command "scael". Did you mean: zyndra scale shop web=3   (ps:scale)'],
    ["ps:scael shop web=3", 'there is no command "ps:scael". Did you mean: zyndra ps:scale shop web=3'],
    ["lgoin http://localhost:7878", 'there is no command "lgoin". Did you mean: zyndra login http://localhost:7878'],
    ["apps craete shop", 'apps does not take "craete". Did you mean: zyndra apps:create shop'],
    ["frobnicate", 'there is no command "frobnicate"'],
    ["shop logs", '"shop" is an app, and the command comes first. Did you mean: zyndra logs shop'],
    ["shop config:set A=1", '"shop" is an app, and the command comes first. Did you mean: zyndra config:set shop A=…'],
    ["shop", '"shop" is an app, and the command comes first'],
    ["stpo", 'there is no command "stpo". Did you mean: zyndra stop'],
    ["stpo all", 'there is no command "stpo"'],
  ])("%s", async (line, message) => {
    expect((await refusal(line)).message).toBe(message);
  });

  test("shows no values of config vars", async () => {
    const { message } = await refusal("confg:set shop API_KEY=s3cret");
    expect(message).toContain("zyndra config:set shop API_KEY=…");
    expect(message).not.toContain("s3cret");
  });

  test("words with spaces come back in quotes", async () => {
    const said = parseWords(["tokens:craete", "ana's laptop"], { commands, appNames: async () => [] });
    await expect(said).rejects.toThrow("Did you mean: zyndra tokens:create 'ana'\\''s laptop'");
  });

  test("a word too many is named, with how the command is used", async () => {
    expect(await refusal("deploy shop main twice")).toMatchObject({
      message: 'deploy has no place for "twice"',
      hint: "usage: zyndra deploy APP [REF]",
    });
    expect(await refusal("logs shpo", { in: "blog" })).toMatchObject({
      message: 'no app is called "shpo". Did you mean shop?',
      hint: "zyndra apps lists what there is; without one it is about blog",
    });
    expect((await refusal("deploy hats main", { in: "shop" })).message).toBe('no app is called "hats"');
  });

  test("no words at all point to help", async () => {
    expect(await refusal("")).toMatchObject({
      message: "no command was given",
      hint: "zyndra help lists what there is",
    });
  });

  test("a very long word is cut before it is shown", async () => {
    expect((await refusal("x".repeat(5_000))).message.length).toBeLessThan(200);
  });
});

test("the description tells how each command is used", () => {
  const described = describeCommands(commands);
  expect(described.map(({ usage }) => usage)).toEqual([
    "run APP COMMAND...",
    "ps:scale APP CHANGES...",
    "logs APP",
    "apps:list",
    "apps:create APP",
    "apps:destroy APP",
    "deploy APP [REF]",
    "config:set APP VARS...",
    "tokens:create LABEL",
  ]);
  expect(described.find(({ name }) => name === "logs")?.flags).toEqual([
    { name: "tail", short: "t", kind: "switch", summary: "go on with what comes" },
    { name: "num", short: "n", kind: "number", summary: "how many lines" },
    { name: "process-type", short: "p", kind: "text", summary: "only of this" },
    { name: "app", short: "a", kind: "text", summary: "the app" },
  ]);
  expect(described.filter(({ confirm }) => confirm).map(({ name }) => name)).toEqual(["apps:destroy"]);
});
