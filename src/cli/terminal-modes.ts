/** What a program has switched on in the terminal, so that it can be switched off when the program no longer can. */
export type TerminalModes = {
  see(output: Uint8Array): void;
  /** The codes that put everything back. */
  undo(): string;
};

/** Cursor keys of applications, mouse, focus, the other screen, brackets around what is pasted (ctlseqs of xterm). */
const normallyOff = new Set([
  "1",
  "9",
  "47",
  "1000",
  "1002",
  "1003",
  "1004",
  "1005",
  "1006",
  "1015",
  "1047",
  "1049",
  "2004",
]);
/** The cursor. */
const normallyOn = new Set(["25"]);
/** The longest code that matters: it may be cut into two pieces of output. */
const codeLength = 32;

export function watchModes(): TerminalModes {
  const changed = new Set<string>();
  let rest = "";
  return {
    see(output) {
      const text = rest + Buffer.from(output).toString("latin1");
      for (const [, modes = "", how] of text.matchAll(/\x1b\[\?([\d;]+)([hl])/g)) {
        for (const mode of modes.split(";")) {
          if (normallyOff.has(mode) ? how === "h" : normallyOn.has(mode) && how === "l") changed.add(mode);
          else changed.delete(mode);
        }
      }
      rest = /\x1b(?:\[(?:\?[\d;]*)?)?$/.exec(text.slice(-codeLength))?.[0] ?? "";
    },
    undo() {
      const codes = [...changed].map((mode) => `\x1b[?${mode}${normallyOn.has(mode) ? "h" : "l"}`);
      return codes.length === 0 ? "" : `${codes.join("")}\x1b[0m`;
    },
  };
}
