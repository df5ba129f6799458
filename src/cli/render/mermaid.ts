import type { GraphPicture, PictureEdge, PictureNode } from "./graph-picture.ts";
import { visible } from "./text-width.ts";

/**
 * The graph as a Mermaid flowchart. The failing way has thick arrows and says so in words; all text is escaped, so that
 * a service name stays a name.
 */
export function renderMermaid({ nodes, edges }: GraphPicture): string {
  const ids = new Map(nodes.map(({ name }, index) => [name, `n${index}`]));
  const lines = ["flowchart LR"];
  for (const node of nodes) lines.push(`  ${ids.get(node.name)}${shapeOf(node)}${classOf(node)}`);
  for (const edge of edges) {
    const [caller, callee] = [ids.get(edge.caller), ids.get(edge.callee)];
    if (caller !== undefined && callee !== undefined)
      lines.push(`  ${caller} ${arrowOf(edge)}|"${escaped(edge.note)}"| ${callee}`);
  }
  lines.push(
    "  classDef cause stroke:#d55e00,stroke-width:4px",
    "  classDef failing stroke:#d55e00,stroke-width:2px",
    "  classDef inferred stroke-dasharray:5 4",
  );
  return `${lines.join("\n")}\n`;
}

const shapes: Readonly<Record<PictureNode["kind"], readonly [open: string, close: string]>> = {
  service: ['["', '"]'],
  database: ['[("', '")]'],
  messaging: ['[["', '"]]'],
  external: ['(["', '"])'],
  unknown: ['("', '")'],
};

function shapeOf({ name, kind, notes }: PictureNode): string {
  const [open, close] = shapes[kind];
  return open + [name, ...notes].map(escaped).join("<br/>") + close;
}

function classOf({ role, inferred }: PictureNode): string {
  const name = role === "none" ? (inferred ? "inferred" : null) : role;
  return name === null ? "" : `:::${name}`;
}

function arrowOf({ kind, failing }: PictureEdge): string {
  if (failing) return "==>";
  return kind === "sync" ? "-->" : "-.->";
}

/** Whatever Mermaid may read as syntax, HTML or Markdown becomes an entity of its own kind: `#35;`. */
function escaped(text: string): string {
  return visible(text)
    .replace(/[^\p{L}\p{M}\p{N} ,:/_.%×→-]|%(?=%)|(?<=%)%/gu, (sign) => `#${sign.codePointAt(0)};`)
    .replace(/^(\d+)\.(?=\s)/, "$1#46;")
    .replace(/^-/, "#45;");
}
