import type { GraphPicture, PictureEdge, PictureNode } from "./graph-picture.ts";
import { visible } from "./text-width.ts";

/** The graph for Graphviz. The failing way is bold and says so in words. */
export function renderDot({ nodes, edges }: GraphPicture): string {
  const ids = new Map(nodes.map(({ name }, index) => [name, `n${index}`]));
  const lines = [
    "digraph hypocenter {",
    "  rankdir=LR",
    '  node [shape=box, style=rounded, fontname="sans-serif"]',
    '  edge [fontname="sans-serif", fontsize=10]',
  ];
  for (const node of nodes) lines.push(`  ${ids.get(node.name)} [${nodeAttributes(node)}]`);
  for (const edge of edges) {
    const [caller, callee] = [ids.get(edge.caller), ids.get(edge.callee)];
    if (caller !== undefined && callee !== undefined)
      lines.push(`  ${caller} -> ${callee} [${edgeAttributes(edge)}]`);
  }
  return `${lines.join("\n")}\n}\n`;
}

const shapes: Readonly<Record<PictureNode["kind"], string>> = {
  service: "box",
  database: "cylinder",
  messaging: "cds",
  external: "ellipse",
  unknown: "box",
};

function nodeAttributes({ name, kind, role, inferred, notes }: PictureNode): string {
  const attributes = [`label=${quoted([name, ...notes])}`];
  if (kind !== "service") attributes.push(`shape=${shapes[kind]}`);
  if (role !== "none") attributes.push('color="#d55e00"', `penwidth=${role === "cause" ? 4 : 2}`);
  if (inferred) attributes.push('style="dashed"');
  return attributes.join(", ");
}

function edgeAttributes({ kind, failing, note }: PictureEdge): string {
  const attributes = [`label=${quoted([note])}`];
  if (failing) attributes.push('color="#d55e00"', "penwidth=3");
  if (kind !== "sync") attributes.push("style=dashed");
  return attributes.join(", ");
}

/** Lines as one DOT string; a backslash would start an escape such as \N. */
function quoted(lines: readonly string[]): string {
  const escaped = lines.map((line) => visible(line).replace(/[\\"]/g, "\\$&"));
  return `"${escaped.join("\\n")}"`;
}
