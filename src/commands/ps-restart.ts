import { z } from "zod";
import { requestRestart } from "../db/apps.ts";
import type { Db } from "../db/client.ts";
import { findRunningDeploy } from "../db/deploys.ts";
import type { AppRow } from "../db/schema.ts";
import { UserError } from "../errors.ts";
import { duration } from "../model/deploy.ts";
import { clip, nearest } from "../model/names.ts";
import type { Formation } from "../model/process-types.ts";
import { appChanged, followChange, takeApp } from "./app-change.ts";
import { defineCommand } from "./command.ts";
import { ExistingApp } from "./inputs.ts";
import { getLiveFormation } from "./live-formation.ts";

export const restart = defineCommand({
  name: "ps:restart",
  aliases: ["restart"],
  summary: "Start processes anew, without a failed request: all, those of a type, or one",
  examples: ["ps:restart shop", "ps:restart shop worker", "ps:restart shop web.1"],
  needs: "developer",
  changes: true,
  input: z.strictObject({ app: ExistingApp, processes: z.array(z.string()).default([]) }),
  words: { positional: ["app", "processes"], rest: true },
  auditInput: ({ processes }) => ({ processes: processes.length > 0 ? processes.map((name) => clip(name)) : "all" }),
  async run(context, input) {
    const app = await takeApp(context, input.app);
    await refuseDuringRollout(context.tx, app);
    const running = await getRunning(context.tx, app);
    const names = [...new Set(input.processes)];
    for (const name of names) refuseUnknown(app, running, name);
    const revision = await requestRestart(context.tx, app, names.length > 0 ? names : ["*"]);
    return { ...(await appChanged(context, app, revision)), names };
  },
  view: ({ appName, names }) => ({
    text: `${names.length > 0 ? `${names.join(", ")} of ${appName}` : appName} is being restarted: new processes take over when they are healthy`,
  }),
  follow: (result) => {
    const { appName, names } = result;
    const are = names.length > 1 ? "are" : "is";
    const what = names.length > 0 ? `${names.join(", ")} of ${appName}` : appName;
    return followChange(result, `${what} ${are} restarted`, "the processes of before go on");
  },
});

/** A roll-out starts every process anew, and the old ones end with it. @throws UserError conflict */
async function refuseDuringRollout(tx: Db, app: AppRow): Promise<void> {
  const deploy = await findRunningDeploy(tx, app.id);
  if (deploy?.status !== "rolling_out") return;
  const facts = [deploy.actorName, duration(deploy.ageMs)].join(", ");
  throw new UserError(
    "conflict",
    `deploy #${deploy.number} of ${app.name} (${facts}) is rolling out, which starts all its processes anew`,
    `zyndra deploys:logs ${app.name} ${deploy.number} follows it`,
  );
}

/** How many of each process type are to run. @throws UserError conflict where there is nothing to restart */
async function getRunning(tx: Db, app: AppRow): Promise<Formation> {
  const { formation } = await getLiveFormation(tx, app);
  if (Object.values(formation).every((count) => count === 0)) {
    const [type = "web"] = Object.keys(formation);
    throw new UserError(
      "conflict",
      `${app.name} is scaled to nothing: there is nothing to restart`,
      `zyndra ps:scale ${app.name} ${type}=1 starts it`,
    );
  }
  return formation;
}

/** @throws UserError bad_input with what there is, conflict for a type that was scaled to 0 */
function refuseUnknown(app: AppRow, formation: Formation, name: string): void {
  const processes = Object.entries(formation).flatMap(([type, count]) =>
    Array.from({ length: count }, (_, index) => `${type}.${index + 1}`),
  );
  if (processes.includes(name) || (formation[name] ?? 0) > 0) return;
  if (formation[name] === 0) {
    throw new UserError(
      "conflict",
      `no ${name} of ${app.name} runs`,
      `zyndra ps:scale ${app.name} ${name}=1 starts one`,
    );
  }
  const running = Object.keys(formation).filter((type) => formation[type]! > 0);
  const meant = nearest(name, [...running, ...processes]);
  const ask = meant === undefined ? "" : `; did you mean ${meant}?`;
  throw new UserError(
    "bad_input",
    `${app.name} has no process or process type "${clip(name)}"`,
    `what runs: ${processes.join(", ")}${ask}`,
  );
}
