import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Shown } from "../commands/actor.ts";

/** What came with a request. The command line says who it is, so that the audit tells it from programs. */
export function shownBy({ headers, socket }: Pick<IncomingMessage, "headers" | "socket">): Shown {
  const forwardedFor = headers["x-forwarded-for"];
  return {
    authorization: headers.authorization,
    remoteAddress: socket.remoteAddress ?? "",
    forwardedFor: Array.isArray(forwardedFor) ? forwardedFor.join(",") : forwardedFor,
    secure: (socket as TLSSocket).encrypted === true,
    door: headers["user-agent"]?.startsWith("zyndra-cli/") ? "cli" : "http",
  };
}
