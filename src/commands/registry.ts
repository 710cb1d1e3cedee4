import { listAllAddons, listAllVolumes, showAddon, showVolume } from "./addon-info.ts";
import { attachAddon, createDatabase, destroyAddon, detachAddon } from "./addons.ts";
import { createApp, destroyApp, listAllApps, showApp } from "./apps.ts";
import type { Command } from "./command.ts";
import { setConfig, unsetConfig } from "./config.ts";
import { editConfig, importConfig } from "./config-files.ts";
import { exportConfig, getConfig, listConfig } from "./config-values.ts";
import { showDeploy } from "./deploy-info.ts";
import { cancel, deploy, listAllDeploys, retry, showDeployLogs } from "./deploys.ts";
import { examinePlatform } from "./doctor.ts";
import { showLogs } from "./logs.ts";
import { listProcesses, scale } from "./ps.ts";
import { diffReleases } from "./release-diff.ts";
import { showRelease } from "./release-info.ts";
import { listAllReleases, rollback } from "./releases.ts";
import { createToken, listMyTokens, revoke } from "./tokens.ts";
import { attachVolume, createVolume, destroyVolume, detachVolume } from "./volumes.ts";

/** All that can be asked for, in the order in which help shows it. */
export const commands: Command[] = [
  listAllApps,
  createApp,
  showApp,
  destroyApp,
  deploy,
  listAllDeploys,
  showDeploy,
  showDeployLogs,
  cancel,
  retry,
  listAllReleases,
  showRelease,
  diffReleases,
  rollback,
  listConfig,
  setConfig,
  unsetConfig,
  getConfig,
  exportConfig,
  importConfig,
  editConfig,
  listAllAddons,
  createDatabase,
  showAddon,
  attachAddon,
  detachAddon,
  destroyAddon,
  listAllVolumes,
  createVolume,
  showVolume,
  attachVolume,
  detachVolume,
  destroyVolume,
  listProcesses,
  scale,
  showLogs,
  listMyTokens,
  createToken,
  revoke,
  examinePlatform,
];

const byWord = new Map(
  commands.flatMap((command) => [command.name, ...(command.aliases ?? [])].map((word) => [word, command])),
);

/** The command that a word or a friendlier form of it means. */
export function findCommand(word: string): Command | undefined {
  return byWord.get(word);
}
