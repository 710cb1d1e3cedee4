import { anything, block, either, key, later, list, named, required } from "./block-shapes.ts";
import { choice, plainValue, sizeShape } from "./scalar-shapes.ts";
import type { Shape } from "./shape.ts";
import { anyName, app, word } from "./zyndra-yml-values.ts";

export function resources(): Shape<unknown> {
  const cpu = plainValue({ wants: "processors", example: "250m" });
  return block(
    {
      cpu: key(cpu, "Processors."),
      memory: key(sizeShape("256Mi"), "Memory."),
      memory_limit: key(sizeShape("512Mi"), "The most memory."),
    },
    { example: "{ cpu: 250m, memory: 256Mi }" },
  );
}

const addon = block(
  {
    type: required(choice(["postgres", "redis", "mysql", "external"]), "What it is."),
    version: key(plainValue({ wants: "a version", example: '"16"' }), "Its version."),
    size: key(word("a size", "small"), "Its size."),
    storage: key(sizeShape("10Gi"), "Its disk."),
    env: key(word("a config var's name", "DATABASE_URL"), "The config var that it sets."),
    extensions: key(list(word("an extension", "pgcrypto")), "What it is extended by."),
    backup: key(anything, "When it is saved."),
    preview: key(choice(["none", "empty", "seed", "share"]), "What a preview gets."),
  },
  { example: "{ type: postgres }" },
);

export const laterKeys = {
  addons: later(
    named(anyName, addon, { wants: "a block of add-ons", example: "{ db: { type: postgres } }" }),
    "Databases.",
    `remove it, then: zyndra addons:create postgres --app ${app}`,
  ),
  domains: later(
    list(either(word("a host name", "shop.example.com"), anythingBlock())),
    "Custom host names.",
    `remove it, then: zyndra domains:add ${app} shop.example.com`,
  ),
  tls: later(anything, "Certificates."),
  routing: later(anything, "How requests reach the app."),
  volumes: later(
    list(anythingBlock()),
    "Folders that outlive a deploy.",
    `remove it, then: zyndra volumes:create uploads --app ${app}`,
  ),
  logs: later(anything, "How long logs are kept.", `remove it: zyndra logs ${app} shows them`),
  metrics: later(anything, "Where numbers are read."),
  alerts: later(list(anything), "When somebody is told."),
  notify: later(anything, "Who is told."),
  previews: later(anything, "An app for each pull request.", "remove it, or keep it as x-previews"),
  environments: later(
    anything,
    "What is different elsewhere.",
    "remove it, or keep it as x-environments; one app for each environment",
  ),
};

function anythingBlock(): Shape<unknown> {
  return { ...anything, wants: "a block of keys" };
}
