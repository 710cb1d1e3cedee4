import type { Cache } from "./cache.ts";
import type { Waiting } from "./waiting.ts";

/** What the command line knows of where it was called; read once, in main.ts, and handed on as values. */
export type World = {
  words: string[];
  /** How it was called, for hints that can be typed: `zyndra`, `npx zyndra`. */
  calledAs: string;
  version: string;
  cwd: string;
  /** Where this person's settings of this program are kept. */
  configFolder: string;
  /** Where what was fetched before is kept. */
  cache: Cache;
  /** Name of the machine's user: what a person is called until they say otherwise. */
  userName: string;
  /** Settings that win over all files: of the environment, and the server that was typed. */
  override: {
    server?: string | undefined;
    url?: string | undefined;
    token?: string | undefined;
    app?: string | undefined;
  };
  /** Where the shell looks for programs. */
  searchPath: string;
  /** The command with which git can call this program. */
  self: string[];
  /** The program that opens a page, where there is a screen. */
  browser: string | undefined;
  /** The program with which this person edits text, as a line of words. */
  editor: string | undefined;
  stdin: NodeJS.ReadStream;
  stdout: ByteOut;
  stderr: ByteOut;
  /** Says what is waited for, where someone sees it. */
  waiting: Waiting;
  /** Where both standard input and output are one: what a program that wants a terminal can be given. */
  terminal: Terminal | undefined;
  /** Whether someone sits there to be asked. */
  isInteractive: boolean;
  /** Aborts at Ctrl-C. */
  interrupted: AbortSignal;
};

export type Out = {
  write(text: string): void;
  /** Escape codes may be used. */
  colours: boolean;
  /** Width of the terminal; undefined where it is none. */
  columns: number | undefined;
};

/** `pass` writes bytes as they are, and resolves when more may come. */
export type ByteOut = Out & { pass(bytes: Uint8Array): Promise<void> };

export type Terminal = {
  /** Its kind, as programs know it: TERM. */
  type: string;
  size(): { columns: number; rows: number };
  /** Calls back whenever the size has changed, until the returned function is called. */
  onResize(listener: () => void): () => void;
  /**
   * From now on all keys are handed on one by one and unseen, Ctrl-C too. The returned function puts everything back. Should
   * this program be ended meanwhile it is put back as well, and `beforeEnding` is called.
   */
  makeRaw(beforeEnding: () => void): () => void;
};

/** What a run ends with; see the table in the help. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Ends what is being done because of Ctrl-C. */
export class Interrupted extends Error {
  override name = "Interrupted";
}
