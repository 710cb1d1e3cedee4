"use strict";
// Plain JavaScript for whatever Node a machine has: down to this line it must be understood by all of them.
if (Number(process.versions.node.split(".")[0]) < 18) {
  console.error(
    `error: Zyndra needs Node 18 or newer to start; this is Node ${process.versions.node} (${process.execPath})`,
  );
  process.exit(1);
}

const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { ensureInstalled } = require("./install.js");

const root = path.dirname(__dirname);

/**
 * Starts the platform (`src/main.ts`) or another long story of it; installs what is missing first. It has a process group of
 * its own: Ctrl-C is for the platform to answer, and not for the git processes that serve somebody's push.
 */
exports.start = async (entry, words) => {
  if (isCheckout()) await ensureInstalled(root, { withTests: false });
  await run(programOf(entry), words, { ownGroup: true });
};

/**
 * Starts the command line: at once, unless this is a checkout in which nothing was installed yet. `zyndra start` is handed
 * over from here, so that no command line stays beside the platform for as long as that runs.
 */
exports.startCommandLine = async (words) => {
  if (words[0] === "start" && words.length === 1) return exports.start("main", []);
  const isEmpty = !fs.existsSync(path.join(root, "node_modules", ".package-lock.json"));
  if (isCheckout() && isEmpty) await ensureInstalled(root, { withTests: false });
  await run(programOf("cli/main"), words);
};

/** Runs all tests, or those that are named. */
exports.startTests = async (words) => {
  await ensureInstalled(root, { withTests: true });
  process.chdir(root);
  await run([path.join(root, "node_modules", "vitest", "vitest.mjs")], ["run", ...words]);
};

/** What the caller can mend: one sentence, and what to do next. */
exports.orExplain = (story) => {
  story.catch((error) => {
    if (error.hint === undefined) throw error;
    process.stderr.write(`error: ${error.message}\nhint: ${error.hint}\n`);
    process.exitCode = 1;
  });
};

/** A packed package has no sources, and its dependencies came with it. */
function isCheckout() {
  return fs.existsSync(path.join(root, "src")) && fs.existsSync(path.join(root, "package-lock.json"));
}

/** The sources where they are, else the JavaScript made from them. */
function programOf(entry) {
  const source = path.join(root, "src", `${entry}.ts`);
  if (!fs.existsSync(source)) return [path.join(root, "dist", `${entry}.js`)];
  return ["--disable-warning=ExperimentalWarning", source]; // Node's remark that it reads TypeScript is no news here.
}

function run(program, words, { ownGroup = false } = {}) {
  const node = findNode24();
  const env = { ...compileCache(), ...process.env };
  const child = spawn(node, [...program, ...words], { env, stdio: "inherit", detached: ownGroup });
  const stopForwarding = forwardSignals(child, ownGroup);
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      const hint = "install Node 24 or newer yourself, and start with it";
      reject(Object.assign(new Error(`Node 24 does not start on this system (${node}: ${error.code})`), { hint }));
    });
    child.on("exit", (code, signal) => {
      stopForwarding();
      if (signal === null) process.exitCode = code;
      else process.kill(process.pid, signal); // So that whoever waits for us sees what happened.
      resolve();
    });
  });
}

/** Where Node keeps what it made of our TypeScript, so that the command line starts in a blink: a folder of this user's alone. */
function compileCache() {
  const { HOME, XDG_CACHE_HOME = HOME && path.join(HOME, ".cache") } = process.env;
  return XDG_CACHE_HOME ? { NODE_COMPILE_CACHE: path.join(XDG_CACHE_HOME, "zyndra", "compiled") } : {};
}

/**
 * Zyndra itself runs on Node 24: the one that runs this file, or the one that was installed with Zyndra. It is spawned by its
 * path, because a script of npm's would find the machine's old one first.
 */
function findNode24() {
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  for (const name of [`node-${process.platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`]) {
    try {
      return path.join(path.dirname(require.resolve(`${name}/package.json`, { paths: [root] })), "bin", "node");
    } catch {
      // Not this one.
    }
  }
  const install = isCheckout() ? "npm ci --include=optional" : "npm install --global zyndra --include=optional";
  const hint = `install Node 24 or newer yourself, or the optional packages: ${install}`;
  const here = `this is Node ${process.versions.node}, and none is installed in ${path.join(root, "node_modules")} for ${os.platform()} ${os.arch()}`;
  throw Object.assign(new Error(`Zyndra runs on Node 24; ${here}`), { hint });
}

/**
 * A signal that was sent to this process is meant for the child, which decides when both end. Ctrl-C in a terminal reaches a
 * child of our own group without us, so there SIGINT is not passed on: it would come twice.
 */
function forwardSignals(child, ownGroup) {
  const isTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const forward = (signal) => {
    if (signal === "SIGINT" && isTerminal && !ownGroup) return;
    child.kill(signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, forward);
  return () => {
    for (const signal of signals) process.removeListener(signal, forward);
  };
}
