import { join } from "node:path";

/**
 * What a build made, by digest. Local mode: `slug:APP_ID/DIGEST`, a folder under the data folder's `slugs/`;
 * on Kubernetes: `REGISTRY/NAME@sha256:…`.
 */
export type Image = string;

/** The image name of a slug. */
export function slugImage(appId: string, digest: string): Image {
  return `slug:${appId}/${digest}`;
}

/** The folder of a slug image, below the folder of all slugs. Throws on an image that is no slug. */
export function slugFolder(slugsDir: string, image: Image): string {
  const match = /^slug:([0-9a-f-]{36})\/([0-9a-f]{12,64})$/.exec(image);
  if (!match) throw new Error(`image ${image} is no slug`);
  return join(slugsDir, match[1]!, match[2]!);
}
