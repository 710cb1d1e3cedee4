import type { FileFault } from "./file-fault.ts";
import { placesIn } from "./file-node.ts";

/** A file of the commit, or why it cannot be read as one. */
export type FileContent = string | Uint8Array | { unreadable: "link" | "no file" | "too large" };

/** The largest file of an app that is read; a thousand times what one has. */
export const maxFileBytes = 64 * 1024;

/** The text of a file. Windows' line ends and the mark at its start are nobody's fault. */
export function textOf(file: string, content: FileContent): { text: string } | { fault: FileFault } {
  if (typeof content === "object" && "unreadable" in content) return { fault: unreadable(file, content.unreadable) };
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  if (bytes.length > maxFileBytes) return { fault: unreadable(file, "too large") };
  const text = new TextDecoder().decode(bytes).replaceAll("\r\n", "\n");
  const strange = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]/.exec(text);
  if (!strange) return { text };
  const isNoUtf8 = strange[0] === "\ufffd";
  const problem = isNoUtf8 ? "it is no UTF-8 text" : "it holds a control character";
  const suggestion = isNoUtf8 ? "save it as UTF-8" : "write the line anew as plain text";
  return { fault: { file, ...placesIn(text)(strange.index), text: "", problem, suggestion } };
}

function unreadable(file: string, why: "link" | "no file" | "too large"): FileFault {
  const [problem, suggestion] = {
    link: [
      "it is a symbolic link, and Zyndra follows no links of a commit",
      `replace the link by the file it points to: cp --remove-destination "$(readlink ${file})" ${file}`,
    ],
    "no file": ["it is no plain file", `replace ${file} by a plain file`],
    "too large": [`it is larger than ${maxFileBytes / 1024} KiB`, "is this the right file?"],
  }[why] as [string, string];
  return { file, line: 1, column: 1, text: "", problem, suggestion };
}
