/** Formats a time for people: `2026-01-02 03:04:05Z`. @param ms since 1970 */
export function formatUtcMs(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").replace(/\.\d+/, "");
}
