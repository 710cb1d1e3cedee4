import type { GoPlan, LanguageDetected, SourceTree } from "./detection.ts";

/** Finds out which programs a Go module holds: one at its root, or those below cmd/. Undefined: there is no go.mod. */
export function detectGo(tree: SourceTree): LanguageDetected<GoPlan> | undefined {
  const goMod = tree.texts.get("go.mod");
  if (goMod === undefined) return undefined;
  const module = /^\s*module\s+"?([^\s"]+)"?/m.exec(goMod)?.[1];
  if (!module) {
    return {
      ok: false,
      cause: {
        headline: "go.mod names no module",
        detail: "go.mod: no line begins with `module`",
        hint: "go mod init NAME",
      },
    };
  }
  if (hasMain(tree, /^[^/]+\.go$/)) return detected(".", [binaryOfModule(module)]);
  const commands = [...tree.paths]
    .map((path) => /^cmd\/([^/]+)\/$/.exec(path)?.[1])
    .filter((name) => name !== undefined)
    .filter((name) => hasMain(tree, new RegExp(`^cmd/${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}/[^/]+\\.go$`)))
    .sort();
  return detected("./cmd/...", commands, module);
}

function detected(packages: string, binaries: string[], module = ""): LanguageDetected<GoPlan> {
  const web = webOf(binaries, module);
  return {
    ok: true,
    plan: { packages, binaries },
    webChoices: web === undefined ? [] : [{ kind: "command", command: `bin/${web}`, needsFile: `bin/${web}` }],
    warnings: [],
    noWeb: {
      detail:
        binaries.length === 0
          ? "go.mod is there, but no package main at the root or below cmd/"
          : `the module holds ${binaries.length} programs (${binaries.join(", ")}), and none is named web or server`,
      hint: `add a file named Procfile with a line such as: web: bin/${binaries[0] ?? "NAME"}`,
    },
  };
}

function webOf(binaries: string[], module: string): string | undefined {
  if (binaries.length === 1) return binaries[0];
  return ["web", "server", binaryOfModule(module)].find((name) => binaries.includes(name));
}

/** `go build` names a program after the last part of its path, a major version left out: example.com/shop/v2 → shop. */
function binaryOfModule(module: string): string {
  const parts = module.split("/").filter((part) => part !== "");
  if (parts.length > 1 && /^v\d+$/.test(parts.at(-1)!)) parts.pop();
  return (parts.at(-1) ?? "web").replace(/[^\w.-]/g, "-");
}

function hasMain(tree: SourceTree, path: RegExp): boolean {
  return [...tree.texts].some(
    ([file, text]) => path.test(file) && !file.endsWith("_test.go") && /^\s*package\s+main\b/m.test(text),
  );
}
