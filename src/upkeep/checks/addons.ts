import type { Check } from "../../checks.ts";
import { countAddons, countOfKind } from "../../db/addons.ts";
import type { Deps } from "../../deps.ts";
import { UserError } from "../../errors.ts";

/** Whether add-ons are as they were asked for, and whether more can be made. */
export function addonChecks({ db, runtime }: Pick<Deps, "db" | "runtime">): Check[] {
  return [
    {
      name: "add-ons",
      async look() {
        const { available, failed, troubled } = await countAddons(db.db);
        const there = `${available} there`;
        if (failed + troubled === 0) return { verdict: "ok", text: there };
        const inTrouble = [
          ...(failed > 0 ? [`${failed} could not be made`] : []),
          ...(troubled > 0 ? [`${troubled} tried again`] : []),
        ];
        const hint = "zyndra addons --all names them, zyndra addons:info NAME says why";
        return { verdict: "warning", text: [there, ...inTrouble].join(", "), hint };
      },
    },
    {
      name: "new databases",
      async look() {
        try {
          await runtime.data.mayMake("postgres", await countOfKind(db.db, "postgres"));
          return { verdict: "ok", text: "can be made" };
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          return { verdict: "warning", text: error.message, ...(error.hint ? { hint: error.hint } : {}) };
        }
      },
    },
  ];
}
