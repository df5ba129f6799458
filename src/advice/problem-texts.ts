import type { Problem } from "../model/problems.ts";
import type { FlawSentence } from "../trace/trace-problems.ts";
import { formatDuration } from "./format-duration.ts";
import type { Language } from "./structural-texts.ts";

/**
 * Problems as a report in this language tells them. What a parser or another program said of its input stays as it was said.
 * Problems that were told already stay as they are.
 */
export function problemsIn(language: Language, problems: readonly Problem[]): readonly Problem[] {
  return problems.map((problem) => ({ ...problem, message: messageOf(problem, language) }));
}

function messageOf({ message, service, shift_ms: shiftMs }: Problem, language: Language): string {
  if (service !== undefined && shiftMs !== undefined) {
    const shift = formatDuration(shiftMs * 1e6);
    return language === "ko"
      ? `${service}의 시계가 호출자의 시계와 최대 ${shift} 다름; 해당 스팬의 시각을 보정함`
      : `The clock of ${service} differs from its callers' by up to ${shift}; the times of its spans were corrected`;
  }
  if (language === "en") return message;
  const known = koreanOf.get(message);
  if (known !== undefined) return known;
  for (const [english, korean] of koreanPatterns) {
    const found = english.exec(message);
    if (found !== null) return korean(...found.slice(1));
  }
  return message;
}

const koreanFlaws: Readonly<Record<FlawSentence, string>> = {
  "A clock differs from its callers'; the times of its spans were corrected":
    "시계가 호출자의 시계와 다름; 해당 스팬의 시각을 보정함",
  "Spans were sent in several versions; the most complete one was used":
    "같은 스팬이 여러 버전으로 전송됨; 가장 완전한 것을 사용",
  "Different spans share one span id; all of them were used":
    "서로 다른 스팬이 같은 스팬 ID를 사용; 모두 분석에 포함",
  "Parent spans are missing; what is below them is shown as if it began there":
    "상위 스팬 누락; 그 아래 스팬은 거기서 시작된 것으로 표시",
  "Parent spans of the same process are missing: the process did not send all of its spans, or they were lost":
    "같은 프로세스의 상위 스팬 누락: 프로세스가 스팬을 일부만 보냈거나 유실됨",
  "Parent spans of another process are missing: they were lost, are late, or their process sends none":
    "다른 프로세스의 상위 스팬 누락: 유실되었거나 늦게 도착하거나 해당 프로세스가 스팬을 보내지 않음",
  "Spans name themselves as parent; they were taken as roots": "자기 자신을 상위로 지정한 스팬; 루트로 처리",
  "Spans are their own ancestors; the circle was opened at its earliest span":
    "상위 관계가 순환하는 스팬; 가장 이른 스팬에서 순환을 끊음",
  "The trace has several roots": "루트가 여러 개인 트레이스",
  "Spans end before they start; their duration was taken as zero":
    "시작보다 먼저 끝난 스팬; 소요 시간을 0으로 처리",
  "Spans have no end; they count in no latency": "종료 시각이 없는 스팬; 지연 통계에서 제외",
  "Spans have no start time; they stand where their parent begins, or at their end":
    "시작 시각이 없는 스팬; 상위의 시작 또는 자신의 종료 시각에 배치",
  "Spans start before 2000 or after 2100: their clock, or the unit of their times, is wrong":
    "2000년 이전이나 2100년 이후에 시작하는 스팬: 시계 또는 시각의 단위가 잘못됨",
  "Requests more than an hour apart share a trace id; each was taken as a trace of its own":
    "한 시간 넘게 떨어진 요청들이 같은 트레이스 ID를 사용; 각각 별도의 트레이스로 처리",
  "Spans come from a service without a name (set service.name)":
    "이름 없는 서비스의 스팬 (service.name 설정 필요)",
  "Span names are not valid UTF-8; bad bytes are shown as \ufffd":
    "올바른 UTF-8이 아닌 스팬 이름; 잘못된 바이트는 \ufffd로 표시",
  "Senders left out attributes, events or links of spans (their limits were reached)":
    "송신 측이 한도에 도달하여 스팬의 속성, 이벤트 또는 링크 일부를 생략",
  "Spans give an attribute twice; the last value counts": "같은 속성을 두 번 가진 스팬; 마지막 값을 사용",
  "The trace is too large: spans were counted and left out; failed ones, calls and the longest of the others were kept":
    "트레이스가 너무 커서 일부 스팬은 개수만 세고 제외; 실패한 스팬, 호출, 가장 긴 스팬은 유지",
  "Spans stand for several that were merged (span pruning): each counts as often as it says, with the mean duration":
    "여러 스팬을 합친 스팬(span pruning): 표시된 횟수만큼 평균 소요 시간으로 집계",
  "The trace was sampled; rates and counts are adjusted for it":
    "샘플링된 트레이스; 비율과 건수를 그에 맞게 보정",
};

/** Sentences of other places. */
const koreanOthers: Readonly<Record<string, string>> = {
  "log records carry no trace id: they belong to no request":
    "트레이스 ID가 없는 로그: 어느 요청에도 속하지 않음",
  "log lines were left out: too many": "로그가 너무 많아 일부 제외",
  "metric points were left out of comparisons: too many": "메트릭 포인트가 너무 많아 일부를 비교에서 제외",
  "metric points were left out: too many series": "메트릭 시계열이 너무 많아 일부 포인트 제외",
  "a span links to one that was not seen": "관측되지 않은 스팬을 가리키는 링크",
  "links to unseen spans were given up to bound memory":
    "메모리 한도 때문에 관측되지 않은 스팬을 가리키는 링크를 포기",
  "Every trace holds a failure: either all requests failed, or a sampler keeps only failed ones, and error rates say nothing":
    "모든 트레이스에 실패가 있음: 모든 요청이 실패했거나 샘플러가 실패한 것만 남김. 후자라면 오류율은 의미 없음",
  "There are more visits of services than are compared with the baseline: traces of frequent requests were left out, only from that comparison":
    "기준 구간과 비교할 수 있는 것보다 요청이 많음: 빈번한 요청의 트레이스 일부를 이 비교에서만 제외",
  "The trace starts in the future: a clock runs ahead; searches find it at the time of its arrival":
    "미래에 시작하는 트레이스: 시계가 앞서 있음; 검색에서는 도착 시각으로 찾을 수 있음",
  "a span's trace id is not 16 bytes, or all zero": "트레이스 ID가 16바이트가 아니거나 모두 0인 스팬",
  "a span's id is not 8 bytes, or all zero": "스팬 ID가 8바이트가 아니거나 모두 0인 스팬",
  "a span could not be read": "읽을 수 없는 스팬",
  "a metric data point could not be read": "읽을 수 없는 메트릭 데이터 포인트",
  "a log record could not be read": "읽을 수 없는 로그 레코드",
  "The baseline has no spans, so nothing is compared with it": "기준 구간에 스팬이 없어 비교하지 않음",
  "further records were skipped": "그 밖의 레코드 건너뜀",
};

const koreanOf: ReadonlyMap<string, string> = new Map(Object.entries({ ...koreanFlaws, ...koreanOthers }));

const unitNames: Readonly<Record<string, string>> = {
  seconds: "초",
  milliseconds: "밀리초",
  microseconds: "마이크로초",
};

/** Sentences with parts that vary. */
const koreanPatterns: readonly (readonly [english: RegExp, korean: (...parts: string[]) => string])[] = [
  [
    /^The baseline has no service in common with what is analysed, so nothing is compared with it\. Analysed: (.+)\. Baseline: (.+)$/,
    (analysed = "", baseline = "") =>
      `기준 구간과 분석 대상에 공통된 서비스가 없어 비교하지 않음. 분석 대상: ${analysed}. 기준 구간: ${baseline}`,
  ],
  [
    /^The baseline does not have the entry operations of most requests: only the others are compared with it\. Not in the baseline: (.+)$/,
    (names = "") => `대부분 요청의 진입 작업이 기준 구간에 없어 나머지만 비교함. 기준 구간에 없음: ${names}`,
  ],
  [
    /^Times of spans are in (\w+) instead of nanoseconds; they were read as such$/,
    (unit = "") => `스팬의 시각이 나노초가 아니라 ${unitNames[unit] ?? unit} 단위; 그에 맞게 읽음`,
  ],
  [
    /^The shortest sections of the critical path were left out; the (\d+) longest are listed$/,
    (count = "") => `임계 경로의 짧은 구간 생략; 가장 긴 ${count}개만 표시`,
  ],
  [
    /^There are more than (\d+) services: requests of the others are counted under (.+?)(?:; most of them are called like (.+))?$/,
    (count = "", name = "", like = "") =>
      `서비스가 ${count}개를 넘음: 나머지의 요청은 ${name}(으)로 집계${like === "" ? "" : `; 대부분 이런 이름: ${like}`}`,
  ],
  [
    /^attributes name texts by their number in a table that spans do not have \((.+)\): they were read as absent$/,
    (fields = "") => `스팬에 없는 문자열 표의 번호로 쓰인 속성 (${fields}): 없는 것으로 처리`,
  ],
  [
    /^files that are (.+) were passed over: (.+)$/,
    (what = "", names = "") => `건너뛴 파일 (${what}): ${names}`,
  ],
];
