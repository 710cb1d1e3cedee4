import { request } from "node:http";

export type Page = { status: number; body: string };

/** GETs an address on this machine, names under `.localhost` included, which Node's own fetch cannot resolve. */
export function getPage(
  address: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Page> {
  const url = new URL(address);
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: "127.0.0.1",
        port: url.port,
        path: `${url.pathname}${url.search}`,
        method: options.method ?? "GET",
        headers: { host: url.host, ...options.headers },
        agent: false,
      },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => (body += chunk));
        response.on("end", () => resolve({ status: response.statusCode!, body }));
        response.on("error", reject);
      },
    );
    asked.on("error", reject);
    asked.end(options.body);
  });
}
