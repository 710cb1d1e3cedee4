#!/usr/bin/env node
"use strict";
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { ensureInstalled } = require("./install.js");
const { orExplain } = require("./launch.js");

const root = path.dirname(__dirname);

orExplain(build(path.join(root, "src"), path.join(root, "dist")));

/** Makes the JavaScript that the npm package carries, since Node strips no types under node_modules. */
async function build(src, dist) {
  await ensureInstalled(root, { withTests: true });
  fs.rmSync(dist, { recursive: true, force: true });
  const compiler = path.join(root, "node_modules", "typescript", "bin", "tsc");
  const { status } = spawnSync(process.execPath, [compiler, "--project", "tsconfig.build.json"], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) return void (process.exitCode = 1);
  copyOthers(src, dist);
}

/** What is no TypeScript goes along as it is: programs in other languages, which the code looks for beside itself. */
function copyOthers(src, dist) {
  fs.cpSync(src, dist, {
    recursive: true,
    filter: (from) => fs.statSync(from).isDirectory() || !from.endsWith(".ts"),
  });
}
