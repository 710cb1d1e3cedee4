/** More rows than this are never shown at once. */
export const mostRows = 500;

/** `15 of 42; zyndra releases shop -n 42 shows more`, where a list has left something out. */
export function moreHint(shown: number, total: number | undefined, list: { command: string; app: string }) {
  if (total === undefined || total <= shown || shown >= mostRows) return {};
  return {
    hint: `${shown} of ${total}; zyndra ${list.command} ${list.app} -n ${Math.min(total, mostRows)} shows more`,
  };
}
