import type { Answer } from "../../src/commands/command.ts";
import type { EventData } from "../../src/model/event.ts";
import { appTopic } from "../../src/model/event.ts";
import type { TestPlatform } from "./platform.ts";

/** Waits until what a command has changed about an app without a release is applied, as the command line does. */
export async function applied(platform: TestPlatform, { follow }: Answer): Promise<EventData & { type: "applied" }> {
  if (follow?.kind !== "app" || follow.until === "destroyed") throw new Error("there is nothing to wait for");
  const { appId, after, until } = follow;
  for await (const { data } of platform.deps.events.follow(appTopic(appId), after, AbortSignal.timeout(30_000))) {
    if (data.type === "applied" && data.revision >= until.applied) return data;
  }
  throw new Error(`revision ${until.applied} of ${follow.appName} was not applied in time`);
}
