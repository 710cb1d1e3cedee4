import { webApp } from "./apps.ts";
import { type TestPlatform, type TestPlatformOptions, testPlatform } from "./platform.ts";
import { newPusher } from "./pusher.ts";

/** A whole platform on which something of the app shop is live. */
export async function livePlatform(options: TestPlatformOptions = {}): Promise<TestPlatform> {
  const platform = await testPlatform(options);
  await platform.ask("apps:create", { app: "shop" });
  await using pusher = await newPusher(`http://ana:${platform.token}@127.0.0.1:${platform.port}/shop.git`);
  await pusher.commit(webApp("hats"));
  const { exitCode, output } = await pusher.push("main");
  if (exitCode === 0) return platform;
  await platform[Symbol.asyncDispose]();
  throw new Error(output);
}
