/** How a report looks: colours of the strategies by their place, of runs from 100 on, for light and dark pages. */

export const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2430; --faint: #5c6675; --line: #dfe3e8; --row: #f5f7f9;
  --c0: #8a5a2b; --c1: #9aa0a6; --c2: #2f6fb3; --c3: #5aa9d6; --c4: #7a4fb5; --c5: #b56bc9; --c6: #1f8a70; --c7: #77b255;
  --c8: #a8a13a; --c9: #d98e1f; --c10: #d9607e; --c11: #3f6f5f; --c12: #4a5568; --c13: #8f3b52;
  --c14: #d3281f;
  --c100: #2f6fb3; --c101: #d3281f; --c102: #1f8a70; --c103: #d98e1f; --c104: #7a4fb5; --c105: #8a5a2b; --c106: #d9607e;
  --c107: #77b255; --c108: #5aa9d6; --c109: #a8a13a; --c110: #b56bc9; --c111: #9aa0a6; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181f; --ink: #e6eaf0; --faint: #9aa5b4; --line: #2d3540;
  --row: #1b212a; --c0: #c08a56; --c1: #7f8790; --c2: #5b9bdf; --c3: #86cdf2; --c4: #a981e0; --c5: #d79be6; --c6: #4dbb9f;
  --c7: #9ed57c; --c8: #cfc860; --c9: #f0ad4a; --c10: #f08ba3; --c11: #7fb8a2; --c12: #93a1b8;
  --c13: #d98aa0; --c14: #ff6257;
  --c100: #5b9bdf; --c101: #ff6257; --c102: #4dbb9f; --c103: #f0ad4a; --c104: #a981e0; --c105: #c08a56; --c106: #f08ba3;
  --c107: #9ed57c; --c108: #86cdf2; --c109: #cfc860; --c110: #d79be6; --c111: #7f8790; } }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1480px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 0 0 8px; } h2 { font-size: 19px; margin: 32px 0 4px; } p { margin: 0 0 12px; max-width: 90ch; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 10px 0; margin: 0; list-style: none; position: sticky; top: 0;
  background: var(--ground); border-bottom: 1px solid var(--line); z-index: 2; }
.key { display: flex; flex-wrap: wrap; gap: 2px 14px; padding: 0; margin: 0 0 4px; list-style: none; font-size: 13px; color: var(--faint); }
.legend i, .key i { display: inline-block; width: 14px; height: 14px; border-radius: 3px; margin-right: 6px; vertical-align: -2px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 560px), 1fr)); gap: 24px; margin-top: 16px;
  align-items: start; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: 6px; }
svg { width: 100%; height: auto; font: 13px system-ui, sans-serif; fill: var(--faint); overflow: visible; }
.grid { stroke: var(--line); stroke-width: 1; } .line { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.line:hover { stroke-width: 4; } .strong { stroke-width: 3.2; } .value { fill: var(--ink); }
.wide { overflow-x: auto; margin-bottom: 14px; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { color: var(--faint); font-weight: 600; } tbody th { font-weight: 600; }
th:first-child { text-align: left; overflow-wrap: anywhere; position: sticky; left: 0; background: var(--ground); } tbody tr:hover td { background: var(--row); }
.warning { border-left: 4px solid var(--c101); padding: 6px 12px; background: var(--row); font-weight: 600; }
.text th, .text td { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 6em; }
.notes { color: var(--faint); margin-top: 24px; }
`.trim();
