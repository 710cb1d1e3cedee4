import { serve } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";

const app = new Hono();
app.get("/health", (context) => context.text("ok"));
app.get("/api/time", (context) => context.json({ now: new Date() }));
app.get("*", serveStatic({ root: "dist", rewriteRequestPath: (path) => (path === "/" ? "/index.html" : `${path}.html`) }));

const port = Number(process.env.PORT ?? 3000);
const server = serve({ fetch: app.fetch, port }, () => console.log(`listening on port ${port}`));

// The platform asks a process to stop with SIGTERM: answer what is under way, take nothing new, go.
process.once("SIGTERM", () => server.close(() => process.exit(0)));
