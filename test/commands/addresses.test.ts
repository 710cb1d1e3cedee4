import { expect, test } from "vitest";
import { testPlatform } from "../support/platform.ts";

test.each([
  ["http://localhost:7878", "http://shop.localhost:7878"],
  ["http://127.0.0.1:7878", "http://shop.localhost:7878"],
  ["https://zyndra.example.org", "https://shop.zyndra.example.org"],
])("on a Zyndra at %s the app shop is at %s", async (publicUrl, address) => {
  await using platform = await testPlatform({ config: { publicUrl } });
  const { data } = await platform.ask("apps:create", { app: "shop" });
  expect(data).toEqual({ name: "shop", url: address });
});
