import { setTimeout as pause } from "node:timers/promises";

const pauseMs = Number(process.env.PAUSE_MS ?? 5000);
const stopping = new AbortController();
process.once("SIGTERM", () => stopping.abort());

// What is begun is finished; nothing new is begun once the platform has asked to stop.
for (let hat = 1; !stopping.signal.aborted; hat++) {
  console.log(`hat ${hat} is made`);
  await pause(pauseMs, undefined, { signal: stopping.signal }).catch(() => {});
}
console.log("the worker has stopped");
