/** What this process has worked since then, milliseconds: other processes may have had the processor meanwhile. */
export function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
