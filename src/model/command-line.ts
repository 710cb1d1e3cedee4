/**
 * Typed words as one line for `sh -c`. One word is such a line already (`"npm run a && npm run b"`); several are words of one
 * program, and none of their characters means anything to the shell.
 */
export function commandLine(words: readonly string[]): string {
  return words.length === 1 ? words[0]! : words.map(quoted).join(" ");
}

/** The value of an assignment is quoted, not the whole, or it would be a program's name: `LOG_LEVEL=debug npm test`. */
function quoted(word: string): string {
  const [, name = "", rest = ""] = /^([A-Za-z_]\w*=)?(.*)$/s.exec(word) ?? [];
  if (/^[\w@%+=:,./-]+$/.test(rest)) return word;
  return rest === "" && name !== "" ? name : `${name}'${rest.replaceAll("'", "'\\''")}'`;
}

const value = String.raw`(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\;&|])+`;
const assignment = new RegExp(String.raw`(?<![\w./-])([A-Za-z_]\w*)=${value}`, "g");
/** A word that tells of a secret is looked for ahead, where it is looked for once: a line of 100 kB may hold nothing else. */
const secretOption = new RegExp(
  String.raw`(?<=^|\s)(--?(?=[\w-]*(?:password|passwd|secret|token|key))[\w-]+)(=|\s+)${value}`,
  "gi",
);
const secretHeader = /(?<=['"])((?=[\w-]*(?:authorization|cookie|password|secret|token|key))[\w-]+:)[^'"]+/gi;
const credentials = /\b(bearer|basic)(\s+)[^\s'"]+/gi;
const passwordInAddress = /(:\/\/[^\s/:@]*:)[^\s/]*@/g;
const userOption = new RegExp(String.raw`(?<=^|\s)(-u|--user)(=|\s*)(${value})`, "g");
const passwordOfMysql = new RegExp(String.raw`(?<=^|\s)-p${value}`, "g");

/**
 * A command line as it may be kept and shown to others: what is set in it (`NAME=value`, `--token value`) is left out, and what
 * programs are known to take a password as (`postgres://user:password@host`, `Authorization: Bearer …`, `-u name:password`).
 */
export function shownCommandLine(line: string): string {
  const shown = line
    .replace(assignment, "$1=…")
    .replace(secretOption, "$1$2…")
    .replace(secretHeader, "$1 …")
    .replace(credentials, "$1$2…")
    .replace(passwordInAddress, "$1…@")
    .replace(userOption, withoutPassword);
  return /\b(?:mysql|mariadb)/.test(shown) ? shown.replace(passwordOfMysql, "-p…") : shown;
}

function withoutPassword(whole: string, option: string, between: string, user: string): string {
  const colon = user.indexOf(":");
  return colon < 0 ? whole : `${option}${between}${user.slice(0, colon).replace(/^['"]/, "")}:…`;
}

const builtins =
  /^(?:[.:]|alias|bg|break|cd|command|continue|eval|exec|exit|export|fg|getopts|hash|jobs|local|read|readonly|return|set|shift|source|times|trap|type|ulimit|umask|unalias|unset|wait|if|while|until|for|case)$/;
const leadingAssignments = new RegExp(String.raw`^\s*(?:[A-Za-z_]\w*=(?:${value})?\s+)*`);

/**
 * The same line for a shell that is done with it once it has begun: where it is one program's, that takes the shell's place.
 * So a signal finds nobody but the program, whose exit code is that of the line.
 */
export function replacingShell(line: string): string {
  const outsideQuotes = line.replace(/'[^']*'|"(?:\\.|[^"\\])*"|\\./gs, "q");
  if (/[;&|()`{}\n]/.test(outsideQuotes)) return line;
  const at = leadingAssignments.exec(line)![0].length;
  const program = /^[\w./+-]+(?=\s|$)/.exec(line.slice(at))?.[0];
  if (program === undefined || builtins.test(program)) return line;
  return `${line.slice(0, at)}exec ${line.slice(at)}`;
}
