import { formatCount } from "./format-duration.ts";
import type { Language } from "./structural-texts.ts";

/** `critical` breaks traces or names, `warning` makes answers wrong or vague, `info` costs something. */
export type Severity = "critical" | "warning" | "info";

type Unit = "spans" | "boundaries" | "children" | "requests" | "calls" | "failures" | "traces" | "described";

type Text = readonly [en: string, ko: string];

interface FindingKind {
  readonly severity: Severity;
  /** what `of` counts */
  readonly unit: Unit;
  readonly what: Text;
  readonly fix: Text;
}

const units: Readonly<Record<Unit, Text>> = {
  spans: ["spans", "스팬"],
  children: ["spans with a parent", "상위가 있는 스팬"],
  boundaries: ["spans between services", "서비스 경계의 스팬"],
  requests: ["requests from other services", "다른 서비스의 요청"],
  calls: ["calls", "호출"],
  failures: ["failed spans", "실패한 스팬"],
  traces: ["traces", "트레이스"],
  described: ["spans with attributes that were renamed", "이름이 바뀐 속성이 있는 스팬"],
};

const kinds = {
  missing_service_name: {
    severity: "critical",
    unit: "spans",
    what: ["no service.name", "service.name 없음"],
    fix: [
      "Set OTEL_SERVICE_NAME (resource attribute service.name) in every process; without it, different programs count as one service.",
      "모든 프로세스에 OTEL_SERVICE_NAME(리소스 속성 service.name)을 설정. 없으면 서로 다른 프로그램이 하나의 서비스로 집계됨.",
    ],
  },
  missing_version: {
    severity: "info",
    unit: "spans",
    what: ["no service.version", "service.version 없음"],
    fix: [
      "Add service.version to OTEL_RESOURCE_ATTRIBUTES at build or deployment, so that a bad release can be told from a bad day.",
      "빌드나 배포 시 OTEL_RESOURCE_ATTRIBUTES에 service.version을 추가. 그래야 잘못된 배포를 구분할 수 있음.",
    ],
  },
  missing_instance: {
    severity: "info",
    unit: "spans",
    what: ["no service.instance.id, pod or process", "service.instance.id, 파드, 프로세스 정보 없음"],
    fix: [
      "Turn on the resource detectors of the SDK (host, process, container, Kubernetes) or set service.instance.id, so that one bad replica can be found.",
      "SDK의 리소스 감지기(호스트, 프로세스, 컨테이너, 쿠버네티스)를 켜거나 service.instance.id를 설정. 그래야 문제 있는 복제본 하나를 찾을 수 있음.",
    ],
  },
  missing_host: {
    severity: "info",
    unit: "spans",
    what: ["no host, node or container", "호스트, 노드, 컨테이너 정보 없음"],
    fix: [
      "Turn on the host or Kubernetes resource detector (or the collector's resourcedetection processor), so that clocks and machines can be told apart.",
      "호스트 또는 쿠버네티스 리소스 감지기(또는 컬렉터의 resourcedetection 프로세서)를 사용. 그래야 시계와 머신을 구분할 수 있음.",
    ],
  },
  lost_local_parent: {
    severity: "critical",
    unit: "children",
    what: [
      "the parent span is of the same process and was not sent",
      "같은 프로세스의 상위 스팬이 전송되지 않음",
    ],
    fix: [
      "Let the process send everything: shut the SDK down on exit (flush), end every span, enlarge the export queue (OTEL_BSP_MAX_QUEUE_SIZE), and drop no single spans in the collector.",
      "프로세스가 모든 스팬을 보내도록 설정: 종료 시 SDK를 정상 종료(flush)하고, 모든 스팬을 끝내고, 전송 대기열(OTEL_BSP_MAX_QUEUE_SIZE)을 늘리고, 컬렉터에서 개별 스팬을 버리지 않음.",
    ],
  },
  lost_remote_parent: {
    severity: "warning",
    unit: "children",
    what: [
      "the parent span is of another process and was not sent",
      "다른 프로세스의 상위 스팬이 전송되지 않음",
    ],
    fix: [
      "Let the caller (gateway, proxy, browser) send its spans to the same place, sample by the parent's decision (parentbased), or accept no trace context from outside.",
      "호출 측(게이트웨이, 프록시, 브라우저)의 스팬도 같은 곳으로 보내고, 상위 결정에 따라 샘플링(parentbased)하거나, 외부의 트레이스 컨텍스트를 받지 않음.",
    ],
  },
  lost_parent: {
    severity: "warning",
    unit: "children",
    what: ["the parent span was not sent", "상위 스팬이 전송되지 않음"],
    fix: [
      "Look at the sender of the parent: whether it exports at all, flushes on exit, samples by itself, or drops spans when its queue is full.",
      "상위 스팬의 송신 측 확인: 전송 여부, 종료 시 flush 여부, 개별 샘플링 여부, 대기열 초과로 인한 누락 여부.",
    ],
  },
  parent_loop: {
    severity: "critical",
    unit: "children",
    what: ["spans are their own ancestors", "스팬이 자기 자신의 조상임"],
    fix: [
      "Fix the code that makes span ids: each span needs a new random id, and its parent's id must be that of another span.",
      "스팬 ID 생성 코드를 수정: 스팬마다 새 무작위 ID가 필요하고, 상위 ID는 다른 스팬의 것이어야 함.",
    ],
  },
  several_roots: {
    severity: "warning",
    unit: "traces",
    what: ["several spans without a parent in one trace", "하나의 트레이스에 상위 없는 스팬이 여러 개"],
    fix: [
      "Start a new trace for each request, and pass the context on to work in other threads and callbacks; a fixed or reused trace id mixes requests.",
      "요청마다 새 트레이스를 시작하고, 다른 스레드와 콜백의 작업에 컨텍스트를 전달. 고정되거나 재사용된 트레이스 ID는 요청을 뒤섞음.",
    ],
  },
  broken_context: {
    severity: "critical",
    unit: "calls",
    what: [
      "no call arrives in the trace of its caller: the service starts new traces although {details} calls it",
      "호출이 호출자의 트레이스로 이어지지 않음: {details}의 호출에도 서비스가 새 트레이스를 시작함",
    ],
    fix: [
      "Use the same propagator on both sides (OTEL_PROPAGATORS=tracecontext,baggage), and let proxies in between pass the traceparent header on.",
      "양쪽에서 같은 전파기(OTEL_PROPAGATORS=tracecontext,baggage)를 사용하고, 중간 프록시가 traceparent 헤더를 전달하도록 설정.",
    ],
  },
  missing_server_span: {
    severity: "warning",
    unit: "calls",
    what: [
      "successful calls from {details} without a span of this service",
      "{details}의 성공한 호출에 이 서비스의 스팬이 없음",
    ],
    fix: [
      "Instrument the server side of this service (every framework and port that it listens with), and sample by the caller's decision (parentbased).",
      "이 서비스의 서버 측(사용하는 모든 프레임워크와 포트)을 계측하고, 호출 측의 결정에 따라 샘플링(parentbased).",
    ],
  },
  missing_client_span: {
    severity: "warning",
    unit: "calls",
    what: ["calls to {details} without a client span", "{details} 호출에 클라이언트 스팬이 없음"],
    fix: [
      "Instrument the client library (HTTP, RPC, messaging) that makes these calls: without client spans, network time and retries are invisible.",
      "이 호출을 하는 클라이언트 라이브러리(HTTP, RPC, 메시징)를 계측. 클라이언트 스팬이 없으면 네트워크 시간과 재시도가 보이지 않음.",
    ],
  },
  wrong_entry_kind: {
    severity: "warning",
    unit: "requests",
    what: [
      "the span that receives the request is not SERVER or CONSUMER",
      "요청을 받는 스팬의 종류가 SERVER나 CONSUMER가 아님",
    ],
    fix: [
      "Give the span that handles a request kind SERVER (for messages CONSUMER); where there is none, instrument the server framework; if it is one process under two service names, give it one.",
      "요청을 처리하는 스팬의 종류를 SERVER(메시지는 CONSUMER)로 지정. 그런 스팬이 없으면 서버 프레임워크를 계측하고, 한 프로세스가 두 서비스 이름으로 보내면 하나로 통일.",
    ],
  },
  only_internal: {
    severity: "warning",
    unit: "spans",
    what: [
      "every span is INTERNAL, though the service is called or calls others",
      "서비스 간 호출이 있는데도 모든 스팬이 INTERNAL",
    ],
    fix: [
      "Set the kind where spans are made: SERVER and CONSUMER for what is received, CLIENT and PRODUCER for what is sent.",
      "스팬 생성 시 종류를 지정: 수신은 SERVER와 CONSUMER, 송신은 CLIENT와 PRODUCER.",
    ],
  },
  unspecified_kind: {
    severity: "warning",
    unit: "boundaries",
    what: ["no span kind", "스팬 종류 없음"],
    fix: [
      "Set the kind where spans are made, or keep it where they are converted: callers and callees are told apart by it.",
      "스팬 생성 시 종류를 지정하거나 변환 시 유지. 이것으로 호출 측과 피호출 측을 구분함.",
    ],
  },
  clock_skew: {
    severity: "warning",
    unit: "spans",
    what: ["the clock disagrees with the callers' ({details})", "시계가 호출 측과 다름({details})"],
    fix: [
      "Synchronise the clocks of these hosts (NTP or chrony); until then the times of their spans are corrected by estimate.",
      "해당 호스트의 시계를 동기화(NTP 또는 chrony). 그때까지 스팬 시각은 추정치로 보정됨.",
    ],
  },
  implausible_time: {
    severity: "warning",
    unit: "spans",
    what: ["times before 2000 or after 2100", "2000년 이전 또는 2100년 이후의 시각"],
    fix: [
      "Send times in nanoseconds since 1970: seconds, milliseconds or microseconds end up in 1970, and a wrong clock anywhere.",
      "시각은 1970년 이후의 나노초로 전송. 초, 밀리초, 마이크로초로 보내면 1970년으로 표시됨.",
    ],
  },
  missing_start: {
    severity: "warning",
    unit: "spans",
    what: ["no start time", "시작 시각 없음"],
    fix: [
      "Fix the exporter or converter that leaves the start time out; such spans can be placed by their parent only.",
      "시작 시각을 누락하는 익스포터나 변환기를 수정. 이런 스팬은 상위 스팬으로만 위치를 정할 수 있음.",
    ],
  },
  unfinished_span: {
    severity: "warning",
    unit: "spans",
    what: ["no end time", "종료 시각 없음"],
    fix: [
      "End every span on every way out of the code (finally, defer, using); spans without an end count in no latency.",
      "코드의 모든 종료 경로(finally, defer, using)에서 스팬을 끝냄. 종료 시각이 없는 스팬은 지연 시간에 집계되지 않음.",
    ],
  },
  negative_duration: {
    severity: "warning",
    unit: "spans",
    what: ["the end is before the start", "종료가 시작보다 앞섬"],
    fix: [
      "Measure durations with a monotonic clock and send start plus duration as the end; wall clocks may be set back.",
      "단조 시계로 소요 시간을 재고 시작 시각에 더해 종료 시각으로 전송. 벽시계는 뒤로 갈 수 있음.",
    ],
  },
  missing_status: {
    severity: "warning",
    unit: "failures",
    what: [
      "an error by its HTTP or gRPC code, error.type or error flag, but the span's status is unset",
      "HTTP나 gRPC 코드, error.type, error 표시로는 오류인데 스팬 상태가 미설정",
    ],
    fix: [
      "Set the span's status to ERROR (HTTP: for 5xx, for clients 4xx too); most backends count errors by the status alone.",
      "스팬 상태를 ERROR로 설정(HTTP는 5xx, 클라이언트는 4xx도). 대부분의 백엔드는 상태만으로 오류를 집계함.",
    ],
  },
  old_names: {
    severity: "info",
    unit: "described",
    what: ["attribute names of old conventions ({details})", "이전 규약의 속성 이름({details})"],
    fix: [
      "Update the instrumentation, or set OTEL_SEMCONV_STABILITY_OPT_IN=http,database where it offers that; dashboards for new names miss these spans. Those of messaging, RPC and peers may still change: they can wait.",
      "계측 라이브러리를 갱신하거나, 지원하면 OTEL_SEMCONV_STABILITY_OPT_IN=http,database를 설정. 새 이름 기준의 대시보드에는 이 스팬이 빠짐. 메시징, RPC, 피어의 이름은 아직 바뀔 수 있으므로 마지막에 갱신.",
    ],
  },
  opentracing_names: {
    severity: "info",
    unit: "spans",
    what: ["attribute names of OpenTracing ({details})", "OpenTracing의 속성 이름({details})"],
    fix: [
      "Use OpenTelemetry's: replace the instrumentation (calls of OpenTracing's API may stay, by its shim), or rename them in the collector (transform processor); most backends know the new names only.",
      "OpenTelemetry 이름 사용: OpenTracing 계측을 교체하거나(API는 OpenTracing shim으로 유지 가능) 컬렉터의 transform 프로세서에서 속성 이름을 변경. 대부분의 백엔드는 새 이름만 인식함.",
    ],
  },
  both_generations: {
    severity: "info",
    unit: "described",
    what: ["old and new attribute names at once", "이전 이름과 새 이름의 속성을 함께 전송"],
    fix: [
      "Once nothing reads the old names any more, take /dup out of OTEL_SEMCONV_STABILITY_OPT_IN: spans get smaller.",
      "이전 이름을 읽는 곳이 없어지면 OTEL_SEMCONV_STABILITY_OPT_IN에서 /dup을 제거. 스팬이 작아짐.",
    ],
  },
  unbounded_names: {
    severity: "warning",
    unit: "spans",
    what: ["span names with ids in them ({details})", "ID가 포함된 스팬 이름({details})"],
    fix: [
      "Name spans by the route, the statement's summary or the job, and put ids into attributes; every new name is a new time series.",
      "스팬 이름은 경로, 쿼리 요약, 작업명으로 하고 ID는 속성에 넣음. 새 이름마다 새 시계열이 생김.",
    ],
  },
  many_names: {
    severity: "warning",
    unit: "spans",
    what: ["a great many span names (about {details})", "스팬 이름이 지나치게 많음(약 {details}개)"],
    fix: [
      "Name spans by what they do, not by what they do it to; every new name is a new time series.",
      "스팬 이름은 대상이 아니라 하는 일로 정함. 새 이름마다 새 시계열이 생김.",
    ],
  },
  unbounded_attributes: {
    severity: "warning",
    unit: "spans",
    what: [
      "ids in attribute names, or in attributes that need few values ({details})",
      "속성 이름이나 값이 적어야 할 속성에 ID가 포함됨({details})",
    ],
    fix: [
      "Keep attribute names, routes and operations fixed and put the id into a value of its own; indexes grow with every new name.",
      "속성 이름, 경로, 작업명은 고정하고 ID는 별도 값에 넣음. 새 이름마다 인덱스가 커짐.",
    ],
  },
  dropped_data: {
    severity: "warning",
    unit: "spans",
    what: [
      "parts of spans were left out by the sender ({details})",
      "송신 측이 스팬의 일부를 누락함({details})",
    ],
    fix: [
      "Raise the limits of the SDK (OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, OTEL_SPAN_EVENT_COUNT_LIMIT, OTEL_SPAN_LINK_COUNT_LIMIT; default 128), or record less per span.",
      "SDK의 한도(OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, OTEL_SPAN_EVENT_COUNT_LIMIT, OTEL_SPAN_LINK_COUNT_LIMIT, 기본 128)를 높이거나 스팬당 기록을 줄임.",
    ],
  },
  repeated_span: {
    severity: "info",
    unit: "spans",
    what: ["the same span was sent more than once", "같은 스팬이 여러 번 전송됨"],
    fix: [
      "Look for two exporters, a collector that is fed twice, or retries after timeouts; repeats are counted once here but cost twice.",
      "익스포터 중복, 컬렉터 이중 입력, 타임아웃 후 재전송 여부 확인. 여기서는 한 번만 집계되나 비용은 두 배.",
    ],
  },
  conflicting_span: {
    severity: "warning",
    unit: "spans",
    what: ["one span was sent in several versions", "하나의 스팬이 여러 버전으로 전송됨"],
    fix: [
      "Send a span once, when it has ended, and let only one place of the pipeline change it; the most complete version is used.",
      "스팬은 끝난 뒤 한 번만 보내고 파이프라인의 한 곳에서만 변경. 가장 완전한 버전이 사용됨.",
    ],
  },
  shared_span_id: {
    severity: "critical",
    unit: "spans",
    what: ["different spans share one span id", "서로 다른 스팬이 같은 스팬 ID를 사용"],
    fix: [
      "Make span ids random in every process: seed the generator anew after a fork or a snapshot, never copy ids, and let Zipkin's clients give each receiver its own (supportsJoin=false).",
      "프로세스마다 무작위 스팬 ID를 생성: fork나 스냅샷 후 난수를 다시 초기화하고, ID를 복사하지 않으며, Zipkin 클라이언트는 수신 측마다 자체 ID를 사용(supportsJoin=false).",
    ],
  },
  huge_trace: {
    severity: "warning",
    unit: "traces",
    what: ["traces of more than 10,000 spans", "스팬이 10,000개를 넘는 트레이스"],
    fix: [
      "Cut long work into a trace for each unit, tied together by links, and make no span inside tight loops.",
      "긴 작업은 단위별 트레이스로 나누어 링크로 연결하고, 촘촘한 반복문 안에서는 스팬을 만들지 않음.",
    ],
  },
  exception_events: {
    severity: "info",
    unit: "spans",
    what: ["exceptions recorded as span events", "예외를 스팬 이벤트로 기록"],
    fix: [
      "Nothing is lost today, but OpenTelemetry moves exceptions to log records: send logs too, set error.type on the span, and OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN=logs/dup where it is known.",
      "현재 손실은 없음. OpenTelemetry는 예외를 로그로 옮기는 중이므로(지원하면 OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN=logs/dup) 로그도 함께 보내고 스팬에 error.type을 설정.",
    ],
  },
  ill_formed_text: {
    severity: "info",
    unit: "spans",
    what: ["the span name is not valid UTF-8", "스팬 이름이 올바른 UTF-8이 아님"],
    fix: [
      "Encode names as UTF-8 before they are set, and put no raw bytes into them.",
      "이름을 설정하기 전에 UTF-8로 인코딩하고, 원시 바이트를 넣지 않음.",
    ],
  },
  sampled: {
    severity: "info",
    unit: "traces",
    what: [
      "traces were sampled (one kept of up to {details})",
      "트레이스가 샘플링됨(최대 {details}개 중 하나 보존)",
    ],
    fix: [
      "Nothing to do: counts and rates are adjusted by the threshold in tracestate. Rare failures may still be missing; keep failed traces with a tail sampler.",
      "조치 불필요: 집계는 tracestate의 임계값으로 보정됨. 드문 실패는 빠질 수 있으므로 테일 샘플러로 실패한 트레이스를 보존.",
    ],
  },
  mixed_sampling: {
    severity: "warning",
    unit: "traces",
    what: [
      "spans of one trace were sampled by different thresholds",
      "하나의 트레이스 안에서 서로 다른 임계값으로 샘플링됨",
    ],
    fix: [
      "Decide once, at the root, and follow it everywhere else (parentbased samplers); services with their own ratio tear holes into traces.",
      "루트에서 한 번만 결정하고 나머지는 이를 따름(parentbased 샘플러). 서비스별 비율은 트레이스에 구멍을 냄.",
    ],
  },
  tail_sampled: {
    severity: "info",
    unit: "traces",
    what: [
      "a tail sampler chose these traces (policies: {details})",
      "테일 샘플러가 선택한 트레이스(정책: {details})",
    ],
    fix: [
      "Take rates of errors and times of all requests from metrics that are made before sampling: those of chosen traces say what the policies keep. A probabilistic policy keeps something to compare with.",
      "전체 오류율과 응답 시간은 샘플링 전에 만든 메트릭으로 확인: 선택된 트레이스의 값은 정책이 보존한 것만 나타냄. 비교 대상을 위해 확률 정책을 추가.",
    ],
  },
  only_failed_traces: {
    severity: "warning",
    unit: "traces",
    what: [
      "nearly every trace has failed: either everything fails, or only failures were kept",
      "거의 모든 트레이스가 실패: 전부 실패했거나 실패만 보존됨",
    ],
    fix: [
      "Keep a share of the traces that succeed too (a probabilistic policy beside the error policy of the tail sampler); without them there is no error rate and nothing to compare with.",
      "성공한 트레이스도 일부 보존(테일 샘플러의 오류 정책에 확률 정책 추가). 없으면 오류율을 알 수 없고 비교 대상도 없음.",
    ],
  },
  only_slow_traces: {
    severity: "warning",
    unit: "traces",
    what: [
      "no successful trace takes less than {details}, whatever its operation: faster ones were not kept",
      "작업과 무관하게 {details}보다 빠른 성공 트레이스가 없음: 빠른 트레이스가 보존되지 않음",
    ],
    fix: [
      "Keep a share of the fast traces too (a probabilistic policy beside the latency policy of the tail sampler); without them nobody knows what is usual.",
      "빠른 트레이스도 일부 보존(테일 샘플러의 지연 정책에 확률 정책 추가). 없으면 평소 수준을 알 수 없음.",
    ],
  },
} as const satisfies Readonly<Record<string, FindingKind>>;

/** What can be wrong with instrumentation. Public interface: users filter on it. */
export type FindingId = keyof typeof kinds;

export const findingIds = Object.keys(kinds) as readonly FindingId[];

export function severityOf(id: FindingId): Severity {
  return kinds[id].severity;
}

/** How a finding is told: what it is and how often, and what to do. `details` are names, hosts or patterns that belong to it. */
export function findingText(
  finding: {
    readonly id: FindingId;
    readonly count: number;
    readonly of: number;
    readonly details: readonly string[];
  },
  language: Language,
): { readonly statement: string; readonly fix: string } {
  const { id, count, of, details } = finding;
  const { unit, what, fix }: FindingKind = kinds[id];
  const index = language === "ko" ? 1 : 0;
  const sentence = what[index];
  const named = `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}`.replace("{details}", () =>
    details.join(", "),
  );
  const [part, whole] = [formatCount(count), formatCount(of)];
  const amount =
    index === 1 ? `${units[unit][1]} ${whole}개 중 ${part}개` : `${part} of ${whole} ${units[unit][0]}`;
  return { statement: `${named}: ${amount}`, fix: fix[index] };
}
