import type { IncomingMessage, ServerResponse } from "node:http";
import type { Route } from "./routes.ts";

/** What the router says itself when no app can: a heading, what it means, and what the app's owner can do. */
export type Page = {
  title: string;
  text: string;
  next?: string;
  /** When to come again, where it is a matter of more than seconds. */
  retryAfterSeconds?: number;
};

export const pages = {
  noApp: (appName: string): Page => ({
    title: `Nothing is here yet`,
    text: `No app called "${appName}" has gone live on this platform.`,
    next: `If it is yours: git push zyndra main (zyndra apps lists what there is)`,
  }),
  nothingRuns: (route: Route): Page =>
    route.web === "absent"
      ? {
          title: `${route.appName} has no web process`,
          text: `It runs, but nothing in it answers requests.`,
          next: `A line such as "web: npm start" in its Procfile adds one.`,
        }
      : route.web === "scaled_down"
        ? {
            title: `${route.appName} is switched off`,
            text: `No web process of it is running.`,
            next: forItsOwner(`zyndra ps:scale ${route.appName} web=1`),
          }
        : pages.unreachable(route.appName),
  unreachable: (appName: string): Page => ({
    title: `${appName} does not answer`,
    text: `Its web process has crashed or is being started again.`,
    next: forItsOwner(`zyndra logs ${appName}`),
  }),
  brokenOff: (appName: string): Page => ({
    title: `${appName} broke off`,
    text: `Its web process ended the connection before it had answered.`,
    next: forItsOwner(`zyndra logs ${appName}`),
  }),
  tooSlow: (appName: string, limitMs: number): Page => ({
    title: `${appName} takes too long`,
    text: `Its web process has not answered within ${limitMs / 1000} s.`,
    next: forItsOwner(`zyndra logs ${appName}`),
  }),
  /** For the app's own visitors, who know nothing of apps and commands. */
  maintenance: (): Page => ({
    title: `Down for maintenance`,
    text: `This site is being worked on. Please come back in a few minutes.`,
    retryAfterSeconds: 60,
  }),
  badRequest: (): Page => ({ title: `Bad request`, text: `The request cannot be passed on as it is.` }),
};

/** Most who read it are visitors: nothing is theirs to type. */
function forItsOwner(command: string): string {
  return `If this app is yours: ${command}`;
}

/** Answers with a page: HTML for browsers, plain text for everyone else. Tells how many bytes it has sent of it. */
export function page(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  { title, text, next, retryAfterSeconds = 5 }: Page,
): number {
  if (response.headersSent) {
    response.destroy();
    return 0;
  }
  const isForBrowser = request.headers.accept?.includes("text/html") ?? false;
  const body = isForBrowser ? html(title, text, next) : `${[`${title}. ${text}`, next].filter(Boolean).join("\n")}\n`;
  const sizeBytes = Buffer.byteLength(body);
  response.writeHead(status, {
    "content-type": `text/${isForBrowser ? "html" : "plain"}; charset=utf-8`,
    "content-length": sizeBytes,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...(status === 503 ? { "retry-after": String(retryAfterSeconds) } : {}),
  });
  const hasBody = request.method !== "HEAD";
  response.end(hasBody ? body : undefined);
  return hasBody ? sizeBytes : 0;
}

function html(title: string, text: string, next: string | undefined): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 36rem; margin: 20vh auto 0; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; }
code { font: 0.9em ui-monospace, monospace; opacity: 0.8; }
</style>
<h1>${escaped(title)}</h1>
<p>${escaped(text)}</p>
${next ? `<p><code>${escaped(next)}</code></p>\n` : ""}</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
