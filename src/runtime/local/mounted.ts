import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { VolumeMount } from "../../model/addons.ts";
import type { ReleaseSpec } from "../runtime.ts";
import { findSlug, type Ground, type Slug } from "./ground.ts";
import { hasLinks, type Linked, linkVolumes, unlinkOthers } from "./mounts.ts";
import { type Desired, namesIn, readIfThere, runsFolder, withMounts } from "./state.ts";

/** What is mounted changes with a release, as do the config vars that tell of it. */
export function keepingVolumes(current: Desired | undefined, spec: ReleaseSpec): ReleaseSpec {
  return current?.spec.releaseId === spec.releaseId ? { ...spec, volumes: current.spec.volumes ?? [] } : spec;
}

/** Links a release's volumes into its files. Those of the version that still runs on the same files stay until it is gone. */
export async function mountRelease(
  ground: Ground,
  current: Desired | undefined,
  spec: ReleaseSpec,
  slug: Slug,
): Promise<Linked> {
  return mount(ground, spec, slug, current?.spec.image === spec.image ? (current.spec.volumes ?? []) : []);
}

/** What should run finds its volumes, and no others, where a roll-out that was cut short may have linked them otherwise. */
export async function mountDesired(ground: Ground, { spec }: Desired): Promise<void> {
  const slug = await findSlug(ground, spec);
  if (!slug) return;
  const linked = await mount(ground, spec, slug, []);
  if (!linked.ok) ground.log.error({ app: spec.appName, why: linked.cause.headline }, "a volume could not be mounted");
  else if (linked.covered.length > 0)
    ground.log.warn({ app: spec.appName, covered: linked.covered }, "a volume covers files");
}

/** Links the volumes of a command that runs once. They stay for as long as its folder is there, whatever is mounted meanwhile. */
export async function mountRun(ground: Ground, spec: ReleaseSpec, slug: Slug, folder: string): Promise<Linked> {
  const { appId, image, volumes = [] } = spec;
  if (volumes.length === 0) return { ok: true, covered: [] };
  return withMounts(ground.dataDir, appId, async () => {
    const uses: Uses = { image, volumes };
    await writeFile(join(folder, usesFile), JSON.stringify(uses), { mode: 0o600 });
    return linkVolumes({ dataDir: ground.dataDir, slugDir: slug.dir, volumes });
  });
}

/** In the folder of a run: the volumes that it uses, and in which files. */
const usesFile = "volumes";
type Uses = { image: string; volumes: readonly VolumeMount[] };

async function mount(ground: Ground, spec: ReleaseSpec, slug: Slug, kept: readonly VolumeMount[]): Promise<Linked> {
  const { dataDir } = ground;
  const { volumes = [] } = spec;
  if (volumes.length === 0 && !(await hasLinks(slug.dir))) return { ok: true, covered: [] };
  return withMounts(dataDir, spec.appId, async () => {
    const used = await usedByRuns(dataDir, spec);
    await unlinkOthers({ slugDir: slug.dir, volumes: [...volumes, ...kept, ...used] });
    return linkVolumes({ dataDir, slugDir: slug.dir, volumes });
  });
}

async function usedByRuns(dataDir: string, { appId, image }: ReleaseSpec): Promise<VolumeMount[]> {
  const runs = runsFolder(dataDir, appId);
  const texts = await Promise.all((await namesIn(runs)).map((id) => readIfThere(join(runs, id, usesFile))));
  return texts.flatMap((text) => {
    const uses = text ? (JSON.parse(text) as Uses) : undefined;
    return uses?.image === image ? uses.volumes : [];
  });
}
