/** Longer names do not fit into one file name together with `.lock`. */
const maxRefBytes = 240;

/**
 * Why a push may not name this ref, or null if it may. git checks names itself for the refs that it stores, but hands those
 * of `proc-receive` over unchecked. The rules are those of git-check-ref-format(1), and only branches and tags are taken.
 */
export function refNameFault(ref: string): string | null {
  if (!/^refs\/(?:heads|tags)\/./s.test(ref)) return "only branches and tags can be pushed";
  if (ref.includes("\ufffd")) return "the name is not UTF-8";
  if (Buffer.byteLength(ref) > maxRefBytes) return `the name is longer than ${maxRefBytes} bytes`;
  const parts = ref.split("/").slice(2);
  if (!isWellFormed(ref, parts)) return "git allows no such name";
  if (parts[0]!.startsWith("-")) return "the name starts with a hyphen";
  if (parts.length === 1 && parts[0] === "HEAD") return "HEAD is no name for a branch or tag";
  return null;
}

function isWellFormed(ref: string, parts: string[]): boolean {
  if (/[\x00-\x20\x7f~^:?*[\\]/.test(ref)) return false;
  if (ref.includes("..") || ref.includes("@{") || ref.endsWith(".")) return false;
  return parts.every((part) => part !== "" && !part.startsWith(".") && !part.endsWith(".lock"));
}

export function isBranch(ref: string): boolean {
  return ref.startsWith("refs/heads/");
}
