// Serves a folder of files: node static-server.mjs FOLDER [--single-page]
// It is copied into the slug of a static site and runs there on its own, with Node alone.
import { createReadStream } from "node:fs";
import { open, realpath } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";

const contentTypes = {
  ".avif": "image/avif",
  ".bmp": "image/bmp",
  ".css": "text/css; charset=utf-8",
  ".csv": "text/csv; charset=utf-8",
  ".gif": "image/gif",
  ".gz": "application/gzip",
  ".htm": "text/html; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".ics": "text/calendar; charset=utf-8",
  ".jpeg": "image/jpeg",
  ".jpg": "image/jpeg",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".md": "text/markdown; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".mp3": "audio/mpeg",
  ".mp4": "video/mp4",
  ".ogg": "audio/ogg",
  ".otf": "font/otf",
  ".pdf": "application/pdf",
  ".png": "image/png",
  ".rss": "application/rss+xml; charset=utf-8",
  ".svg": "image/svg+xml",
  ".ttf": "font/ttf",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".wav": "audio/wav",
  ".webm": "video/webm",
  ".webmanifest": "application/manifest+json",
  ".webp": "image/webp",
  ".woff": "font/woff",
  ".woff2": "font/woff2",
  ".xml": "application/xml; charset=utf-8",
  ".zip": "application/zip",
};

const [folder = ".", ...flags] = process.argv.slice(2);
const root = await realpath(resolve(folder));
const isSinglePage = flags.includes("--single-page");

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (response.headersSent) return response.destroy();
    console.error(error);
    sendText(response, 500, "Internal server error");
  });
});
server.listen({ port: Number(process.env.PORT ?? 3000), host: process.env.HOST }, () => {
  console.log(`serving ${folder} on port ${server.address().port}`);
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

async function answer(request, response) {
  response.setHeader("X-Content-Type-Options", "nosniff");
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("Allow", "GET, HEAD");
    return sendText(response, 405, "Method not allowed");
  }
  const address = parseAddress(request.url);
  if (!address) return sendText(response, 400, "Bad request");

  const found = address.isHidden ? undefined : await findFile(address.path);
  if (found?.redirect) {
    // Relative to the last part of the path, so that it never names another host (//example.org/).
    response.setHeader("Location", `./${encodeURIComponent(address.path.split("/").at(-1))}/${address.query}`);
    return sendText(response, 301, "Moved");
  }
  if (found) return sendFile(request, response, found, 200);

  const notFoundPage = await openFile("/404.html");
  if (notFoundPage) return sendFile(request, response, notFoundPage, 404);
  const isPage =
    isSinglePage &&
    !address.isHidden &&
    extname(address.path) === "" &&
    /text\/html|\*\/\*/.test(request.headers.accept ?? "*/*");
  const page = isPage ? await openFile("/index.html") : undefined;
  if (page) return sendFile(request, response, page, 200);
  return sendText(response, 404, "Not found");
}

/** The decoded path of a request. Undefined: it is no good path. Dot files are hidden, but for .well-known (RFC 8615). */
function parseAddress(url) {
  const [, rawPath, query] = /^([^?#]*)(\?[^#]*)?/.exec(url);
  let path;
  try {
    path = decodeURIComponent(rawPath);
  } catch {
    return undefined;
  }
  if (!path.startsWith("/") || /[\0\\]/.test(path)) return undefined;
  const parts = path.split("/");
  if (parts.includes("..") || parts.includes(".")) return undefined;
  const isHidden = parts.some(
    (part, index) => (part.startsWith(".") && !(index === 1 && part === ".well-known")) || part === "node_modules",
  );
  return { path, query: query ?? "", isHidden };
}

/** `/about` is about, about.html, or the folder about with its index.html (then with a slash, for relative links). */
async function findFile(path) {
  if (path.endsWith("/")) return openFile(`${path}index.html`);
  const file = (await openFile(path)) ?? (extname(path) === "" ? await openFile(`${path}.html`) : undefined);
  if (file) return file;
  const index = await openFile(`${path}/index.html`);
  if (!index) return undefined;
  await index.handle.close();
  return { redirect: true };
}

/** Opens a plain file below the root. A link that leads out of the root is as good as absent. */
async function openFile(path) {
  let handle;
  try {
    const real = await realpath(join(root, path));
    if (!real.startsWith(root.endsWith(sep) ? root : root + sep)) return undefined;
    handle = await open(real, "r");
    const facts = await handle.stat();
    if (facts.isFile())
      return { handle, facts, type: contentTypes[extname(real).toLowerCase()] ?? "application/octet-stream" };
  } catch (error) {
    if (!["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EACCES"].includes(error.code)) throw error;
  }
  await handle?.close();
  return undefined;
}

async function sendFile(request, response, { handle, facts, type }, status) {
  try {
    const etag = `"${facts.size.toString(16)}-${Math.trunc(facts.mtimeMs).toString(16)}"`;
    const modified = new Date(Math.trunc(facts.mtimeMs / 1000) * 1000);
    response.setHeader("Content-Type", type);
    response.setHeader("ETag", etag);
    response.setHeader("Last-Modified", modified.toUTCString());
    // Browsers keep files but ask each time whether they are still the same.
    response.setHeader("Cache-Control", "no-cache");
    response.setHeader("Accept-Ranges", "bytes");
    if (status === 200 && isUnchanged(request, etag, modified)) return response.writeHead(304).end();

    const range = status === 200 ? rangeOf(request, facts.size, etag, modified) : undefined;
    if (range === "unsatisfiable") {
      response.setHeader("Content-Range", `bytes */${facts.size}`);
      return sendText(response, 416, "Range not satisfiable");
    }
    const { start, end } = range ?? { start: 0, end: facts.size - 1 };
    if (range) response.setHeader("Content-Range", `bytes ${start}-${end}/${facts.size}`);
    response.setHeader("Content-Length", end - start + 1);
    response.writeHead(range ? 206 : status);
    if (request.method === "HEAD" || end < start) return response.end();
    await pipeline(createReadStream("", { fd: handle, start, end, autoClose: false }), response).catch((error) => {
      // A reader that goes away is no fault.
      if (error.code !== "ERR_STREAM_PREMATURE_CLOSE" && error.code !== "ECONNRESET" && error.code !== "EPIPE")
        throw error;
    });
  } finally {
    await handle.close();
  }
}

/** RFC 9110 §13.1.2–13.1.3: an entity tag, where one is sent, decides alone. */
function isUnchanged({ headers }, etag, modified) {
  const tags = headers["if-none-match"];
  if (tags !== undefined)
    return tags.trim() === "*" || tags.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
  const since = Date.parse(headers["if-modified-since"] ?? "");
  return !Number.isNaN(since) && modified.getTime() <= since;
}

/** One range of bytes (RFC 9110 §14). Several at once, or what cannot be read, is answered with the whole file, as allowed. */
function rangeOf({ headers, method }, size, etag, modified) {
  const condition = headers["if-range"];
  if (condition !== undefined && condition !== etag && Date.parse(condition) !== modified.getTime()) return undefined;
  const match = method === "GET" ? /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? "") : undefined;
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const [, first, last] = match;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== "" && last !== "" && Number(last) < start) return undefined;
  return start >= size || (first === "" && Number(last) === 0) ? "unsatisfiable" : { start, end };
}

function sendText(response, status, text) {
  response.removeHeader("ETag");
  response.removeHeader("Last-Modified");
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.setHeader("Content-Length", Buffer.byteLength(text) + 1);
  response.writeHead(status).end(`${text}\n`);
}
