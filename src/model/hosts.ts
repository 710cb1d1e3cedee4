import { domainToUnicode } from "node:url";
import { UserError } from "../errors.ts";
import { clip } from "./names.ts";

/** A host name as it is stored and compared: lower case, without the last dot, other scripts as punycode. */
export type HostName = {
  host: string;
  /** What was pasted around it and does not count, e.g. `https://www.hats.example/shop`. */
  from?: string;
};

const longestHost = 253;
const longestLabel = 63;
const example = "for example: www.hats.example";

/** Reads a host name as people paste it, also out of an address. @throws UserError bad_input with why it is none */
export function parseHostName(typed: string): HostName {
  const text = typed.trim();
  const shown = clip(text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^/@:]*:[^/@]*@/i, "$1…@"));
  const refuse = (why: string, hint = example) => new UserError("bad_input", `"${shown}" ${why}`, hint);
  const [, scheme, rest = ""] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(text) ?? [];
  const bare = rest.replace(/[/?#].*$/s, "").replace(/:\d*$/, "");
  if (bare === "") throw refuse("is no host name");
  if (bare.includes("*")) throw refuse("is a wildcard, which is not served here", "name each host by itself");
  if (bare.includes("@")) throw refuse("is no host name: what stands before the @ belongs to a person");
  if (bare.includes("_")) throw refuse("has an underscore, which a host name may not have");

  const host = toAscii(bare);
  if (host === undefined) throw refuse("is no host name");
  if (isAddress(host)) throw refuse("is an IP address; a domain is a name that leads to one");
  const labels = host.split(".");
  if (host.length > longestHost || labels.some((label) => label.length > longestLabel)) throw refuse("is too long");
  if (!labels.every((label) => /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(label))) {
    throw refuse("is no host name: between its dots stand letters, digits and hyphens, no hyphen first or last");
  }
  return scheme !== undefined || bare !== rest ? { host, from: shown } : { host };
}

/** As people read it: `xn--hte-qla.example` is `häte.example`. */
export function readableHost(host: string): string {
  const readable = domainToUnicode(host);
  return readable === "" || readable === host ? host : `${readable} (${host})`;
}

/** Domains that stand for the network one is in: a machine is found there by its own name (RFC 6762, appendix G; RFC 8375). */
const domainsOfNetworks = "local localdomain lan home home.arpa internal intranet private corp fritz.box".split(" ");

/** The names by which a machine that calls itself so is found in its own network. */
export function namesOfMachine(hostname: string): string[] {
  const whole = hostname.toLowerCase().replace(/\.$/, "");
  const [short = ""] = whole.split(".");
  if (short === "") return [];
  return [...new Set([whole, short, ...domainsOfNetworks.map((domain) => `${short}.${domain}`)])];
}

/**
 * @param otherHosts more names that lead to Zyndra itself: whoever was given one would be sent what is meant for it, tokens included
 * @throws UserError bad_input for names that nobody can be given: Zyndra's own, the apps' own below it, and half ones
 */
export function refuseUngivenHost(host: string, baseDomain: string, otherHosts: readonly string[]): void {
  if (host === baseDomain || otherHosts.includes(host))
    throw new UserError("bad_input", `${host} is Zyndra's own address`, example);
  if (!host.includes(".")) throw new UserError("bad_input", `${host} is not a whole name`, example);
  if (host.endsWith(`.${baseDomain}`)) {
    const app = host
      .slice(0, -baseDomain.length - 1)
      .split(".")
      .at(-1);
    throw new UserError(
      "bad_input",
      `names below ${baseDomain} are the apps' own: ${app}.${baseDomain} is where an app called ${app} is`,
      "zyndra apps:rename changes an app's own address",
    );
  }
  if (host.endsWith(".localhost") || host.endsWith(".localdomain")) {
    throw new UserError("bad_input", `${host} leads everyone to their own machine`, example);
  }
}

/** UTS #46, as browsers do it; also turns every way to write an IPv4 address into the usual one. */
function toAscii(bare: string): string | undefined {
  try {
    return new URL(`http://${bare}`).hostname.replace(/\.$/, "");
  } catch {
    return undefined;
  }
}

function isAddress(host: string): boolean {
  return host.startsWith("[") || /^(\d+\.){3}\d+$/.test(host);
}
