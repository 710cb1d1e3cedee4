import { pino } from "pino";

/** The platform's own log: an object first, a short past-tense sentence after. */
export type Log = {
  debug(facts: object, sentence: string): void;
  info(facts: object, sentence: string): void;
  warn(facts: object, sentence: string): void;
  error(facts: object, sentence: string): void;
  child(facts: object): Log;
};

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/**
 * Opens the log on standard output: one JSON object a line for programs, one sentence a line for people (`reader`). Keys
 * that name secrets are never written.
 */
export function openLog(level: LogLevel, reader: "program" | "person" = "program"): Log {
  const options = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ["authorization", "*.authorization", "token", "*.token", "password", "*.password", "secret", "*.secret"],
      censor: "[hidden]",
    },
  };
  const text = reader === "person" ? (line: string) => sentenceOf(JSON.parse(line)) : (line: string) => line;
  // Through Node's own stream: a reader that went away is an event there, and not an exception.
  return pino(options, { write: (line: string) => void process.stdout.write(text(line)) }) as unknown as Log;
}

/** `19:22:01 database started (pid 23270, port 21208)`, with an error's stack below. */
function sentenceOf(entry: Record<string, unknown>): string {
  const { level, time, msg, err, ...facts } = entry;
  const urgency = Number(level) >= 50 ? "error: " : Number(level) >= 40 ? "warning: " : "";
  const told = Object.entries(facts).map(
    ([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const fault = err as { stack?: string; message?: string } | undefined;
  const stack = fault ? `\n${fault.stack ?? fault.message ?? JSON.stringify(fault)}` : "";
  const clock = new Date(String(time)).toTimeString().slice(0, 8);
  return `${clock} ${urgency}${msg}${told.length > 0 ? ` (${told.join(", ")})` : ""}${stack}\n`;
}
