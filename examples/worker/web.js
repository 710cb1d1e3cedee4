import { createServer } from "node:http";

const server = createServer((request, response) => {
  if (request.url === "/health") return response.end("ok\n");
  response.end(`Hats, answered by ${process.env.ZYNDRA_PROCESS ?? "this machine"}\n`);
});
server.listen(process.env.PORT ?? 3000);

process.once("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
