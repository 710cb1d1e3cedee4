import { execFileSync, spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { commandLine, replacingShell, shownCommandLine } from "../../src/model/command-line.ts";

test.each([
  [["npm run a && npm run b"], "npm run a && npm run b"],
  [["ls", "-la", "--color=auto"], "ls -la --color=auto"],
  [["echo", "$HOME; ls"], "echo '$HOME; ls'"],
  [["echo", "it's"], "echo 'it'\\''s'"],
  [["echo", ""], "echo ''"],
  [["LOG_LEVEL=debug", "npm", "test"], "LOG_LEVEL=debug npm test"],
  [["GREETING=good day", "EMPTY=", "env"], "GREETING='good day' EMPTY= env"],
  [["psql", "-c", "select * from hats"], "psql -c 'select * from hats'"],
])("%j is the line %s", (words, line) => {
  expect(commandLine(words)).toBe(line);
});

test("a shell takes several words as they were typed, whatever is in them", () => {
  const words = ["a b", "$HOME", "`id`", "it's", '"', "\\", "*", "", "--x=$(id)", "ü\n!", "~"];
  const line = commandLine(["printf", "%s\\0", ...words]);
  expect(execFileSync("/bin/sh", ["-c", line]).toString()).toBe(`${words.join("\0")}\0`);
});

test.each([
  ["npm run migrate", "npm run migrate"],
  ["API_KEY=s3cret LOG='a b' node x.js", "API_KEY=… LOG=… node x.js"],
  ['A="a \\" b" x', "A=… x"],
  ["echo hi;B=2", "echo hi;B=…"],
  ["tool --token s3cret --api-key=s3cret --level 3", "tool --token … --api-key=… --level 3"],
  ["--verbose --token s3cret --api-key 'a b'", "--verbose --token … --api-key …"],
  ["psql postgres://u:hunter2pw@h/db -c 'a:b@c'", "psql postgres://u:…@h/db -c 'a:b@c'"],
  ["psql 'postgres://u:hunter2@pw@h:5432/db'", "psql 'postgres://u:…@h:5432/db'"],
  ["redis-cli -u redis://:hunter2pw@h", "redis-cli -u redis:…"],
  ["curl -H 'Authorization: Bearer hunter2pw' h", "curl -H 'Authorization: …' h"],
  ['curl -H "X-Api-Key: hunter2pw" -H "Accept: text/html"', 'curl -H "X-Api-Key: …" -H "Accept: text/html"'],
  ["curl --oauth2 Bearer hunter2pw", "curl --oauth2 Bearer …"],
  ["curl -u me:hunter2pw h", "curl -u me:… h"],
  ["curl -u 'me:hunter2 pw' --user=me:hunter2pw -ume:x h", "curl -u me:… --user=me:… -ume:… h"],
  ["id -u me", "id -u me"],
  ["mysql -u me -phunter2pw db", "mysql -u me -p… db"],
  ["mkdir -parents x", "mkdir -parents x"],
  ["./x --width=3 a/b=c", "./x --width=3 a/b=c"],
  ["rake my-secret hats", "rake my-secret hats"],
])("%s is shown as %s", (line, shown) => {
  expect(shownCommandLine(line)).toBe(shown);
});

test("a line of 128 kB is shown at once, whatever is in it", () => {
  const began = performance.now();
  for (const piece of [
    "key",
    "-",
    "-key",
    " -key ",
    "--key-",
    "://:",
    ":",
    "://a:",
    "basic ",
    "-u",
    " -u ",
    "'key",
    "key:",
    '"',
    "a=",
    "mysql -p",
  ])
    shownCommandLine(`-${piece.repeat(128_000 / piece.length)}`);
  expect(performance.now() - began).toBeLessThan(2_000);
});

test.each([
  ["npm run migrate", "exec npm run migrate"],
  ["A=1 B='x y' C= node x.js > out", "A=1 B='x y' C= exec node x.js > out"],
  ["psql -c 'select 1; select 2'", "exec psql -c 'select 1; select 2'"],
  ['echo "$(date)"', 'exec echo "$(date)"'],
  ["sh -c 'a && b'", "exec sh -c 'a && b'"],
])("the program of %s takes the shell's place", (line, replaced) => {
  expect(replacingShell(line)).toBe(replaced);
});

test.each([
  "npm run a && npm run b",
  "a; b",
  "a | b",
  "a &",
  "(a)",
  "a\nb",
  "exit 3",
  "cd x",
  "A=1",
  "$PROGRAM x",
  "'my program' x",
  "test -t 0 || echo none",
  "",
])("%s is left to the shell", (line) => {
  expect(replacingShell(line)).toBe(line);
});

test("a line means the same with the program in the shell's place", () => {
  for (const line of ["A=1 B='x y' env", "printf '%s|' a 'b c' \"$HOME\" d\\ e", "echo hats > /dev/null", "false"]) {
    const run = (command: string) =>
      spawnSync("/bin/sh", ["-c", command], { env: { PATH: process.env.PATH, HOME: "/h" } });
    const [plain, replaced] = [run(line), run(replacingShell(line))];
    expect(replaced.stdout.toString()).toBe(plain.stdout.toString());
    expect(replaced.status).toBe(plain.status);
  }
});
