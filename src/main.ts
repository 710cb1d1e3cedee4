import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type Config, readConfig } from "./config.ts";
import { UserError } from "./errors.ts";
import { openLog } from "./log.ts";
import { openPlatform, recoverOwner, stopEverything } from "./platform.ts";
import { findHolder } from "./upkeep/data-folder.ts";

/** How long a stopping platform may take before whoever asked stops waiting for it. */
const stopWithinMs = 60_000;

/** How Zyndra was started: what hints call it, so that they can be typed. */
const calledAs = nameInHints(process.env);

await main(process.argv.slice(2)).catch((error) => {
  if (error instanceof UserError) {
    process.stderr.write(`error: ${asCalled(error.message)}\n${error.hint ? `hint: ${asCalled(error.hint)}\n` : ""}`);
  } else {
    const what = process.argv[2] === "stop" ? "be stopped" : "start";
    process.stderr.write(`error: Zyndra could not ${what}\n${error instanceof Error ? error.stack : error}\n`);
  }
  process.exitCode = 1;
  // What was opened before the fault must not keep the process.
  setTimeout(() => process.exit(), 250).unref();
});

/** `zyndra start` runs the platform; `zyndra stop [--all]` ends it, with --all also the apps and the embedded database. */
async function main(words: string[]): Promise<void> {
  // Whatever is made from here on, by git, builds and apps too, is this user's alone.
  process.umask(0o077);
  const config = readConfig(process.env);
  keepOnlyWhatGitNeeds(process.env);
  if (words.length === 0) return run(config);
  if (words[0] === "stop" && words.slice(1).every((word) => word === "--all"))
    return stop(config, words.includes("--all"));
  if (words[0] === "recover" && words.length === 1) return recover(config);
  const hint = "zyndra start, zyndra recover, or zyndra stop [--all]";
  throw new UserError("bad_input", `"${words.join(" ")}" is not known here`, hint);
}

async function run(config: Config): Promise<void> {
  // Where nobody reads any more, a closed terminal or a pipe that ended, the platform goes on.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const log = openLog(config.logLevel, process.stdout.isTTY ? "person" : "program");
  const version = await ownVersion();
  const platform = await openPlatform({ config, log, version, processEnvironment: process.env });
  process.stdout.write(`${asCalled(greeting(platform, config).join("\n"))}\n`);

  let stoppingSince: number | undefined;
  const stopOnce = (signal: string) => {
    if (stoppingSince !== undefined) {
      // Someone who asks again does not want to wait; a signal that came twice at once is not that.
      if (performance.now() - stoppingSince > 500) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    log.info({ signal }, "stopping");
    void platform.close().then(() => {
      log.info({}, "stopped; apps run on");
      // A timer of a library is not worth waiting for.
      setTimeout(() => process.exit(), 250).unref();
    });
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stopOnce(signal));
}

/** What someone reads who starts Zyndra for the first time, and for the hundredth. */
function greeting(platform: { url: string; setupCode: string | undefined }, config: Config): string[] {
  const lines = [`Zyndra is up at ${platform.url} (data in ${config.dataDir})`];
  if (platform.setupCode !== undefined) {
    lines.push(
      "It has no owner yet. To become the owner, on this machine:",
      "",
      `  zyndra setup ${platform.url} ${platform.setupCode}`,
      "",
    );
  }
  if (process.getuid?.() === 0) lines.push("It runs as root, and so do builds and apps: an ordinary user is safer.");
  return lines;
}

/** Whoever can read the data folder owns what is in it: the owner gets a new token. */
async function recover(config: Config): Promise<void> {
  const { name, token } = await recoverOwner(config, openLog("error"));
  process.stdout.write(
    asCalled(
      `A new token for ${name}; it is shown only now:\n\n  zyndra login ${config.publicUrl} --token ${token}\n\n`,
    ),
  );
}

async function stop(config: Config, all: boolean): Promise<void> {
  if (!existsSync(config.dataDir)) {
    const hint = "run it in the folder in which it was started, or name its data: ZYNDRA_DATA=/path zyndra stop";
    throw new UserError("not_found", `there is no Zyndra in ${config.dataDir}`, hint);
  }
  const holder = await findHolder(config.dataDir);
  if (holder) {
    process.kill(holder.pid, "SIGTERM");
    const deadline = Date.now() + stopWithinMs;
    while (await findHolder(config.dataDir)) {
      if (Date.now() > deadline)
        throw new UserError("conflict", `Zyndra (pid ${holder.pid}) did not stop within a minute`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    process.stdout.write(`Zyndra (pid ${holder.pid}) has stopped\n`);
  } else {
    process.stdout.write(`no Zyndra runs on ${config.dataDir}\n`);
  }
  if (!all) return;
  const ranOn = await stopEverything(config.dataDir);
  process.stdout.write(
    ranOn
      ? "its apps and its database have stopped too; the next start brings them back\n"
      : "its apps and its database do not run either\n",
  );
}

function nameInHints(env: NodeJS.ProcessEnv): "npm start" | "npx zyndra" | "zyndra" {
  if (env.npm_lifecycle_event === "start") return "npm start";
  return env.npm_command === "exec" ? "npx zyndra" : "zyndra";
}

function asCalled(text: string): string {
  switch (calledAs) {
    case "npm start":
      return text.replace(/\bzyndra start\b/g, "npm start").replace(/\bzyndra recover\b/g, "npm start -- recover");
    case "npx zyndra":
      return text.replace(/\bzyndra (?=start|recover|stop|setup|login)/g, "npx zyndra ");
    case "zyndra":
      return text;
  }
}

/** git's children inherit this process's environment: nothing secret may be left in it. */
function keepOnlyWhatGitNeeds(env: NodeJS.ProcessEnv): void {
  const needed = /^(PATH|LANG|LC_.*|TZ|TMPDIR|XDG_RUNTIME_DIR)$/;
  for (const name of Object.keys(env)) if (!needed.test(name)) delete env[name];
}

async function ownVersion(): Promise<string> {
  return JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")).version;
}
