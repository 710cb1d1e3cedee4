import { UserError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { HookCall } from "./hook-server.ts";
import type { OngoingPush, OngoingPushes } from "./ongoing.ts";
import { flushPacket, ProtocolError, packet, packetText, readPacket } from "./pkt-line.ts";
import type { ReceiverPolicy, RefUpdate, RefVerdict } from "./push.ts";
import { isBranch } from "./ref-names.ts";
import { cleanReason, refusalLines, refusalSentence } from "./remote-lines.ts";

export type HookParts = {
  policy: ReceiverPolicy;
  pushes: OngoingPushes;
  /** Aborts when the platform stops. */
  stopping: AbortSignal;
  checkMs: number;
  log: Log;
};

/** Answers one hook that git has started: which push is it, what does the policy say of it. */
export async function answerHook(call: HookCall, parts: HookParts): Promise<void> {
  const ongoing = parts.pushes.find(call);
  if (!ongoing) {
    call.say("error: zyndra does not know this push: push again");
    call.exit(1);
    return;
  }
  ongoing.hasReachedHooks = true;
  if (call.hook === "pre-receive") await preReceive(call, ongoing, parts);
  else await procReceive(call, ongoing, parts);
}

/** All or nothing, before the objects leave their quarantine. */
async function preReceive(call: HookCall, ongoing: OngoingPush, parts: HookParts): Promise<void> {
  try {
    const updates = await readUpdateLines(call);
    assertSameUpdates(updates, ongoing.push.updates);
    if (parts.stopping.aborted) throw stoppingError();
    await within(
      parts.checkMs,
      parts.policy.checkPush({ ...ongoing.push, updates, quarantineEnv: call.quarantineEnv }),
    );
    call.exit(0);
  } catch (error) {
    const refusal = asRefusal(error, ongoing, parts.log);
    for (const line of refusalLines(refusal)) call.say(line);
    ongoing.refusal = cleanReason(refusalSentence(refusal));
    call.exit(1);
  }
}

/**
 * One verdict for each branch. (githooks, "proc-receive": version and features, the commands, the push options;
 * then `ok REF`, `ok REF` + `option fall-through`, or `ng REF REASON`.)
 */
async function procReceive(call: HookCall, ongoing: OngoingPush, parts: HookParts): Promise<void> {
  const { push } = ongoing;
  const updates = await readCommands(call);
  assertSameUpdates(updates, push.updates);
  if (!updates.every(({ ref }) => isBranch(ref))) throw new Error("git handed something else than branches over");

  const verdicts = await judge(call, ongoing, updates, parts);
  const ofRef = new Map(verdicts.map((verdict) => [verdict.ref, verdict]));
  const complete = updates.map(
    ({ ref }): RefVerdict => ofRef.get(ref) ?? { ref, ok: false, reason: "zyndra gave no answer for it" },
  );
  const final = push.atomic ? allOrNothing(complete) : complete;
  call.print(Buffer.concat([...final.flatMap(verdictPackets), flushPacket]));

  // git itself stores an atomic push's tags: a hook that fails keeps them out.
  const firstRefused = complete.find((verdict) => !verdict.ok);
  if (push.atomic && firstRefused) ongoing.refusal ??= `atomic push: ${firstRefused.ref} is refused`;
  call.exit(push.atomic && firstRefused ? 1 : 0);
}

async function judge(
  call: HookCall,
  ongoing: OngoingPush,
  updates: RefUpdate[],
  { policy, stopping, log }: HookParts,
): Promise<RefVerdict[]> {
  try {
    if (stopping.aborted) throw stoppingError();
    return await policy.receive({ ...ongoing.push, updates }, call.say, stopping);
  } catch (error) {
    const refusal = asRefusal(error, ongoing, log);
    for (const line of refusalLines(refusal)) call.say(line);
    const reason = refusalSentence(refusal);
    return updates.map(({ ref }) => ({ ref, ok: false, reason }));
  }
}

function verdictPackets(verdict: RefVerdict): Buffer[] {
  if (!verdict.ok) return [packet(`ng ${verdict.ref} ${cleanReason(verdict.reason) || "refused"}`)];
  return [packet(`ok ${verdict.ref}`), ...(verdict.fallThrough ? [packet("option fall-through")] : [])];
}

/** What has not happened yet does not happen: refs that git would store now are refused with the first that was. */
function allOrNothing(verdicts: RefVerdict[]): RefVerdict[] {
  const refused = verdicts.find((verdict) => !verdict.ok);
  if (!refused) return verdicts;
  return verdicts.map((verdict) =>
    verdict.ok && verdict.fallThrough
      ? { ref: verdict.ref, ok: false, reason: `atomic push: ${refused.ref} is refused` }
      : verdict,
  );
}

/** pre-receive: `OLD NEW REF` lines up to the end. */
async function readUpdateLines(call: HookCall): Promise<RefUpdate[]> {
  const parts: Buffer[] = [];
  for (let part = await call.input.next(); part; part = await call.input.next()) parts.push(part);
  const lines = Buffer.concat(parts).toString("utf8").split("\n");
  return lines.filter((line) => line !== "").map(parseUpdate);
}

/** proc-receive: answers the version and reads what follows. The options are those that the guard has read. */
async function readCommands(call: HookCall): Promise<RefUpdate[]> {
  const [version] = await readSection(call);
  const [number, features = ""] = (version ?? "").split("\0");
  if (number !== "version=1") throw new ProtocolError(`git speaks ${JSON.stringify(number)} to proc-receive`);
  const offered = features.split(" ");
  const taken = ["push-options", "atomic"].filter((feature) => offered.includes(feature));
  call.print(Buffer.concat([packet(`version=1\0${taken.join(" ")}`), flushPacket]));
  const updates = (await readSection(call)).map(parseUpdate);
  if (taken.includes("push-options")) await readSection(call);
  return updates;
}

async function readSection({ input }: HookCall): Promise<string[]> {
  const lines: string[] = [];
  for (;;) {
    const next = await readPacket(input);
    if (next === null) throw new ProtocolError("git left in the middle of a hook");
    if (next === "flush") return lines;
    lines.push(packetText(next));
  }
}

function parseUpdate(line: string): RefUpdate {
  const match = /^([0-9a-f]{40,64}) ([0-9a-f]{40,64}) (.+)$/s.exec(line);
  if (!match) throw new ProtocolError(`${JSON.stringify(line.slice(0, 60))} is no line of a hook`);
  return { oldId: match[1]!, newId: match[2]!, ref: match[3]! };
}

/** git's word is what will happen; it can only be part of what the guard has read and checked. */
function assertSameUpdates(updates: RefUpdate[], checked: RefUpdate[]): void {
  const known = new Map(checked.map((update) => [update.ref, update]));
  for (const { ref, newId } of updates) {
    if (known.get(ref)?.newId !== newId) throw new Error(`git is about to move ${ref} otherwise than was asked`);
  }
}

function asRefusal(error: unknown, { push }: OngoingPush, log: Log): UserError {
  if (error instanceof UserError) return error;
  log.error({ err: error, push: push.id, app: push.appName }, "push failed");
  return new UserError("unavailable", "zyndra failed here, nothing was deployed", `push again; its log has ${push.id}`);
}

function stoppingError(): UserError {
  return new UserError("unavailable", "zyndra is restarting", "push again in a moment");
}

async function within(limitMs: number, work: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new UserError("unavailable", `the push could not be checked within ${limitMs / 1000} s`, "push again"));
  }, limitMs);
  try {
    await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
