import { StringDecoder } from "node:string_decoder";

/** A longer line is cut into several, so that output without line ends cannot fill the memory. */
const lineLimit = 10_000;

/** The lines of a stream of bytes. Control characters go, colours and tabs stay; a `\r` starts the line anew, as on a terminal. */
export async function* splitLines(chunks: AsyncIterable<Buffer>): AsyncIterable<string> {
  const decoder = new StringDecoder("utf8");
  let partial = "";
  for await (const chunk of chunks) {
    const lines = (partial + decoder.write(chunk)).split("\n");
    partial = lines.pop()!;
    for (const line of lines) yield* pieces(line);
    if (partial.length > lineLimit) {
      const parts = [...pieces(partial)];
      partial = parts.pop()!;
      yield* parts;
    }
  }
  partial += decoder.end();
  if (partial !== "") yield* pieces(partial);
}

function* pieces(line: string): Iterable<string> {
  const clean = cleanLine(line);
  for (let at = 0; at === 0 || at < clean.length; at += lineLimit) yield clean.slice(at, at + lineLimit);
}

function cleanLine(line: string): string {
  // By hand: /\r+$/ tries each \r of a long line as the first one of its end.
  let end = line.length;
  while (line[end - 1] === "\r") end--;
  return line
    .slice(line.lastIndexOf("\r", end - 1) + 1, end)
    .replace(/\x1b(?!\[[0-9;]*m)/g, "")
    .replace(/[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]/g, "");
}
