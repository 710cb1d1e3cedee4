import { execFile } from "node:child_process";
import type { Check, Finding } from "../../checks.ts";
import { findKeeper, readStatus } from "./instance.ts";
import { perlEnvironment } from "./perl.ts";
import { findRoutes } from "./routes.ts";
import { type Desired, findDesired, listAppIds, processFolder } from "./state.ts";

/** What the local runtime stands on, and whether what should run does. */
export function localRuntimeChecks(dataDir: string): Check[] {
  return [
    perlCheck,
    { name: "processes", look: async () => lookAtProcesses(dataDir, await allDesired(dataDir)) },
    { name: "routes", look: async () => lookAtRoutes(dataDir, await allDesired(dataDir)) },
  ];
}

/** The keeper and git's hook are programs in Perl. */
export const perlCheck: Check = {
  name: "perl",
  look: () =>
    new Promise((resolve) => {
      const asked = ["-MSocket", "-MTime::HiRes", "-MFcntl", "-e", 'printf "%vd", $^V'];
      execFile("perl", asked, { env: perlEnvironment, timeout: 10_000 }, (error, version) => {
        if (!error) return resolve({ verdict: "ok", text: `perl ${version} with Socket` });
        const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
        resolve({
          verdict: "fault",
          text: isMissing
            ? "there is no perl: apps cannot be kept running, and pushes not be answered"
            : "perl is here without the modules that come with it",
          hint: "on Debian: apt-get install perl",
        });
      });
    }),
};

async function allDesired(dataDir: string): Promise<Desired[]> {
  const found = await Promise.all((await listAppIds(dataDir)).map((appId) => findDesired(dataDir, appId)));
  return found.filter((desired) => desired !== undefined);
}

async function lookAtProcesses(dataDir: string, apps: Desired[]): Promise<Finding> {
  const folders = apps.flatMap(({ spec, processes }) =>
    processes.map(({ id }) => processFolder(dataDir, spec.appId, id)),
  );
  const states = await Promise.all(
    folders.map(async (folder) =>
      (await findKeeper(folder)) === undefined ? "lost" : (await readStatus(folder))?.state,
    ),
  );
  const lost = states.filter((state) => state === "lost").length;
  const crashed = states.filter((state) => state === "crashed").length;
  if (lost > 0) {
    const hint = "they are started again within seconds; if this stays, the log says why";
    return {
      verdict: "fault",
      text: `${lost} of ${states.length} ${lost === 1 ? "has no keeper, and does" : "have no keeper, and do"} not run`,
      hint,
    };
  }
  if (crashed > 0) {
    const hint = "zyndra apps shows of which app, zyndra logs APP why";
    return {
      verdict: "warning",
      text: `${crashed} of ${states.length} ${crashed === 1 ? "crashes, and is" : "crash, and are"} started again and again`,
      hint,
    };
  }
  return {
    verdict: "ok",
    text: states.length === 0 ? "none should run" : `all ${states.length} of ${count(apps.length)} run`,
  };
}

async function lookAtRoutes(dataDir: string, apps: Desired[]): Promise<Finding> {
  const routes = await findRoutes(dataDir);
  const missing = apps.filter(({ spec }) => routes?.apps[spec.appId] === undefined).length;
  if (missing === 0)
    return { verdict: "ok", text: `the router knows ${count(Object.keys(routes?.apps ?? {}).length)}` };
  return {
    verdict: "fault",
    text: `${missing} of ${count(apps.length)} ${missing === 1 ? "has" : "have"} no route`,
    hint: "each start writes them anew: start Zyndra again",
  };
}

function count(apps: number): string {
  return apps === 1 ? "1 app" : `${apps} apps`;
}
