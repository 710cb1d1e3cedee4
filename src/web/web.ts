import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import { type Access, authenticate, type Rates } from "../commands/actor.ts";
import { describeCommands } from "../commands/argv.ts";
import { type Command, runCommand } from "../commands/command.ts";
import { claim } from "../commands/setup.ts";
import { isClaimed } from "../db/people.ts";
import type { Deps } from "../deps.ts";
import { UserError } from "../errors.ts";
import type { Actor } from "../model/actor.ts";
import { zyndraYmlSchema } from "../model/app-file/json-schema.ts";
import { clip } from "../model/names.ts";
import { CommandRequest, readBody, SetupRequest, WordsRequest } from "./body.ts";
import { translateError } from "./errors.ts";
import { eventStream, type StreamMessage } from "./event-stream.ts";
import { frontPage } from "./front-page.ts";
import { shownBy } from "./shown-by.ts";
import {
  addonMessages,
  appMessages,
  appOf,
  assertFollowableAddon,
  deployMessages,
  findFollowable,
  findFollowableApp,
  logMessages,
  logsAsked,
  mayFollow,
  numberIn,
} from "./streams.ts";
import { runWords } from "./words.ts";

export type WebDeps = Deps & { rates: Rates; access: Access };

export type WebOptions = {
  commands: readonly Command[];
  /** Shown by /healthz. */
  version: string;
  /** Aborts when the platform stops: open streams end at once. */
  stopping: AbortSignal;
  /** How often a silent stream gives a sign of life and is asked whether it is still allowed. */
  heartbeatMs?: number;
};

export const defaultHeartbeatMs = 10_000;
/** Answers are for whoever asked, at that moment. */
const everyAnswer = { "cache-control": "no-store", "x-content-type-options": "nosniff" };
const healthWithinMs = 2_000;

/** The HTTP API and the front page, as a handler for any of Node's listeners. */
export function createWeb(
  deps: WebDeps,
  options: WebOptions,
): (req: IncomingMessage, res: ServerResponse) => Promise<void> {
  const commands = options.commands.filter((command) => !command.internal);
  const app = routes(deps, { ...options, commands });
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  return async (req, res) => {
    await listener(req, res);
  };
}

type Web = { Bindings: HttpBindings };
/** Who asks. @throws UserError unauthenticated */
type Who = (bindings: HttpBindings) => Promise<Actor>;

function routes(deps: WebDeps, options: WebOptions): Hono<Web> {
  const app = new Hono<Web>();
  const who: Who = (bindings) => authenticate(deps, shownBy(bindings.incoming));

  app.use(async (context, next) => {
    await next();
    for (const [name, value] of Object.entries(everyAnswer)) context.header(name, value);
  });

  app.get("/", async (context) => {
    const page = frontPage({
      url: deps.access.publicUrl,
      claimed: await isClaimed(deps.db.db),
      version: options.version,
    });
    return context.html(page, 200, { "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'" });
  });

  app.get("/healthz", async (context) => {
    const answered = await Promise.race([isClaimed(deps.db.db).then(() => true), late(healthWithinMs)]).catch(
      () => false,
    );
    const status = answered ? "ok" : "the database does not answer";
    return context.json({ status, version: options.version, now: new Date().toISOString() }, answered ? 200 : 503);
  });

  // Help works before anyone is let in; it says nothing about this installation.
  app.get("/api/commands", (context) =>
    context.json({ version: options.version, commands: describeCommands(options.commands) }),
  );

  app.get("/schema/zyndra.json", (context) => context.json(zyndraYmlSchema()));

  app.post("/api/setup", async (context) => {
    const asked = await readBody(context.req.raw, SetupRequest);
    return context.json(await claim(deps, asked, shownBy(context.env.incoming)));
  });

  app.get("/api/whoami", async (context) => {
    const { name, role } = await who(context.env);
    return context.json({ name, role });
  });

  app.post("/api/words", async (context) => {
    const actor = await who(context.env);
    const said = await readBody(context.req.raw, WordsRequest);
    return context.json(await runWords(deps, options.commands, said, actor));
  });

  app.post("/api/commands/:name", async (context) => {
    const actor = await who(context.env);
    const { input } = await readBody(context.req.raw, CommandRequest);
    const name = context.req.param("name");
    const command = options.commands.find((each) => each.name === name);
    if (!command)
      throw new UserError("not_found", `there is no command "${clip(name)}"`, "GET /api/commands lists what there is");
    return context.json(await runCommand(deps, command, input, actor));
  });

  app.get("/api/apps/:name", async (context) => {
    const { name } = await appOf(deps, await who(context.env), context.req.param("name"));
    return context.json({ name, url: deps.runtime.edge.url(name) });
  });

  streamRoutes(app, deps, options, who);

  // As a WebSocket it is dealt with before a request comes here: run-door.ts.
  app.get("/api/runs/:id/attach", () => {
    const hint = "a proxy in front of Zyndra must pass Connection and Upgrade on";
    throw new UserError("unsupported", "a run is attached to over a WebSocket, and this request asks for none", hint);
  });

  app.notFound((context) => {
    throw new UserError(
      "not_found",
      `nothing is at ${context.req.method} ${clip(context.req.path)}`,
      "GET /api/commands lists what there is",
    );
  });
  app.onError((error, context) => {
    const { method, path } = context.req;
    const { status, body, headers } = translateError(error, deps.log, { method, path });
    return Response.json(body, { status, headers: { ...headers, ...everyAnswer } });
  });
  return app;
}

/** What goes on and is told as it comes: deploys, apps, add-ons and logs. */
function streamRoutes(app: Hono<Web>, deps: WebDeps, options: WebOptions, who: Who): void {
  const stream = (bindings: HttpBindings, path: string, open: (signal: AbortSignal) => AsyncIterable<StreamMessage>) =>
    eventStream(open, {
      stopping: options.stopping,
      heartbeatMs: options.heartbeatMs ?? defaultHeartbeatMs,
      // A token that was revoked, or a role that was taken, ends what it has opened. A lost database ends nothing.
      stillAllowed: async () => void (await who(bindings).catch(throwRefusal)),
      errorMessage: (error) => ({
        event: "error",
        data: translateError(error, deps.log, { method: "GET", path }).body.error,
      }),
    });

  app.get("/api/deploys/:id/follow", async (context) => {
    const actor = await who(context.env);
    mayFollow(options.commands, "deploys:logs", actor);
    const deploy = await findFollowable(deps, actor, context.req.param("id"));
    const from = context.req.header("last-event-id") ?? context.req.query("after");
    return stream(context.env, context.req.path, (signal) => deployMessages(deps, deploy.id, from, signal));
  });

  app.get("/api/apps/:app/follow", async (context) => {
    const actor = await who(context.env);
    mayFollow(options.commands, "ps:list", actor);
    const id = await findFollowableApp(deps, actor, context.req.param("app"));
    const after = numberIn(context.req.header("last-event-id") ?? context.req.query("after"), "after", 0);
    return stream(context.env, context.req.path, (signal) => appMessages(deps, id, after, signal));
  });

  app.get("/api/addons/:id/follow", async (context) => {
    const actor = await who(context.env);
    mayFollow(options.commands, "addons:info", actor);
    const id = context.req.param("id");
    await assertFollowableAddon(deps, actor, id);
    const after = numberIn(context.req.header("last-event-id") ?? context.req.query("after"), "after", 0);
    return stream(context.env, context.req.path, (signal) => addonMessages(deps, id, after, signal));
  });

  app.get("/api/apps/:name/logs", async (context) => {
    const actor = await who(context.env);
    mayFollow(options.commands, "logs", actor);
    const found = await appOf(deps, actor, context.req.param("name"));
    const asked = logsAsked(context.req.query());
    return stream(context.env, context.req.path, (signal) => logMessages(deps, found, asked, signal));
  });
}

/** A refusal, and nothing else. */
function throwRefusal(error: unknown): void {
  if (error instanceof UserError) throw error;
}

function late(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, ms, false).unref());
}
