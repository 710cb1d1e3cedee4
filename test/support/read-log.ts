/** What `zyndra logs APP --process NAME` shows: the text of each line, masked as everyone sees it. */
export async function readLog(
  { url, token }: { url: string; token: string },
  app: string,
  process: string,
): Promise<string[]> {
  const asked = new URLSearchParams({ lines: "100", process });
  const response = await fetch(`${url}/api/apps/${app}/logs?${asked}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return [...(await response.text()).matchAll(/^data: (.*)$/gm)].flatMap(
    ([, data]) => (JSON.parse(data!) as { text?: string }).text ?? [],
  );
}
