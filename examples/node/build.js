import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { marked } from "marked";

// Every page of pages/*.md becomes dist/*.html.
mkdirSync("dist", { recursive: true });
for (const file of readdirSync("pages").filter((name) => name.endsWith(".md"))) {
  const html = `<!doctype html>
<meta charset="utf-8">
<title>${file}</title>
${marked.parse(readFileSync(`pages/${file}`, "utf8"))}`;
  writeFileSync(`dist/${file.replace(/\.md$/, ".html")}`, html);
  console.log(`built ${file}`);
}
