import { createServer } from "node:http";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 5 });
pool.on("error", (error) => console.error("a database connection broke:", error.message));

const server = createServer(async (request, response) => {
  try {
    if (request.url !== "/") return response.writeHead(404).end("Not found\n");
    await pool.query("insert into visits (page) values ($1)", [request.url]);
    const { rows } = await pool.query("select count(*)::int as count from visits where page = $1", [request.url]);
    response.end(`visit ${rows[0].count}\n`);
  } catch (error) {
    console.error(error);
    response.writeHead(500).end("The database does not answer.\n");
  }
});
server.listen(process.env.PORT ?? 3000);

process.once("SIGTERM", () => {
  server.close(() => pool.end().then(() => process.exit(0)));
  server.closeIdleConnections();
});
