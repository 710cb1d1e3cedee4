import { createServer } from "node:http";

const port = Number(process.env.PORT ?? 3000);
const release = process.env.ZYNDRA_RELEASE_VERSION;
const startedAt = new Date();

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname === "/health") return send(response, 200, "text/plain", "ok\n");
  if (pathname === "/") return send(response, 200, "text/html", page());
  send(response, 404, "text/plain", "Not found\n");
});

server.listen(port, () => console.log(`hello listens on port ${port}`));

// The platform asks a process to stop with SIGTERM: answer what is under way, take nothing new, go.
process.once("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});

function send(response, status, type, body) {
  response.writeHead(status, { "content-type": `${type}; charset=utf-8`, "content-length": Buffer.byteLength(body) });
  response.end(body);
}

function page() {
  const version = release ? `This is release ${/^\d/.test(release) ? `v${release}` : release}, up` : "Up";
  return `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Hello</title>
  <style>
    :root { color-scheme: light dark; }
    body { font: 1.125rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem; }
    h1 { font-size: 3rem; line-height: 1.1; margin: 0 0 1rem; }
    code { font-size: 0.95em; padding: 0.1em 0.35em; border-radius: 0.3em; background: color-mix(in srgb, currentColor 10%, transparent); }
    small { opacity: 0.7; }
  </style>
  <h1>Hello!</h1>
  <p>Your push is on the air. Change this page in <code>server.js</code>, commit, and run
    <code>git push zyndra main</code> again.</p>
  <p><small>${version} since ${startedAt.toISOString()}, Node ${process.versions.node}.</small></p>
</html>
`;
}
