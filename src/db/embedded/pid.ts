/** Whether a process has this number; another user's is alive, too. */
export function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** No process has this number. */
export const impossiblePid = 2_147_483_646;
