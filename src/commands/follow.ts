import type { LogSource } from "../runtime/runtime.ts";

/** Something that goes on after a command has answered. */
export type Follow =
  | {
      kind: "deploy";
      appName: string;
      deployId: string;
      number: number;
      /** It had ended before it was asked for: whatever its end, reading its log succeeds. */
      isOver?: boolean;
      /** Asked to return at once. */
      detach: boolean;
    }
  | {
      kind: "app";
      appName: string;
      appId: string;
      /** A revision of what is wanted of the app, or its end. */
      until: { applied: number } | "destroyed";
      after: number;
      /** What is true then; absent: what it runs. */
      done?: string;
      /** What is true if it could not be done. */
      failed?: string;
    }
  | {
      /** A file of the machine where it was typed, `-` for standard input: what it says is to be set. */
      kind: "config:import";
      appName: string;
      file: string;
      /** The config var whose value the whole input is; null: it holds assignments. */
      as: string | null;
      /** What the file does not name is unset, once a person has said so. */
      replace: boolean;
      /** What the person has said already. */
      confirm: string | null;
      detach: boolean;
    }
  | {
      /** A command that waits for somebody to attach to it. */
      kind: "run";
      appName: string;
      runId: string;
      /** `run.3` */
      name: string;
      /** `shop v12` */
      where: string;
      /** Whether it gets a terminal; null: where the person has one. */
      tty: boolean | null;
    }
  | { kind: "config:edit"; appName: string; detach: boolean }
  | {
      kind: "addon";
      addonName: string;
      addonId: string;
      until: "available" | "gone";
      after: number;
      /** What is true then. */
      done: string;
    }
  | {
      kind: "logs";
      appName: string;
      appId: string;
      lines: number;
      process?: string;
      source?: LogSource;
      /** As `momentSince` reads it: without a zone, by the clock of whoever asks. */
      since?: string;
      grep?: string;
      tail: boolean;
      /** What is true where not a line comes. */
      ifNothing?: string;
    };
