import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import type { ReadStream, WriteStream } from "node:tty";
import type { Terminal } from "./world.ts";

const endings = ["SIGTERM", "SIGHUP"] as const;

/** The terminal at which somebody sits. */
export function openTerminal(stdin: ReadStream, stdout: WriteStream, type: string): Terminal {
  return {
    type,
    // One of unknown size says 0.
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    onResize(listener) {
      stdout.on("resize", listener);
      return () => void stdout.off("resize", listener);
    },
    makeRaw(beforeEnding) {
      const restore = () => {
        stdin.setRawMode(false);
        stdin.pause();
        for (const signal of endings) process.off(signal, end);
      };
      const end = (signal: (typeof endings)[number]) => {
        restore();
        beforeEnding();
        process.exit(128 + constants.signals[signal]);
      };
      // First of all: a signal must find somebody who puts the terminal back.
      for (const signal of endings) process.on(signal, end);
      stdin.setRawMode(true);
      // Node leaves the terminal's own translation of line ends on, which spoils what programs like vim draw.
      spawnSync("stty", ["-opost"], { stdio: ["inherit", "ignore", "ignore"] });
      return restore;
    },
  };
}
