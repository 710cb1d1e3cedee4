/**
 * A line of a deploy's log. `kind` says what it is, so that each face draws it in its own way:
 * step = a chapter begins, text = what the platform says, output = what the customer's commands print.
 */
export type LogLine = { kind: LogLineKind; text: string };
export type LogLineKind = "intro" | "step" | "text" | "output" | "error" | "hint" | "warning" | "success";

/** Who writes lines into a deploy's log. Never throws; lines are masked and stored by whoever opened it. */
export type WriteLine = (line: LogLine) => void;

/**
 * A log line as a terminal and git's `remote:` lines show it. git (2.19 and newer) colours `error:`, `warning:`,
 * `hint:` and `success:` itself at the start of a line, on a terminal only.
 */
export function plainLine(line: LogLine): string {
  // A line is one line: a return in a text of the customer's would put what follows over the words before it.
  const text = line.text.replace(/[\r\n]+/g, " ");
  switch (line.kind) {
    case "intro":
      return text;
    case "step":
      return `-----> ${text}`;
    case "text":
    case "output":
      return text === "" ? "" : `       ${text}`;
    case "error":
    case "hint":
    case "warning":
    case "success":
      return `${line.kind}: ${text}`;
  }
}
