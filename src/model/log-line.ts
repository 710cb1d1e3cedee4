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
  switch (line.kind) {
    case "intro":
      return line.text;
    case "step":
      return `-----> ${line.text}`;
    case "text":
    case "output":
      return line.text === "" ? "" : `       ${line.text}`;
    case "error":
    case "hint":
    case "warning":
    case "success":
      return `${line.kind}: ${line.text}`;
  }
}
