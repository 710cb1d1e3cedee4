import { spawn } from "node:child_process";
import { UserError } from "../errors.ts";
import { ask } from "./api-client.ts";
import { type Call, exactly, takeFlags } from "./call.ts";
import { printable } from "./draw.ts";
import { findWhere } from "./where.ts";
import { exitCodes } from "./world.ts";

/** `open [APP]`: the address is always printed; a browser is tried where there is a screen. */
export async function openApp({ world, words, asJson }: Call): Promise<number> {
  const { words: plain, flags } = takeFlags(
    words.map((word) => (word === "-a" ? "--app" : word)),
    { app: "text" },
  );
  const [word] = exactly(plain, 0, 1, "open [APP]");
  const { server, defaultApp } = await findWhere(world);
  const app = flags.app ?? word ?? defaultApp;
  if (app === undefined) throw new UserError("bad_input", "which app?", "usage: zyndra open APP");
  const path = `/api/apps/${encodeURIComponent(app)}`;
  const found = await ask<{ name: string; url: string }>(server, { method: "GET", path }, world.interrupted);
  world.stdout.write(asJson ? `${JSON.stringify(found, null, 2)}\n` : printable(world.stdout, `${found.url}\n`));
  if (world.browser !== undefined && !asJson && /^https?:\/\//.test(found.url)) {
    const browser = spawn(world.browser, [found.url], { detached: true, stdio: "ignore" });
    // The address stands there for whoever has to open it by hand.
    browser.on("error", () => {});
    browser.unref();
  }
  return exitCodes.ok;
}
