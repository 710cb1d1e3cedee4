import { getApp } from "../db/apps.ts";
import { getRelease } from "../db/releases.ts";
import { headline, shortId } from "../model/deploy.ts";
import { deploySteps, stepInWords } from "../model/deploy-steps.ts";
import { ago } from "./ago.ts";
import { defineCommand } from "./command.ts";
import { OneDeploy, pickDeploy } from "./deploys.ts";

export const showDeploy = defineCommand({
  name: "deploys:info",
  summary: "Show how a deploy went, step by step; without a number the newest",
  examples: ["deploys:info shop", "deploys:info shop 42"],
  needs: "viewer",
  changes: false,
  input: OneDeploy,
  words: { positional: ["app", "number"] },
  async run({ deps, actor }, input) {
    const { db } = deps.db;
    const app = await getApp(db, actor.orgId, input.app);
    const deploy = await pickDeploy(db, app, input.number);
    const release = deploy.releaseId === null ? null : await getRelease(db, deploy.releaseId);
    const now = new Date();
    const { number, status, kind, commit, title, cause } = deploy;
    const tookMs = (deploy.finishedAt ?? now).getTime() - deploy.createdAt.getTime();
    return {
      app: app.name,
      number,
      status,
      headline: headline({
        appName: app.name,
        number,
        status,
        version: release?.version,
        tookMs,
        url: deps.runtime.edge.url(app.name),
        ...(cause ? { cause } : {}),
      }),
      kind,
      commit,
      title,
      by: deploy.actorName,
      door: deploy.door,
      createdAt: deploy.createdAt,
      finishedAt: deploy.finishedAt,
      tookMs,
      version: release?.version ?? null,
      steps: deploySteps(deploy, now),
      cause,
      retryOf: deploy.retryOf,
      forceReason: deploy.forceReason,
    };
  },
  view: (deploy) => ({
    text: deploy.headline,
    fields: [
      { name: "What", value: deploy.commit ? `${shortId(deploy.commit)} ${deploy.title}` : deploy.title },
      { name: "By", value: `${deploy.by} (${deploy.door}), ${ago(deploy.createdAt)}` },
      ...(deploy.version === null ? [] : [{ name: "Version", value: `v${deploy.version}` }]),
      ...(deploy.retryOf === null ? [] : [{ name: "Retry of", value: `#${deploy.retryOf}` }]),
      ...(deploy.forceReason === null ? [] : [{ name: "Forced", value: deploy.forceReason }]),
      ...deploy.steps.map((step) => ({ name: stepNames[step.name], value: stepInWords(step) })),
      ...(deploy.cause?.detail === undefined ? [] : [{ name: "Why", value: deploy.cause.detail }]),
      ...(deploy.cause?.hint === undefined ? [] : [{ name: "To do", value: deploy.cause.hint }]),
    ],
    hint: `zyndra deploys:logs ${deploy.app} ${deploy.number} shows its log`,
  }),
});

const stepNames = { wait: "Wait", build: "Build", release: "Release", "roll-out": "Roll-out" };
