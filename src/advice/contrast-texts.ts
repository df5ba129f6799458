import type { Share } from "../base/count-test.ts";
import type { ContrastFact, EvidenceFact, MarkedValue } from "../cascade/candidate.ts";
import { onlyWhereMin } from "../model/scoring.ts";
import type { FactText } from "./evidence-texts.ts";
import { formatCount, formatPercent } from "./format-duration.ts";

/** "only in version 2.4.1 of instance cart-2: 58 of 118 requests failed, 6 of 240 others" */
export function contrastText(fact: ContrastFact, ko: boolean): FactText {
  const { where, trouble, inside, others, coverage } = fact;
  const place = where.map((each) => valueText(each, ko)).join(ko ? ", " : " and ");
  const alike = where.flatMap((each) => each.alike).map((each) => valueText(each, ko));
  const isOnly = coverage >= onlyWhereMin;
  const what = troubleWords[trouble][ko ? "ko" : "en"];
  const [bad, of, otherBad, otherOf] = [inside.count, inside.of, others.count, others.of].map(formatCount);
  const same =
    alike.length === 0
      ? ""
      : ko
        ? ` (${alike.join(", ")}와(과) 같은 요청)`
        : ` (the same requests as ${alike.join(", ")})`;
  return {
    statement: ko
      ? `${place}에서${isOnly ? "만" : " 주로"} 발생${same}: 요청 ${of}건 중 ${bad}건 ${what}, 그 외 ${otherOf}건 중 ${otherBad}건`
      : `${isOnly ? "only" : "mostly"} in ${place}${same}: ${bad} of ${of} requests ${what}, ${otherBad} of ${otherOf} others`,
    value: ratioOf(inside),
    baseline: ratioOf(others),
  };
}

const troubleWords = {
  failed: { en: "failed", ko: "실패" },
  slow: { en: "took longer than usual", ko: "평소보다 지연" },
  failed_or_slow: { en: "failed or took longer than usual", ko: "실패 또는 평소보다 지연" },
} as const satisfies Readonly<Record<ContrastFact["trouble"], unknown>>;

type GoneFact = Extract<EvidenceFact, { kind: "gone_instance" }>;

export function goneText({ instance, before, after }: GoneFact, ko: boolean): FactText {
  const [was, is] = [before, after].map((share) => formatPercent(ratioOf(share)));
  return {
    statement: ko
      ? `인스턴스 ${instance}의 요청 비중이 ${was}에서 ${is}(으)로 감소; 대신하는 새 인스턴스 없음`
      : `instance ${instance} answers ${is} of the requests instead of ${was}, and no new one took its place`,
    value: ratioOf(after),
    baseline: ratioOf(before),
  };
}

/** "version 2.4.1", or the attribute as it is named where it has no everyday name. */
export function valueText({ key, value }: Pick<MarkedValue, "key" | "value">, ko: boolean): string {
  const name = keyNames[key]?.[ko ? "ko" : "en"];
  return name === undefined ? `${key}=${value}` : `${name} ${value}`;
}

const keyNames: Readonly<Record<string, { readonly en: string; readonly ko: string }>> = {
  "service.version": { en: "version", ko: "버전" },
  "service.instance.id": { en: "instance", ko: "인스턴스" },
  "host.name": { en: "host", ko: "호스트" },
  "k8s.node.name": { en: "node", ko: "노드" },
  "cloud.availability_zone": { en: "zone", ko: "가용 영역" },
  "cloud.region": { en: "region", ko: "리전" },
};

function ratioOf({ count, of }: Share): number {
  return of === 0 ? 0 : count / of;
}
