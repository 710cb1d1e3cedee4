import { listAllAddons, listAllVolumes, showAddon, showVolume } from "./addon-info.ts";
import { attachAddon, createDatabase, destroyAddon, detachAddon } from "./addons.ts";
import { showApp } from "./app-info.ts";
import { createApp, destroyApp, listAllApps } from "./apps.ts";
import type { Command } from "./command.ts";
import { setConfig, unsetConfig } from "./config.ts";
import { explainConfig } from "./config-explain.ts";
import { editConfig, importConfig } from "./config-files.ts";
import { exportConfig, getConfig, listConfig } from "./config-values.ts";
import { listCron, listCronHistory, runCron } from "./cron.ts";
import { showDeploy } from "./deploy-info.ts";
import { cancel, deploy, listAllDeploys, retry, showDeployLogs } from "./deploys.ts";
import { examinePlatform } from "./doctor.ts";
import { addDomains, listAllDomains, removeDomains } from "./domains.ts";
import { lock, unlock } from "./lock.ts";
import { showLogs } from "./logs.ts";
import { maintenanceOff, maintenanceOn, showMaintenance } from "./maintenance.ts";
import { listProcesses, scale } from "./ps.ts";
import { restart } from "./ps-restart.ts";
import { start, stop } from "./ps-stop.ts";
import { diffReleases } from "./release-diff.ts";
import { showRelease } from "./release-info.ts";
import { listAllReleases, rollback } from "./releases.ts";
import { rename } from "./rename.ts";
import { runCommandOnce, runDetached, stopRun } from "./run.ts";
import { createToken, listMyTokens, revoke } from "./tokens.ts";
import { attachVolume, createVolume, destroyVolume, detachVolume } from "./volumes.ts";

/** All that can be asked for, in the order in which help shows it. */
export const commands: Command[] = [
  listAllApps,
  createApp,
  showApp,
  rename,
  destroyApp,
  maintenanceOn,
  maintenanceOff,
  showMaintenance,
  lock,
  unlock,
  listAllDomains,
  addDomains,
  removeDomains,
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
  explainConfig,
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
  restart,
  stop,
  start,
  listCron,
  runCron,
  listCronHistory,
  runCommandOnce,
  runDetached,
  stopRun,
  showLogs,
  listMyTokens,
  createToken,
  revoke,
  examinePlatform,
];
