import type { JsonSchema } from "./shape.ts";
import { zyndraYml } from "./zyndra-yml.ts";

/** What editors need to help with a zyndra.yml (https://json-schema.org, draft 7: the one that they all know). */
export function zyndraYmlSchema(): JsonSchema {
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "zyndra.yml",
    description: "What an app says of how Zyndra builds and runs it. `version: 1` alone is a working file.",
    ...zyndraYml.schema,
  };
}

/** As it is published: docs/zyndra.schema.json, `zyndra validate --schema`, GET /schema/zyndra.json. */
export function zyndraYmlSchemaText(): string {
  return `${JSON.stringify(zyndraYmlSchema(), null, 2)}\n`;
}
