import { randomBytes } from "node:crypto";
import { lookup } from "node:dns/promises";
import type { Check, Finding } from "../../checks.ts";

/** How people reach this Zyndra. */
export type Site = {
  publicUrl: string;
  /** Apps are names below it. */
  baseDomain: string;
  plainHttpAllowed: boolean;
};

export function addressChecks(site: Site): Check[] {
  return [
    {
      name: "app names",
      look: () => (site.baseDomain === "localhost" ? localNames(site) : resolvedNames(site)),
    },
    { name: "transport", look: () => lookAtTransport(site) },
  ];
}

function localNames({ publicUrl }: Site): Finding {
  const { port } = new URL(publicUrl);
  const address = `NAME.localhost${port === "" ? "" : `:${port}`}`;
  return {
    verdict: "ok",
    text: `apps are at ${address}, on this machine only; browsers, curl and git know such names, some programs need the Host header`,
  };
}

/** Any name will do: each app is to be found without anyone adding a record for it. */
async function resolvedNames({ baseDomain }: Site): Promise<Finding> {
  const name = `doctor-${randomBytes(3).toString("hex")}.${baseDomain}`;
  try {
    const { address } = await lookup(name);
    return { verdict: "ok", text: `names below ${baseDomain} lead to ${address}` };
  } catch (error) {
    return {
      verdict: "warning",
      text: `${name} does not resolve (${(error as NodeJS.ErrnoException).code}): apps cannot be found by their names`,
      hint: `add a DNS record for *.${baseDomain} that leads to this machine`,
    };
  }
}

function lookAtTransport({ publicUrl, plainHttpAllowed }: Site): Finding {
  const { protocol, hostname } = new URL(publicUrl);
  const hint = "put a proxy with a certificate in front and set ZYNDRA_URL to its https address";
  if (protocol === "https:") return { verdict: "ok", text: `people use ${publicUrl}` };
  if (plainHttpAllowed)
    return {
      verdict: "warning",
      text: "tokens are taken over plain HTTP, where others on the way can read them",
      hint,
    };
  if (/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname))
    return { verdict: "ok", text: "plain HTTP, and tokens are taken from this machine only" };
  return {
    verdict: "warning",
    text: `${publicUrl} is plain HTTP: tokens are taken from this machine only, and pages can be read on the way`,
    hint,
  };
}
