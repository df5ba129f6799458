import type { Language } from "../../analysis/report.ts";
import { escapeHtml } from "./escape-html.ts";
import { layoutGraph, type PlacedNode } from "./graph-layout.ts";
import type { GraphPicture, PictureEdge, PictureNode } from "./graph-picture.ts";
import { label } from "./labels.ts";
import { cutMiddle, visible } from "./text-width.ts";

const boxWidth = 176;
const lineHeight = 15;
const boxHeight = 58;
const gapX = 74;
const gapY = 22;
const margin = 12;
/** More boxes than this cannot be read. */
const nodeCountMax = 60;
/** From more boxes than this on, a graph that something is wrong in shows that part only, with its direct neighbours. */
const wholeCountMax = 16;

/** The graph as an SVG that needs no script; colours come from the page. */
export function graphSvg(picture: GraphPicture, language: Language): string {
  const shown = readablePart(picture);
  const layout = layoutGraph(shown);
  const width = margin * 2 + layout.layerCount * boxWidth + Math.max(0, layout.layerCount - 1) * gapX;
  const height = margin * 2 + layout.placeCount * boxHeight + Math.max(0, layout.placeCount - 1) * gapY;
  const boxes = [...layout.nodes.values()].map((placed) => boxOf(placed));
  const arrows = layout.edges.map((edge) =>
    arrowOf(edge, layout.nodes.get(edge.caller), layout.nodes.get(edge.callee)),
  );
  const hidden = picture.nodes.length - shown.nodes.length;
  const note = hidden > 0 ? `<p class="dim">${label("more_rows", language, { n: hidden })}</p>` : "";
  return `<div class="wide scroll" tabindex="0"><svg class="graph" role="img" aria-label="${escapeHtml(label("graph", language))}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker><marker id="tip-failing" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="5" markerHeight="5" orient="auto"><path class="failing" d="M0 0L8 4L0 8z"/></marker></defs>
${arrows.join("\n")}
${boxes.join("\n")}
</svg></div>${note}`;
}

/** What is wrong and what touches it comes first. Edges of nodes that are not shown are left out by the layout. */
function readablePart({ nodes, edges }: GraphPicture): GraphPicture {
  if (nodes.length <= wholeCountMax) return { nodes, edges };
  const wrong = new Set(nodes.filter(({ role }) => role !== "none").map(({ name }) => name));
  const touched = new Set(
    edges
      .filter(({ caller, callee }) => wrong.has(caller) || wrong.has(callee))
      .flatMap(({ caller, callee }) => [caller, callee]),
  );
  const rankOf = ({ name }: PictureNode): number => (wrong.has(name) ? 0 : touched.has(name) ? 1 : 2);
  const shown = nodes
    .filter((node) => wrong.size === 0 || rankOf(node) < 2)
    .toSorted((a, b) => rankOf(a) - rankOf(b))
    .slice(0, nodeCountMax);
  const kept = new Set(shown);
  return { nodes: nodes.filter((node) => kept.has(node)), edges };
}

function left({ layer }: PlacedNode): number {
  return margin + layer * (boxWidth + gapX);
}

function top({ place }: PlacedNode): number {
  return margin + place * (boxHeight + gapY);
}

function boxOf(placed: PlacedNode): string {
  const { node } = placed;
  const [x, y] = [left(placed), top(placed)];
  const notes = node.notes
    .slice(0, 2)
    .map(
      (note, index) =>
        `<text class="note" x="${x + 10}" y="${y + 20 + (index + 1) * lineHeight}">${shortened(note, 27)}</text>`,
    );
  const classes = ["box", node.role, ...(node.inferred ? ["inferred"] : [])].join(" ");
  const round = node.kind === "service" ? 6 : boxHeight / 2;
  return `<g class="${classes}"><title>${escapeHtml([node.name, ...node.notes].join(", "))}</title><rect x="${x}" y="${y}" width="${boxWidth}" height="${boxHeight}" rx="${round > 20 ? 18 : round}"/><text x="${x + 10}" y="${y + 20}">${shortened(node.name, 20)}</text>${notes.join("")}</g>`;
}

/** A curve from the caller's right side to the callee's left; a call backwards bends around below. */
function arrowOf(edge: PictureEdge, from: PlacedNode | undefined, to: PlacedNode | undefined): string {
  if (from === undefined || to === undefined) return "";
  const [x1, y1] = [left(from) + boxWidth, top(from) + boxHeight / 2];
  const [x2, y2] = [left(to), top(to) + boxHeight / 2];
  const bend = to.layer > from.layer ? (x2 - x1) / 2 : gapX;
  const dip = to.layer > from.layer ? 0 : boxHeight;
  const path = `M${x1} ${y1}C${x1 + bend} ${y1 + dip} ${x2 - bend} ${y2 + dip} ${x2} ${y2}`;
  const classes = ["arrow", edge.kind, ...(edge.failing ? ["failing"] : [])].join(" ");
  const tip = edge.failing ? "tip-failing" : "tip";
  return `<path class="${classes}" d="${path}" marker-end="url(#${tip})"><title>${escapeHtml(`${edge.caller} → ${edge.callee}: ${edge.note}`)}</title></path>`;
}

function shortened(text: string, columns: number): string {
  return escapeHtml(cutMiddle(visible(text), columns, "…"));
}
