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

/** Opens the log on standard output, one JSON object a line. Keys that name secrets are never written. */
export function openLog(level: LogLevel): Log {
  return pino({
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: {
      paths: ["authorization", "*.authorization", "token", "*.token", "password", "*.password", "secret", "*.secret"],
      censor: "[hidden]",
    },
  }) as unknown as Log;
}
