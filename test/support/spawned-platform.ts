import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** A platform as a process of its own, so that it can be killed. */
export type SpawnedPlatform = {
  url: string;
  pid: number;
  /** All it has printed. */
  output(): string;
  /** Resolves with the exit code once it is gone. */
  ended: Promise<number | null>;
  /** No goodbye: as when the machine takes it. */
  kill9(): Promise<void>;
  terminate(): Promise<number | null>;
};

/** Starts `main.ts` and waits until it says that it is up. */
export async function spawnPlatform(env: Record<string, string>): Promise<SpawnedPlatform> {
  const child = startMain(env);
  let output = "";
  const ended = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)));
  const up = new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      output += chunk.toString();
      if (/Zyndra is up at/.test(output)) resolve();
    };
    child.stdout!.on("data", take);
    child.stderr!.on("data", take);
    void ended.then((code) => reject(new Error(`the platform ended (${code}) before it was up:\n${output}`)));
  });
  await up;
  return {
    url: /Zyndra is up at (\S+)/.exec(output)![1]!,
    pid: child.pid!,
    output: () => output,
    ended,
    async kill9() {
      child.kill("SIGKILL");
      await ended;
    },
    terminate() {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

/** Runs `main.ts` with words, to its end. */
export async function runMain(
  env: Record<string, string>,
  words: string[],
): Promise<{ code: number | null; output: string }> {
  const child = startMain(env, words);
  let output = "";
  child.stdout!.on("data", (chunk) => (output += chunk));
  child.stderr!.on("data", (chunk) => (output += chunk));
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, output };
}

function startMain(env: Record<string, string>, words: string[] = []): ChildProcess {
  const base = { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: "warn" };
  return spawn(process.execPath, [main, ...words], { env: { ...base, ...env }, stdio: ["ignore", "pipe", "pipe"] });
}

/** Makes ana the owner with the code that the platform printed; answers her token. */
export async function claimSpawned(platform: SpawnedPlatform): Promise<string> {
  const code = /zyndra setup \S+ (\S+)/.exec(platform.output())![1]!;
  const response = await fetch(`${platform.url}/api/setup`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ code, name: "ana" }),
  });
  const answer = (await response.json()) as { token?: string };
  if (!answer.token) throw new Error(`setup failed: ${JSON.stringify(answer)}`);
  return answer.token;
}

/** Asks for a command over HTTP; answers its data. */
export async function askOver(url: string, token: string, name: string, input: object): Promise<unknown> {
  const response = await fetch(`${url}/api/commands/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ input }),
  });
  const answer = (await response.json()) as { data?: unknown };
  if (!response.ok) throw new Error(`${name}: ${response.status} ${JSON.stringify(answer)}`);
  return answer.data;
}
