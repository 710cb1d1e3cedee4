import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import { UserError } from "../../errors.ts";
import type { Log } from "../../log.ts";
import type { Actor } from "../../model/actor.ts";
import { type Answer, openAnswer } from "./answer.ts";
import { ByteReader } from "./byte-reader.ts";
import { assertFreeDisk } from "./free-disk.ts";
import type { GitLimits } from "./limits.ts";
import type { OngoingPush, OngoingPushes } from "./ongoing.ts";
import type { OpenedRepository } from "./push.ts";
import { encodePushRequest, type PushRequest, readPushRequest, sortUpdates } from "./push-request.ts";
import { refusalSentence } from "./remote-lines.ts";
import { encodeFinalWord, type FinalWord, type Report, relayAnswer, wantsReport } from "./report.ts";
import { BodyFault, openBody } from "./request-body.ts";
import type { Slots } from "./slots.ts";
import type { PackRun, PackTransport } from "./transport.ts";

export type PushParts = {
  transport: PackTransport;
  pushes: OngoingPushes;
  slots: Slots;
  limits: GitLimits;
  stopping: AbortSignal;
  log: Log;
};

export type GitExchange = {
  request: IncomingMessage;
  response: ServerResponse;
  actor: Actor;
  repository: OpenedRepository;
};

/**
 * One push: read what it asks for, refuse what can be refused now, let git take the pack, pass on what git and its hooks
 * say, and end with one word for each ref. Rejects only while nothing was answered yet.
 */
export async function servePush(
  { request, response, actor, repository }: GitExchange,
  parts: PushParts,
): Promise<void> {
  const { limits, log } = parts;
  const body = new ByteReader(openBody(request, limits.bodyIdleMs));
  const asked = await readPushRequest(body, { maxBytes: limits.maxCommandBytes });
  const answer = openAnswer(response, "application/x-git-receive-pack-result", limits.stallMs);
  if (!asked) return answer.end();

  const { accepted, refused } = sortUpdates(asked, limits);
  const refuse = async () => {
    await discardPack(body, limits.maxPackBytes);
    await answer.write(encodeFinalWord(asked, { report: withRefused({ unpack: "ok", refs: [] }, refused), lines: [] }));
    await answer.end();
  };
  if (accepted.length === 0) return refuse();

  let giveSlotBack: () => void;
  try {
    giveSlotBack = await admit(repository, parts);
  } catch (error) {
    if (!(error instanceof UserError) || !wantsReport(asked)) throw error;
    for (const { ref } of accepted) refused.set(ref, refusalSentence(error));
    return refuse();
  }

  const ongoing: OngoingPush = {
    push: {
      id: randomUUID(),
      actor,
      ...repository,
      updates: accepted,
      options: asked.options,
      atomic: asked.capabilities.includes("atomic"),
      gone: answer.gone,
    },
    hasReachedHooks: false,
  };
  parts.pushes.add(ongoing);
  try {
    await handToGit(ongoing, asked, refused, body, answer, parts);
  } finally {
    parts.pushes.remove(ongoing.push.id);
    giveSlotBack();
    log.info(
      { push: ongoing.push.id, app: repository.appName, actor: actor.name, refs: accepted.map(({ ref }) => ref) },
      answer.gone.aborted ? "push ended, its pusher was gone" : "push answered",
    );
  }
}

async function admit({ appId, appName, gitDir }: OpenedRepository, parts: PushParts): Promise<() => void> {
  if (parts.stopping.aborted) throw new UserError("unavailable", "zyndra is restarting", "push again in a moment");
  await assertFreeDisk(gitDir, parts.limits.minFreeBytes);
  return parts.slots.take(appId, appName);
}

async function handToGit(
  ongoing: OngoingPush,
  asked: PushRequest,
  refused: Map<string, string>,
  body: ByteReader,
  answer: Answer,
  parts: PushParts,
): Promise<void> {
  const { push } = ongoing;
  const run = parts.transport({
    gitDir: push.gitDir,
    pushId: push.id,
    commands: encodePushRequest(asked, push.updates),
    started: (pid) => parts.pushes.setPid(push.id, pid),
  });
  const exited = run.exited.catch((error: unknown) => {
    parts.log.error({ err: error, push: push.id }, "receive-pack did not start");
    return null;
  });
  const upload = sendPack(body, run.input, ongoing, parts.limits);
  const overseen = upload.then(() => clearUp(run, exited, ongoing, parts.limits));

  try {
    await relayAnswer(run.output, answer, asked, async (report) => {
      // A client that is still sending does not listen.
      await upload;
      return conclude(ongoing, asked, refused, report);
    });
    await answer.end();
  } catch (error) {
    run.kill();
    throw new Error("receive-pack gave an answer that could not be read", { cause: error });
  } finally {
    await Promise.all([exited, overseen]);
  }
}

/** Feeds git until the pack is whole, or the sender has failed; then git's input ends. Never rejects. */
async function sendPack(body: ByteReader, input: Writable, ongoing: OngoingPush, limits: GitLimits): Promise<void> {
  let takenBytes = 0;
  try {
    for (let chunk = await body.next(); chunk; chunk = await body.next()) {
      takenBytes += chunk.length;
      if (takenBytes > limits.maxPackBytes) {
        ongoing.uploadFault = `the push is larger than ${Math.floor(limits.maxPackBytes / 1024 ** 2)} MiB`;
        input.end();
        await discardPack(body, limits.maxPackBytes);
        return;
      }
      await writeTo(input, chunk);
    }
  } catch (error) {
    ongoing.uploadFault = error instanceof BodyFault ? error.message : "the upload could not be read";
  }
  input.end();
}

/** Waits while git is busy; a git that reads no more gets no more. */
async function writeTo(input: Writable, chunk: Buffer): Promise<void> {
  if (input.destroyed || input.writableEnded || input.write(chunk)) return;
  const settled = Promise.withResolvers<void>();
  const settle = () => settled.resolve();
  for (const event of ["drain", "close", "error"]) input.once(event, settle);
  await settled.promise;
  for (const event of ["drain", "close", "error"]) input.off(event, settle);
}

/** Reads on so that the answer is not lost in a reset, but not for ever. Never rejects. */
async function discardPack(body: ByteReader, maxBytes: number): Promise<void> {
  let seenBytes = 0;
  try {
    for (let chunk = await body.next(); chunk && seenBytes <= maxBytes; chunk = await body.next())
      seenBytes += chunk.length;
  } catch {
    // Whoever breaks off now hears no answer either.
  }
}

/** After a broken upload git ends by itself and clears its quarantine; only one that does not is killed. */
async function clearUp(
  run: PackRun,
  exited: Promise<number | null>,
  ongoing: OngoingPush,
  limits: GitLimits,
): Promise<void> {
  if (!ongoing.uploadFault) return;
  const timer = setTimeout(() => {
    if (!ongoing.hasReachedHooks) run.kill();
  }, limits.clearUpMs);
  await exited;
  clearTimeout(timer);
}

/** git's report, in words that say what to do, and with the refs it was never asked about. */
function conclude(
  ongoing: OngoingPush,
  asked: PushRequest,
  refused: Map<string, string>,
  report: Report | null,
): FinalWord {
  const reported = report ?? { unpack: ongoing.uploadFault ? "failed" : "ok", refs: [] };
  const known = new Map(reported.refs.map((ref) => [ref.ref, ref]));
  const refs = ongoing.push.updates.map(({ ref }) => {
    const gitSays = known.get(ref) ?? { ref, reason: noAnswer, options: [] };
    return gitSays.reason === null ? gitSays : { ...gitSays, reason: plainReason(gitSays.reason, ongoing) };
  });
  const isCutOff = asked.shallow.length > 0 && refs.some(({ reason }) => reason === shallowReason);
  const unpack = reported.unpack !== "ok" && ongoing.uploadFault ? ongoing.uploadFault : reported.unpack;
  return {
    report: withRefused({ unpack, refs }, refused),
    lines: isCutOff
      ? ["hint: this clone is shallow, and its history is needed: git fetch --unshallow, then push again"]
      : [],
  };
}

const shallowReason = "shallow update not allowed";
const noAnswer = "git ended without an answer";

function plainReason(gitReason: string, { refusal, uploadFault, hasReachedHooks }: OngoingPush): string {
  if (gitReason === "pre-receive hook declined") return refusal ?? "zyndra stopped before it took the push: push again";
  if (gitReason === "unpacker error") return uploadFault ?? gitReason;
  if (gitReason !== noAnswer && !gitReason.includes("proc-receive")) return gitReason;
  if (refusal) return refusal;
  return hasReachedHooks
    ? "interrupted: zyndra deploys shows what became of it"
    : (uploadFault ?? "git was ended: push again");
}

function withRefused(report: Report, refused: Map<string, string>): Report {
  const more = [...refused].map(([ref, reason]) => ({ ref, reason, options: [] }));
  return { ...report, refs: [...report.refs, ...more] };
}
