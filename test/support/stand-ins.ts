import type { Builder, BuildOutcome, BuildRequest } from "../../src/builder/builder.ts";
import type { UserError } from "../../src/errors.ts";
import type { AddonAccess } from "../../src/model/addons.ts";
import type { Data, ReleaseSpec, RolloutCall, RolloutOutcome, Runtime } from "../../src/runtime/runtime.ts";
import { StaleFence } from "../../src/runtime/runtime.ts";

/** A builder that behaves, without building: each build is noted, and held where the test says so. */
export type StandInBuilder = Builder & {
  builds: BuildRequest[];
  /** What the next builds answer; succeed by default. */
  answer(outcome: (request: BuildRequest) => BuildOutcome): void;
  /** Holds builds until the returned function is called. */
  hold(): () => void;
  /** Everything opens, and builds succeed again. */
  reset(): void;
};

export function standInBuilder(): StandInBuilder {
  const builds: BuildRequest[] = [];
  let gate: Promise<void> | undefined;
  let open = () => {};
  let outcomeOf: (request: BuildRequest) => BuildOutcome = succeeded;
  return {
    kind: "local",
    tools: "none",
    checks: [],
    builds,
    answer: (next) => {
      outcomeOf = next;
    },
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      open = () => {
        gate = undefined;
        resolve();
      };
      return open;
    },
    reset() {
      open();
      outcomeOf = succeeded;
    },
    async build(request, write, signal) {
      builds.push(request);
      write({ kind: "output", text: `building ${request.commit}` });
      await untilOpen(gate, signal);
      return outcomeOf(request);
    },
    hasImage: async () => true,
    removeImages: async () => {},
    removeApp: async () => {},
  };
}

/** What a build of any commit answers that succeeds. */
export function succeeded(request: BuildRequest): BuildOutcome & { ok: true } {
  return {
    ok: true,
    image: `slug:${request.appId}/${request.commit}`,
    processTypes: { web: { command: "serve" }, worker: { command: "work" } },
    sizeBytes: 1,
    summary: "1 B",
  };
}

/** Add-ons that are noted and not made. */
export type StandInData = Data & {
  /** What there would be, by id. */
  made: Map<string, AddonAccess>;
  /** What `ensure` and `destroy` throw, until it is undefined again. */
  fails(fault: (() => Error) | undefined): void;
  /** What `mayMake` throws. */
  refuses(fault: UserError | undefined): void;
  /** Holds `ensure` and `destroy` until the returned function is called. */
  hold(): () => void;
  reset(): void;
};

export function standInData(): StandInData {
  const made = new Map<string, AddonAccess>();
  let fault: (() => Error) | undefined;
  let refusal: UserError | undefined;
  let gate: Promise<void> | undefined;
  let open = () => {};
  const pass = async (signal: AbortSignal) => {
    await untilOpen(gate, signal);
    signal.throwIfAborted();
    if (fault) throw fault();
  };
  return {
    made,
    fails: (next) => {
      fault = next;
    },
    refuses: (next) => {
      refusal = next;
    },
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      open = () => {
        gate = undefined;
        resolve();
      };
      return open;
    },
    reset() {
      open();
      fault = undefined;
      refusal = undefined;
    },
    mayMake: async () => {
      if (refusal) throw refusal;
    },
    newAccess: async ({ id, kind }) =>
      kind === "volume"
        ? { folder: `/volumes/${id}` }
        : { host: "db.test", port: 5432, user: id, password: `password-of-${id}`, database: id },
    reach: (_, access) => access,
    async ensure({ id }, access, signal) {
      await pass(signal);
      made.set(id, access);
    },
    async destroy({ id }, signal) {
      await pass(signal);
      made.delete(id);
    },
    inspect: async ({ id }) => (made.has(id) ? { sizeBytes: 8 * 1024 * 1024 } : {}),
  };
}

/** A runtime that behaves, without running anything: what is applied, and what would serve. */
export type StandInRuntime = Runtime & {
  data: StandInData;
  applied: { spec: ReleaseSpec; fence: number }[];
  /** The release that serves each app. */
  serving: Map<string, ReleaseSpec>;
  ran: { command: string; version: number; name: string | undefined }[];
  /** Lines of Zyndra's own in the apps' logs: `cron.report exit 1 after 3.0 s`. */
  notes: { appId: string; line: string }[];
  answer(outcome: (spec: ReleaseSpec) => RolloutOutcome): void;
  exitCode(code: number): void;
  /** What commands do from now on; by default they end at once, with that exit code. */
  whenRun(does: (command: string, signal: AbortSignal) => Promise<number>): void;
  /** Holds roll-outs before the switch until the returned function is called. */
  hold(): () => void;
  /** Holds them after the switch. */
  holdAfterSwitch(): () => void;
  /** Everything opens, and roll-outs succeed again. */
  reset(): void;
};

export function standInRuntime(): StandInRuntime {
  const applied: { spec: ReleaseSpec; fence: number }[] = [];
  const serving = new Map<string, ReleaseSpec>();
  const fences = new Map<string, number>();
  const ran: StandInRuntime["ran"] = [];
  const notes: StandInRuntime["notes"] = [];
  let before: Promise<void> | undefined;
  let after: Promise<void> | undefined;
  let code = 0;
  let outcomeOf = (_: ReleaseSpec): RolloutOutcome => ({ ok: true });
  const endAtOnce = async (_: string, __: AbortSignal) => code;
  let commandDoes = endAtOnce;

  const apply = async (spec: ReleaseSpec, fence: number, call: RolloutCall): Promise<RolloutOutcome> => {
    if (fence < (fences.get(spec.appId) ?? 0)) throw new StaleFence(`fence ${fence} is old`);
    fences.set(spec.appId, fence);
    applied.push({ spec, fence });
    call.signal.throwIfAborted();
    await untilOpen(before, call.signal);
    const outcome = outcomeOf(spec);
    if (!outcome.ok) return outcome;
    if (!(await call.maySwitch())) return { ok: false, declined: true };
    serving.set(spec.appId, spec);
    await after;
    return { ok: true };
  };
  const data = standInData();
  const opens: (() => void)[] = [];
  const holder = (set: (gate: Promise<void> | undefined) => void) => () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    set(promise);
    const open = () => {
      set(undefined);
      resolve();
    };
    opens.push(open);
    return open;
  };
  return {
    kind: "local",
    applied,
    serving,
    ran,
    notes,
    answer: (next) => {
      outcomeOf = next;
    },
    exitCode: (next) => {
      code = next;
    },
    whenRun: (does) => {
      commandDoes = does;
    },
    hold: holder((gate) => {
      before = gate;
    }),
    holdAfterSwitch: holder((gate) => {
      after = gate;
    }),
    reset() {
      for (const open of opens.splice(0)) open();
      outcomeOf = () => ({ ok: true });
      code = 0;
      commandDoes = endAtOnce;
      data.reset();
    },
    rollout: {
      apply,
      destroy: async (appId) => void serving.delete(appId),
    },
    processes: {
      list: async () => [],
      async *logs() {},
      run: (spec, command, _write, signal, options) => {
        ran.push({ command, version: spec.version, name: options?.name });
        return commandDoes(command, signal);
      },
      attach: (spec, command, _end, signal, options) => {
        ran.push({ command, version: spec.version, name: options?.name });
        return commandDoes(command, signal);
      },
      note: async (appId, process, text) => void notes.push({ appId, line: `${process} ${text}` }),
    },
    edge: { url: (name) => `http://${name}.test`, baseDomain: "test" },
    data,
    checks: [],
    close: async () => {},
  };
}

function untilOpen(gate: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
  if (!gate) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const leave = () => reject(signal.reason);
    if (signal.aborted) return leave();
    signal.addEventListener("abort", leave, { once: true });
    void gate.then(() => {
      signal.removeEventListener("abort", leave);
      resolve();
    });
  });
}
