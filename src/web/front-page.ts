export type FrontPageFacts = { url: string; claimed: boolean; version: string };

/** What someone sees who opens the platform's address: what this is, and how to get in. */
export function frontPage({ url, claimed, version }: FrontPageFacts): string {
  const at = escapeHtml(url.replace(/\/$/, ""));
  const start = claimed
    ? `<p>To get in from a terminal, with a token that its owner gave you:</p>
<pre>zyndra login ${at}</pre>`
    : `<p>It has no owner yet. Its start has printed the line that makes one; type it in a terminal:</p>
<pre>zyndra setup ${at} CODE</pre>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Zyndra</title>
<style>
  :root { color-scheme: light dark }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem }
  pre { padding: .75rem 1rem; border: 1px solid; border-radius: .3rem; overflow-x: auto }
  footer { opacity: .7; font-size: .875rem }
</style>
<h1>Zyndra</h1>
<p>This address runs apps: <code>git push zyndra main</code> builds the pushed commit and puts it on the air.</p>
${start}
<p>Then, in the folder of an app that is a git repository:</p>
<pre>zyndra apps:create shop
zyndra git:remote shop
git push zyndra main</pre>
<p><code>zyndra help</code> lists what there is.</p>
<footer>Zyndra ${escapeHtml(version)}</footer>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
