/** The files of small apps, as somebody would push them. */

/** Answers every request with a text, and `/env/NAME` with a variable of its environment. */
export function webApp(text: string): Record<string, string> {
  return {
    "package.json": JSON.stringify({ name: "app", private: true, scripts: { start: "node server.js" } }),
    "server.js": `
const { createServer } = require("node:http");
createServer((req, res) => {
  const variable = /^\\/env\\/(\\w+)$/.exec(req.url);
  res.end(variable ? String(process.env[variable[1]]) : ${JSON.stringify(text)});
}).listen(process.env.PORT, () => console.log("listening"));
`,
  };
}

/** Crashes at its start, as an app does whose dependency is not in package.json. */
export function crashingApp(): Record<string, string> {
  return { ...webApp("never seen"), "server.js": `require("express");\n` };
}

/** Its build prints a line, then fails. */
export function brokenBuild(): Record<string, string> {
  const scripts = { start: "node server.js", build: `node -e "console.log('compiling hats'); process.exit(3)"` };
  return { ...webApp("never seen"), "package.json": JSON.stringify({ name: "app", private: true, scripts }) };
}

/**
 * Waits in one step until a file called NAME appears in the folder of the config var GATES, so that a test holds the step
 * as long as it likes. Each step writes NAME.reached first.
 */
export function gatedApp(
  text: string,
  gates: { build?: string; release?: string; start?: string },
): Record<string, string> {
  const scripts = { start: "node server.js", ...(gates.build ? { build: `node gate.js ${gates.build}` } : {}) };
  const files: Record<string, string> = {
    ...webApp(text),
    "package.json": JSON.stringify({ name: "app", private: true, scripts }),
    "gate.js": `
const fs = require("node:fs");
const path = require("node:path");
exports.waitFor = (name) => new Promise((open) => {
  const gate = path.join(process.env.GATES, name);
  fs.appendFileSync(gate + ".reached", process.pid + "\\n");
  const timer = setInterval(() => {
    if (!fs.existsSync(gate)) return;
    clearInterval(timer);
    open();
  }, 20);
});
if (require.main === module) exports.waitFor(process.argv[2]).then(() => console.log("gate " + process.argv[2] + " is open"));
`,
  };
  if (gates.release) files.Procfile = `web: node server.js\nrelease: node gate.js ${gates.release}\n`;
  if (gates.start) {
    files["server.js"] =
      `require("./gate.js").waitFor(${JSON.stringify(gates.start)}).then(() => {\n${files["server.js"]}\n});\n`;
  }
  return files;
}
