import { lstat } from "node:fs/promises";
import { join } from "node:path";
import type { GoPlan } from "../../model/detection.ts";
import { BuildFailure } from "./build-failure.ts";
import type { BuildSession } from "./build-session.ts";

export type Go = { program: string; version: string };

export async function findGo(session: BuildSession): Promise<Go> {
  const program = await session.find("go");
  const version = program ? await session.version([program, "version"]) : undefined;
  if (program && version) return { program, version };
  throw new BuildFailure({
    headline: "Go is not on this machine",
    detail: "go.mod is in the commit, and no go in the PATH that Zyndra was started with",
    hint: "whoever runs Zyndra: install Go, or start Zyndra with a PATH that has it",
  });
}

export function goPlanLine(plan: GoPlan, go: Go): string {
  return `Go ${go.version}, go build ${plan.packages}${plan.binaries.length > 0 ? ` (bin/${plan.binaries.join(", bin/")})` : ""}`;
}

/** Builds a module's programs into bin/. */
export async function buildGo(session: BuildSession, plan: GoPlan, go: Go): Promise<void> {
  if (plan.binaries.length === 0) return;
  const bin = await lstat(join(session.sourceDir, "bin")).catch(() => undefined);
  if (bin && !bin.isDirectory()) {
    throw new BuildFailure({
      headline: "bin is in the way",
      detail: "Go programs are built into the folder bin, and the commit has something else of that name",
      hint: "git rm bin, commit, push again",
    });
  }
  const output = plan.packages === "." ? join("bin", plan.binaries[0]!) : "bin/";
  // There is no .git in a build's folder to read a version from.
  await session.run("go build", [go.program, "build", "-buildvcs=false", "-o", output, plan.packages]);
}
