import { UserError } from "../../errors.ts";

/** How many may be at something at once, in all and for each key. */
export type Slots = {
  /** Takes a place and answers how to give it back. Throws UserError `rate_limited` where none is free. */
  take(key: string, keyName: string): () => void;
};

export function openSlots(what: string, limits: { total: number; perKey: number }): Slots {
  const taken = new Map<string, number>();
  let total = 0;
  return {
    take(key, keyName) {
      const ofKey = taken.get(key) ?? 0;
      if (ofKey >= limits.perKey) throw busy(`${keyName} has ${ofKey} ${what} running already`);
      if (total >= limits.total) throw busy(`the platform has ${total} ${what} running already`);
      taken.set(key, ofKey + 1);
      total += 1;
      let isBack = false;
      return () => {
        if (isBack) return;
        isBack = true;
        total -= 1;
        const left = taken.get(key)! - 1;
        if (left === 0) taken.delete(key);
        else taken.set(key, left);
      };
    },
  };
}

function busy(message: string): UserError {
  return new UserError("rate_limited", message, "try again in a moment");
}
