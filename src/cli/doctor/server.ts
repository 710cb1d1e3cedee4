import type { Checked } from "../../checks.ts";
import { mayAct, type Role } from "../../model/actor.ts";
import { duration } from "../../model/deploy.ts";
import { ask, Refusal, type Server, Unreachable } from "../api-client.ts";
import type { World } from "../world.ts";

const answerWithinMs = 10_000;
/** More than this makes times in logs and lists look wrong. */
const mostSkewMs = 30_000;

/** How the server is, from the first thing to the last; each rests on the one before. */
export async function examineServer(
  world: World,
  server: Server,
): Promise<{ findings: Checked[]; platform?: Checked[] }> {
  const health = await lookAtHealth(world, server);
  if (!health.isUp) return { findings: health.findings };
  const { finding, role } = await lookAtToken(world, server);
  const findings = [...health.findings, finding];
  if (role === undefined) return { findings };
  if (!mayAct(role, "admin")) {
    const text = "whether all of them work, admins are told: zyndra doctor";
    return { findings: [...findings, { check: "parts", verdict: "ok", text }] };
  }
  try {
    const path = `/api/commands/${encodeURIComponent("platform:doctor")}`;
    const request = { method: "POST", path, body: { input: {} } } as const;
    const { data } = await ask<{ data: Checked[] }>(server, request, world.interrupted);
    return { findings, platform: data };
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error;
    return { findings: [...findings, failed("parts", error)] };
  }
}

async function lookAtHealth(world: World, server: Server): Promise<{ findings: Checked[]; isUp: boolean }> {
  const askedAt = Date.now();
  try {
    const path = "/healthz";
    const { version, now } = await ask<{ version: string; now?: string }>(
      { url: server.url, version: server.version },
      { method: "GET", path },
      world.interrupted,
      answerWithinMs,
    );
    const tookMs = Date.now() - askedAt;
    const skewMs = now === undefined ? 0 : Math.abs(Date.parse(now) - (askedAt + tookMs / 2));
    const reachable: Checked = { check: "server", verdict: "ok", text: `answers in ${tookMs} ms` };
    return { findings: [reachable, versionFinding(world.version, version), clockFinding(skewMs)], isUp: true };
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error;
    return { findings: [failed("server", error)], isUp: false };
  }
}

function versionFinding(own: string, theirs: string): Checked {
  if (own === theirs) return { check: "version", verdict: "ok", text: `${own}, here and there` };
  return {
    check: "version",
    verdict: "warning",
    text: `the server is ${theirs}, this command line ${own}`,
    hint: "most of it works; for all of it, bring the older one to the newer's version",
  };
}

function clockFinding(skewMs: number): Checked {
  if (skewMs < mostSkewMs) return { check: "clock", verdict: "ok", text: "agrees with this machine's" };
  return {
    check: "clock",
    verdict: "warning",
    text: `differs from this machine's by ${duration(skewMs)}: times in logs and lists are off by that`,
    hint: "let both machines keep their time by NTP",
  };
}

async function lookAtToken(world: World, server: Server): Promise<{ finding: Checked; role?: Role }> {
  const check = "token";
  if (server.token === undefined) {
    const hint = `zyndra login ${server.url}`;
    return { finding: { check, verdict: "warning", text: "this machine has none for it", hint } };
  }
  try {
    const { name, role } = await ask<{ name: string; role: Role }>(
      server,
      { method: "GET", path: "/api/whoami" },
      world.interrupted,
    );
    return { finding: { check, verdict: "ok", text: `good, you are ${name} (${role})` }, role };
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof Unreachable)) throw error;
    return { finding: failed(check, error) };
  }
}

function failed(check: string, { message, hint }: Refusal | Unreachable): Checked {
  return { check, verdict: "fault", text: message, ...(hint === undefined ? {} : { hint }) };
}
