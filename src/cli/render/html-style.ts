/** Blue and orange stay apart for colour-blind eyes; every colour repeats what a sign or a word says. */
export const styleSheet = `
:root { --ground: #fff; --card: #f6f7f9; --line: #d8dce2; --text: #1b1f24; --dim: #59636e; --bad: #b34700; --good: #0b5cad; --bar: #c3cad3; --shade: #8d96a3; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0f1216; --card: #181c22; --line: #333a44; --text: #e6e9ed; --dim: #9aa4b0; --bad: #ff9d4d; --good: #6cb2ff; --bar: #3b4450; --shade: #5d6978; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, "Noto Sans KR", "Noto Sans CJK KR", sans-serif; overflow-wrap: anywhere; }
html:lang(ko) body { word-break: keep-all; }
main { max-width: 1080px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 21px; line-height: 1.35; margin: 4px 0 10px; }
h2 { font-size: 15px; margin: 0 0 10px; }
ul, ol, dl { margin: 0; padding: 0; }
code { font: 12px/1.5 ui-monospace, monospace; color: var(--dim); }
.dim { color: var(--dim); }
.verdict { border: 1px solid var(--line); border-left: 8px solid var(--good); border-radius: 8px; background: var(--card); padding: 14px 18px; }
.verdict.failed, .verdict.notice { border-left-color: var(--bad); }
.verdict .outcome { margin: 0; font-weight: 700; text-transform: uppercase; letter-spacing: .04em; font-size: 13px; color: var(--good); }
.verdict.failed .outcome, .verdict.notice .outcome { color: var(--bad); }
.facts { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; color: var(--dim); font-size: 13px; }
section { margin-top: 26px; }
.scroll { overflow-x: auto; background: linear-gradient(90deg, var(--ground) 40%, transparent) left / 48px 100% local no-repeat, linear-gradient(270deg, var(--ground) 40%, transparent) right / 48px 100% local no-repeat, linear-gradient(90deg, var(--shade), transparent) left / 18px 100% scroll no-repeat, linear-gradient(270deg, var(--shade), transparent) right / 18px 100% scroll no-repeat; }
.wide { margin-inline: calc(50% - 50vw + 16px); }
.candidate { border: 1px solid var(--line); border-radius: 8px; margin-bottom: 6px; padding: 8px 12px; }
.candidate.first { border-left: 4px solid var(--bad); }
summary { cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary .rank::before { content: "\\25B8 "; }
details[open] summary .rank::before { content: "\\25BE "; }
.head { display: inline-grid; grid-template-columns: 30px minmax(0, 1fr) minmax(60px, 160px) 52px; gap: 8px; align-items: center; width: 100%; vertical-align: middle; }
.rank { text-align: right; }
.rank { color: var(--dim); }
.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.evidence { list-style: none; margin: 8px 0 2px 38px; }
.evidence li { padding: 2px 0 2px 18px; text-indent: -18px; }
.evidence .for::before { content: "+"; display: inline-block; width: 18px; text-indent: 0; color: var(--bad); font-weight: 700; }
.evidence .against::before { content: "\\2212"; display: inline-block; width: 18px; text-indent: 0; color: var(--good); font-weight: 700; }
.evidence .dim { padding-left: 0; text-indent: 0; }
.bar { width: 100%; height: 12px; display: block; border-radius: 3px; }
.bar .ground { fill: var(--line); opacity: .45; }
.bar .part { fill: var(--good); }
.candidate.first .bar .part, .origin .bar .part { fill: var(--bad); }
.passed .bar .part { fill: var(--dim); opacity: .6; }
.tree, .bars { list-style: none; border: 1px solid var(--line); border-radius: 8px; padding: 6px 12px; }
.tree li { display: grid; grid-template-columns: minmax(0, 1fr) 76px minmax(120px, 34%); gap: 10px; align-items: start; padding: 3px 0; }
.tree .bar { margin-top: 5px; }
.tree .name { display: block; border-left: 2px solid var(--line); padding-left: 8px; }
.tree .failed .sign, .tree .began { color: var(--bad); }
.tree .notice .sign { color: var(--bad); }
.tree .began { font-weight: 700; }
.tree .began, .tree .name > .dim { display: block; font-size: 13px; }
.tree .folded { color: var(--dim); font-size: 13px; }
.tree .scale { color: var(--dim); font-size: 12px; padding: 0; }
.ends { display: flex; justify-content: space-between; }
.d1 .name { margin-left: 16px; } .d2 .name { margin-left: 32px; } .d3 .name { margin-left: 48px; } .d4 .name { margin-left: 64px; } .d5 .name { margin-left: 80px; }
.d6 .name { margin-left: 96px; } .d7 .name { margin-left: 112px; } .d8 .name { margin-left: 128px; } .d9 .name { margin-left: 144px; } .d10 .name { margin-left: 160px; }
.bars li { display: grid; grid-template-columns: 52px minmax(60px, 160px) 76px minmax(0, 1fr); gap: 10px; align-items: center; padding: 3px 0; }
dl div { display: grid; grid-template-columns: 130px minmax(0, 1fr); gap: 10px; padding: 2px 0; }
dt { color: var(--dim); }
dd { margin: 0; }
.items { padding-left: 24px; }
.items li { padding: 2px 0; }
.scroll + dl { margin-top: 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th { text-align: left; color: var(--dim); font-weight: 500; font-size: 13px; border-bottom: 1px solid var(--line); }
th, td { padding: 4px 12px 4px 0; vertical-align: top; }
th.right, td.right { text-align: right; white-space: nowrap; }
td.left { overflow-wrap: anywhere; min-width: 90px; }
td.state { white-space: nowrap; color: var(--good); font-size: 13px; }
tr.failed td.state, tr.notice td.state { color: var(--bad); }
tr.failed td.state { font-weight: 700; }
tr.note td { padding-top: 0; font-size: 13px; color: var(--dim); }
tr.note.failed .issues { color: var(--bad); }
.graph { display: block; margin: 0 auto; max-width: max(100%, 900px); height: auto; font-size: 13px; }
.graph text { fill: var(--text); font-weight: 600; }
.graph .note { font-size: 11px; font-weight: 400; fill: var(--dim); }
.graph rect { fill: var(--card); stroke: var(--line); stroke-width: 1.5; }
.graph .inferred rect { stroke-dasharray: 5 4; }
.graph .failing rect { stroke: var(--bad); stroke-width: 2; }
.graph .cause rect { stroke: var(--bad); stroke-width: 4; }
.graph .cause .note, .graph .failing .note { fill: var(--bad); }
.graph .arrow { fill: none; stroke: var(--dim); stroke-width: 1.3; }
.graph .async, .graph .arrow.inferred { stroke-dasharray: 5 4; }
.graph .arrow.failing { stroke: var(--bad); stroke-width: 3; stroke-dasharray: none; }
.graph marker path { fill: var(--dim); }
.graph marker .failing { fill: var(--bad); }
@media (max-width: 640px) {
  main { padding: 12px 10px 40px; }
  h1 { font-size: 18px; }
  .head { grid-template-columns: 26px minmax(0, 1fr) 48px; }
  .head .bar { grid-column: 2 / 4; grid-row: 2; }
  .evidence { margin-left: 4px; }
  .tree li { grid-template-columns: minmax(0, 1fr) 64px; gap: 2px 8px; }
  .tree .bar { grid-column: 1 / 3; margin-top: 0; height: 8px; }
  .tree .scale .ends { grid-column: 1 / 3; }
  .tree .scale > span:not(.ends) { display: none; }
  .d1 .name { margin-left: 6px; } .d2 .name { margin-left: 12px; } .d3 .name { margin-left: 18px; } .d4 .name { margin-left: 24px; } .d5 .name { margin-left: 30px; }
  .d6 .name { margin-left: 36px; } .d7 .name { margin-left: 42px; } .d8 .name { margin-left: 48px; } .d9 .name { margin-left: 54px; } .d10 .name { margin-left: 60px; }
  .bars li { grid-template-columns: 48px minmax(0, 1fr) 70px; }
  .bars .name { grid-column: 1 / 4; order: -1; }
  th, td { padding-right: 7px; }
  table { font-size: 14px; }
  dl div { grid-template-columns: 96px minmax(0, 1fr); }
}
@media print { details > ul { display: block; } body { font-size: 12px; } }
`;
