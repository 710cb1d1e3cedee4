import type { HookCall } from "./hook-server.ts";
import type { Push } from "./push.ts";

/** A push that git is working on, and what its end will be told. */
export type OngoingPush = {
  push: Push;
  /** Set by the first hook: from then on git is never killed for its pusher's sake. */
  hasReachedHooks: boolean;
  /** Why every ref is refused, said in place of git's own words ("pre-receive hook declined"). */
  refusal?: string;
  /** What the sender did wrong, said in place of "unpacker error". */
  uploadFault?: string;
};

/** The pushes of this process, found again by the hooks that git starts for them. */
export type OngoingPushes = {
  add(ongoing: OngoingPush): void;
  setPid(pushId: string, pid: number): void;
  remove(pushId: string): void;
  /** By the push's id where the transport could hand it on, else by the process that started the hook. */
  find(call: HookCall): OngoingPush | undefined;
};

export function openOngoingPushes(): OngoingPushes {
  const byId = new Map<string, OngoingPush>();
  const idByPid = new Map<number, string>();
  return {
    add: (ongoing) => void byId.set(ongoing.push.id, ongoing),
    setPid: (pushId, pid) => void idByPid.set(pid, pushId),
    remove(pushId) {
      byId.delete(pushId);
      for (const [pid, id] of idByPid) if (id === pushId) idByPid.delete(pid);
    },
    find: (call) => byId.get(call.pushId ?? idByPid.get(call.parentPid) ?? ""),
  };
}
