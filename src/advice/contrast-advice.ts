import type {
  Candidate,
  ContrastFact,
  EvidenceFact,
  MarkedValue,
  MetricRiseFact,
} from "../cascade/candidate.ts";
import { metricRuleOf } from "../model/metric-names.ts";
import { adviceRule } from "../model/scoring.ts";
import type { Advice } from "./advice.ts";
import { valueText } from "./contrast-texts.ts";
import { formatAmount, formatCount, formatPercent } from "./format-duration.ts";

type Words = Pick<Advice, "kind" | "service" | "sentence">;

/** What to do about the build, the process, the place or the users that alone are in trouble. */
export function adviceOnContrast({ service }: Candidate, fact: ContrastFact, ko: boolean): Advice {
  return { ...contrastWords(service, fact, ko), spans: [], traceIds: fact.traceIds };
}

function contrastWords(service: string, fact: ContrastFact, ko: boolean): Words {
  const values = fact.where.flatMap((each) => [each, ...each.alike]);
  const figures = figuresText(fact, ko);
  const version = fact.where.find(({ key }) => key === "service.version");
  if (version !== undefined) return versionWords(service, version, { figures, ko });
  const instance = values.find(({ key }) => key === "service.instance.id");
  if (instance !== undefined) return instanceWords(service, instance.value, { figures, ko });
  const place = fact.where.map((each) => valueText(each, ko)).join(ko ? ", " : " and ");
  if (values.some(({ key }) => placeKeys.has(key))) {
    const sentence = ko
      ? `${service}: 트래픽을 ${place}에서 옮기고 그곳을 확인 (${figures})`
      : `${service}: move its requests away from ${place}, and look there (${figures})`;
    return { kind: "place", service, sentence };
  }
  const sentence = ko
    ? `${service}: ${place} 요청이 무엇이 다른지 확인하고, 필요하면 격리 (${figures})`
    : `${service}: find out what requests with ${place} do differently, and keep them apart from the others meanwhile (${figures})`;
  return { kind: "some_requests", service, sentence };
}

const placeKeys: ReadonlySet<string> = new Set([
  "host.name",
  "k8s.node.name",
  "cloud.availability_zone",
  "cloud.region",
  "k8s.cluster.name",
]);

interface InWords {
  readonly figures: string;
  readonly ko: boolean;
}

function versionWords(
  service: string,
  { value, otherValue, isNew }: MarkedValue,
  { figures, ko }: InWords,
): Words {
  const other = otherValue ?? "";
  if (!isNew) {
    const sentence = ko
      ? `${service}: 버전 ${value}에서 ${other}(으)로 교체 (${figures})`
      : `${service}: replace version ${value} by ${other} (${figures})`;
    return { kind: "roll_back", service, sentence };
  }
  const sentence = ko
    ? `${service}: 버전 ${value}을(를) ${other}(으)로 롤백 (${figures})`
    : `${service}: roll back from version ${value} to ${other} (${figures})`;
  return { kind: "roll_back", service, sentence };
}

function instanceWords(service: string, instance: string, { figures, ko }: InWords): Words {
  const sentence = ko
    ? `${service}: 인스턴스 ${instance}을(를) 제외하거나 재시작 (${figures})`
    : `${service}: drain or restart instance ${instance} (${figures})`;
  return { kind: "instance", service, sentence };
}

/** "58 of 118 requests there in trouble, 6 of 240 others" */
function figuresText({ inside, others }: ContrastFact, ko: boolean): string {
  const [bad, of, otherBad, otherOf] = [inside.count, inside.of, others.count, others.of].map(formatCount);
  return ko
    ? `해당 요청 ${of}건 중 ${bad}건 이상, 그 외 ${otherOf}건 중 ${otherBad}건`
    : `${bad} of ${of} requests there are in trouble, ${otherBad} of ${otherOf} others`;
}

export function adviceOnGoneInstance(
  { service }: Candidate,
  { instance, before, after }: Extract<EvidenceFact, { kind: "gone_instance" }>,
  ko: boolean,
): Advice {
  const [was, is] = [before, after].map(({ count, of }) => formatPercent(of === 0 ? 0 : count / of));
  const figures = ko ? `요청 비중 ${was} → ${is}` : `it answered ${was} of the requests, now ${is}`;
  return { ...instanceWords(service, instance, { figures, ko }), spans: [], traceIds: [] };
}

/** What runs short, where it is near its limit, and what is known to mean waiting; null where the figure suggests nothing. */
export function adviceOnMetric({ service }: Candidate, fact: MetricRiseFact, ko: boolean): Advice | null {
  const { metric, resource, instance, isShare, before, after } = fact;
  const shortage = isShare ? resource : measureOf(metric);
  const words = shortage === null ? undefined : shortageWords[shortage];
  if (words === undefined || (isShare && after < adviceRule.nearLimitMin)) return null;
  const [from, to] = [before, after].map(isShare ? formatPercent : formatAmount);
  const whose = instance === "" ? metric : `${metric}, ${instance}`;
  const sentence = ko
    ? `${service}: ${words.ko} (${whose}: ${from} → ${to})`
    : `${service}: ${words.en} (${whose}: ${from} → ${to})`;
  return { kind: words.kind, service, sentence, spans: [], traceIds: [] };
}

/** A queue of messages is its consumers' affair, one inside a process that of its workers. */
function measureOf(metric: string): string | null {
  const measure = metricRuleOf(metric)?.measure ?? null;
  return measure === "queue_depth" && !messagingWords.test(metric) ? "work_queue" : measure;
}

const messagingWords = /lag|messag|consumer|kafka|rabbit|activemq|pulsar|nats|sqs|pubsub|servicebus|broker/i;

interface ShortageWords {
  readonly kind: string;
  readonly en: string;
  readonly ko: string;
}

/** By resource whose limit is near, or by measure without a limit. */
const shortageWords: Readonly<Record<string, ShortageWords>> = {
  cpu: {
    kind: "cpu_limit",
    en: "raise its CPU limit or add instances; the CPU is used up",
    ko: "CPU 한도 상향 또는 인스턴스 추가; CPU 소진",
  },
  event_loop: {
    kind: "cpu_limit",
    en: "move work off its event loop or add instances; the loop is busy all the time",
    ko: "이벤트 루프의 작업 분리 또는 인스턴스 추가; 루프 포화",
  },
  memory: {
    kind: "memory_limit",
    en: "look for what fills its memory, and raise the limit meanwhile",
    ko: "메모리를 채우는 원인을 찾고, 그동안 한도 상향",
  },
  garbage_collection: {
    kind: "memory_limit",
    en: "give it more heap or find what fills it; it collects garbage most of the time",
    ko: "힙을 늘리거나 채우는 원인 조사; 대부분의 시간을 가비지 컬렉션에 사용",
  },
  connections: {
    kind: "pool_size",
    en: "raise the size of its connection pool, or find what keeps connections so long; the pool is used up",
    ko: "연결 풀 크기를 늘리거나 연결을 오래 잡는 원인 조사; 풀 소진",
  },
  threads: {
    kind: "pool_size",
    en: "raise the size of its thread pool, or find what keeps threads so long; the pool is used up",
    ko: "스레드 풀 크기를 늘리거나 스레드를 오래 잡는 원인 조사; 풀 소진",
  },
  file_system: {
    kind: "disk_space",
    en: "free or add disk space",
    ko: "디스크 공간 확보",
  },
  waiting_requests: {
    kind: "pool_size",
    en: "raise the size of its pool, or find what keeps it in use so long; requests wait for a free place",
    ko: "풀 크기를 늘리거나 오래 점유하는 원인 조사; 요청이 빈자리를 대기",
  },
  work_queue: {
    kind: "pool_size",
    en: "add workers or instances; work waits in its own queue",
    ko: "작업자나 인스턴스 추가; 내부 큐에서 작업 대기",
  },
  queue_depth: {
    kind: "queue_consumer",
    en: "see that what reads its queue keeps up, and add consumers; the queue grows",
    ko: "큐 소비자의 처리 상태를 확인하고 소비자 추가; 큐 증가",
  },
  deadlocks: {
    kind: "database",
    en: "find the transactions that lock each other out",
    ko: "서로를 막는 트랜잭션 확인",
  },
  slow_queries: {
    kind: "database",
    en: "look at its slow queries for a missing index",
    ko: "느린 쿼리에서 누락된 인덱스 확인",
  },
};
