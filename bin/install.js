"use strict";
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const waitLimitMs = 15 * 60_000;

/**
 * Whether node_modules holds what package-lock.json asks for. npm writes its own account, node_modules/.package-lock.json, as
 * the last thing of an installation, so one that was cut short counts as none. What is optional may be missing.
 */
function isInstalled(root, { withTests }) {
  const wanted = readPackages(path.join(root, "package-lock.json"));
  const present = readPackages(path.join(root, "node_modules", ".package-lock.json"));
  if (wanted === undefined) return true;
  if (present === undefined) return false;
  return Object.entries(wanted).every(([folder, { version, optional, dev, devOptional }]) => {
    if (folder === "" || version === undefined) return true;
    const found = present[folder];
    if (found !== undefined) return found.version === version;
    return optional || devOptional || (dev && !withTests) || false;
  });
}

/**
 * Installs with npm what package-lock.json asks for, where it is not there yet. Of several that start at once one installs.
 * Throws an error with a `hint` for what the caller can mend.
 */
exports.ensureInstalled = async (root, wanted) => {
  if (isInstalled(root, wanted)) return;
  const lock = path.join(root, ".install.lock");
  const unlock = await takeLock(lock, root);
  try {
    if (!isInstalled(root, wanted)) await install(root, wanted, lock);
  } finally {
    unlock();
  }
};

async function install(root, { withTests }, lock) {
  const startedMs = Date.now();
  process.stderr.write("Installing what is missing with npm ci (about a minute) ... ");
  const options = [
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-progress",
    "--loglevel=error",
    "--include=optional",
  ];
  if (withTests) options.push("--include=dev"); // NODE_ENV=production would leave them out.
  const { exitCode, output, interruption } = await runNpm(["ci", ...options], root, lock);
  if (interruption !== null) {
    process.stderr.write("interrupted; the next start begins anew\n");
    fs.rmSync(lock, { force: true });
    process.kill(process.pid, interruption);
  }
  if (exitCode !== 0) {
    process.stderr.write("failed\n");
    throw explain(output, root);
  }
  process.stderr.write(`done in ${Math.round((Date.now() - startedMs) / 1000)} s\n`);
}

function runNpm(words, root, lock) {
  const [command, ...args] = findNpm();
  return new Promise((resolve, reject) => {
    const npm = spawn(command, [...args, ...words], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    // Should we be killed, npm works on: the lock is its lock, too.
    if (npm.pid !== undefined) fs.writeFileSync(lock, `${process.pid} ${npm.pid}`);
    let output = "";
    npm.stdout.on("data", (text) => (output += text));
    npm.stderr.on("data", (text) => (output += text));
    let interruption = null;
    const interrupt = (signal) => {
      interruption = signal;
      npm.kill(signal);
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, interrupt);
    const done = (settle) => {
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.removeListener(signal, interrupt);
      settle();
    };
    npm.on("error", (error) => done(() => reject(error.code === "ENOENT" ? noNpm() : error)));
    npm.on("close", (exitCode) => done(() => resolve({ exitCode, output, interruption })));
  });
}

/** The npm that runs us, or the one beside this Node, or whichever there is. */
function findNpm() {
  const beside = path.dirname(process.execPath);
  const candidates = [
    process.env.npm_execpath,
    path.join(beside, "..", "lib", "node_modules", "npm", "bin", "npm-cli.js"),
    path.join(beside, "..", "share", "nodejs", "npm", "bin", "npm-cli.js"), // Debian's.
  ];
  const script = candidates.find((file) => file && path.basename(file) === "npm-cli.js" && fs.existsSync(file));
  return script === undefined ? ["npm"] : [process.execPath, script];
}

// ---- one at a time

/** The lock is a file with the pids of whoever installs; that of processes that have died is nobody's. Answers how to give it back. */
async function takeLock(lock, root) {
  const deadlineMs = Date.now() + waitLimitMs;
  let hasToldToWait = false;
  while (!tryLock(lock, root)) {
    const holders = readIfThere(lock) || "";
    if (holders !== "" && !holders.split(" ").some((pid) => isAlive(Number(pid)))) {
      removeStale(lock, holders);
      continue;
    }
    const holder = holders.split(" ")[0];
    if (!hasToldToWait) process.stderr.write(`Waiting for another start (process ${holder}) that is installing ...\n`);
    hasToldToWait = true;
    if (Date.now() > deadlineMs) {
      throw mendable(
        `another start (process ${holder}) has been installing for ${waitLimitMs / 60_000} minutes`,
        `end it, or remove ${lock}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const unlock = () => fs.rmSync(lock, { force: true });
  process.once("exit", unlock);
  return () => {
    process.removeListener("exit", unlock);
    unlock();
  };
}

/** Made under another name and linked, so that it never appears without its pid. */
function tryLock(lock, root) {
  const mine = `${lock}.${process.pid}`;
  try {
    fs.writeFileSync(mine, String(process.pid));
    fs.linkSync(mine, lock);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw explain(error.code, root);
  } finally {
    fs.rmSync(mine, { force: true });
  }
}

/** Another waiter may have been quicker, and then this is the lock of one who lives. */
function removeStale(lock, holders) {
  const aside = `${lock}.${process.pid}.stale`;
  try {
    fs.renameSync(lock, aside);
    if (readIfThere(aside) !== holders) fs.linkSync(aside, lock);
  } catch (error) {
    if (error.code !== "ENOENT" && error.code !== "EEXIST") throw error;
  } finally {
    fs.rmSync(aside, { force: true });
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}

// ---- what went wrong, as a sentence

function explain(output, root) {
  const network = /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT)\b/.exec(
    output,
  );
  if (network) {
    return mendable(
      `the packages that Zyndra needs could not be fetched: the network does not answer (${network[1]})`,
      "connect this machine, or tell npm of your proxy (npm config set proxy URL), then start again",
    );
  }
  if (/\b(EACCES|EPERM|EROFS)\b/.test(output)) {
    return mendable(
      `${root} needs an installation, and cannot be written`,
      `as the user whom it belongs to: cd ${root} && npm ci`,
    );
  }
  if (/\b(ENOSPC|EDQUOT)\b/.test(output)) {
    return mendable(
      `the disk that holds ${root} is full`,
      "the installation needs about 500 MB: free some space, then start again",
    );
  }
  const lines = output.split("\n").filter((line) => line.trim() !== "" && !/A complete log of this run/.test(line));
  return mendable(`npm ci failed:\n${lines.slice(-20).join("\n")}`, `to see all of it: cd ${root} && npm ci`);
}

function noNpm() {
  return mendable("npm is needed to install what Zyndra needs, and is not there", "on Debian: apt-get install npm");
}

function mendable(sentence, hint) {
  return Object.assign(new Error(sentence), { hint });
}

// ---- files

function readPackages(file) {
  const text = readIfThere(file);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text).packages;
  } catch {
    return undefined;
  }
}

function readIfThere(file) {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  }
}
