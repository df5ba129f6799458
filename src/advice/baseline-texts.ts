import { formatPercent } from "./format-duration.ts";
import type { Language } from "./structural-texts.ts";

/** How a healthy time was chosen where nobody named one: what is before the window, or before a change that was found. */
export type BaselineChoice =
  | { readonly kind: "before_window" }
  /** of a server; `guardMinutes` = how much just before the window is left out */
  | { readonly kind: "hour_before"; readonly guardMinutes: number }
  | {
      readonly kind: "before_change";
      /** the plainest sign of the change */
      readonly service: string;
      readonly operation: string;
      readonly sign: "errors" | "latency";
      /** 0..1, of the requests since then that failed or were slow, and of those before */
      readonly share: number;
      readonly usualShare: number;
    };

/** Goes after the times of the baseline. */
export function baselineText(choice: BaselineChoice, language: Language): string {
  const ko = language === "ko";
  if (choice.kind === "before_window")
    return ko ? "같은 파일에서 구간 이전 전체" : "all that is before the window in the same files";
  if (choice.kind === "hour_before") return hourBefore(choice.guardMinutes, ko);
  const { service, operation, sign, share, usualShare } = choice;
  const [what, shares] = [`${service} ${operation}`, [usualShare, share].map(formatPercent)];
  if (ko)
    return `그 후 변화가 발견됨: ${what} ${sign === "errors" ? "실패" : "느린 요청"} ${shares.join(" → ")}`;
  return `until something changed: ${what} ${sign === "errors" ? "failed" : "was slow"} ${shares.join(" → ")}`;
}

function hourBefore(guardMinutes: number, ko: boolean): string {
  if (guardMinutes === 0) return ko ? "구간 직전 최대 1시간" : "up to an hour before the window";
  return ko
    ? `구간 직전 ${guardMinutes}분을 뺀 최대 1시간`
    : `up to an hour before the window, its last ${guardMinutes} minutes left out`;
}
