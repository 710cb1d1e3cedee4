import type { Check, Finding } from "../../checks.ts";

/** The user and the git that this Zyndra runs as and with; its start has refused a git that is too old. */
export function machineChecks(gitVersion: string): Check[] {
  return [
    { name: "git", look: () => ({ verdict: "ok", text: `git ${gitVersion}` }) },
    { name: "user", look: () => lookAtUser(process.getuid?.()) },
  ];
}

/** Builds and apps run as the user that Zyndra runs as. */
function lookAtUser(uid: number | undefined): Finding {
  if (uid !== 0)
    return { verdict: "ok", text: `Zyndra runs as an ordinary user${uid === undefined ? "" : ` (${uid})`}` };
  return {
    verdict: "warning",
    text: "Zyndra runs as root, and so do builds and apps",
    hint: "run it as an ordinary user of its own",
  };
}
