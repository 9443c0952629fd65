/** Plots as SVG, in colours of the page that they stand in (`--c0` and on). Pure. */

export interface Line {
  readonly name: string;
  /** Its colour is `--c` and this. */
  readonly color: number;
  readonly isStrong: boolean;
  /** In order of x; a point that is no number is left out. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LinePlot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
  /** Which line is which stands above it, where the page's legend doesn't say so. */
  readonly isKeyed?: boolean;
}

interface Axis {
  readonly label: string;
  readonly isLog?: boolean;
  /** Where it begins and ends whatever the lines do. */
  readonly from?: number;
  readonly to?: number;
  readonly write: (value: number) => string;
}

const WIDTH = 720;
const HEIGHT = 340;
const LEFT = 64;
const RIGHT = 16;
const TOP = 12;
const BOTTOM = 48;

export function escapeHtml(text: string): string {
  const of: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (char) => of[char]!);
}

export function linePlot({ title, x, y, lines, isKeyed = false }: LinePlot): string {
  const points = lines.flatMap((line) => line.points.filter(isKnown));
  const across = scaleOf(
    x,
    points.map(([at]) => at),
    LEFT,
    WIDTH - RIGHT,
  );
  const up = scaleOf(
    y,
    points.map(([, value]) => value),
    HEIGHT - BOTTOM,
    TOP,
  );
  const grid = [
    ...up.ticks.map((tick) => {
      const at = fixed(up.at(tick));
      const text = `<text x="${LEFT - 8}" y="${at}" dy="0.32em" text-anchor="end">${escapeHtml(y.write(tick))}</text>`;
      return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" class="grid"/>${text}`;
    }),
    ...across.ticks.map((tick) => {
      const at = fixed(across.at(tick));
      const text = `<text x="${at}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${escapeHtml(x.write(tick))}</text>`;
      return `<line x1="${at}" x2="${at}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" class="grid"/>${text}`;
    }),
  ];
  // What stands out is drawn last, over the others.
  const drawn = lines
    .toSorted((a, b) => Number(a.isStrong) - Number(b.isStrong))
    .map((line) => {
      const path = line.points.filter(isKnown).map(([at, value]) => `${fixed(across.at(at))},${fixed(up.at(value))}`);
      const name = `<title>${escapeHtml(line.name)}</title>`;
      const kind = line.isStrong ? "line strong" : "line";
      return `<polyline class="${kind}" style="stroke:var(--c${line.color})" points="${path.join(" ")}">${name}</polyline>`;
    });
  const labels = [
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escapeHtml(x.label)}</text>`,
    `<text transform="translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escapeHtml(y.label)}</text>`,
  ];
  const key = lines.map(({ name, color }) => {
    return `<li><i style="background:var(--c${color})"></i>${escapeHtml(name)}</li>`;
  });
  return figure(
    title,
    `${isKeyed ? `<ul class="key">${key.join("")}</ul>` : ""}<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(title)}">${[...grid, ...drawn, ...labels].join("")}</svg>`,
  );
}

export interface Bar {
  readonly name: string;
  readonly color: number;
  readonly value: number;
  readonly written: string;
}

const BAR_HEIGHT = 26;
const NAME_WIDTH = 130;
const VALUE_WIDTH = 90;
const NAME_CHARACTERS_MAX = 18;

/** Lying bars from 0 to `max`. */
export function barPlot(title: string, bars: readonly Bar[], max: number): string {
  const height = bars.length * BAR_HEIGHT + 4;
  const room = WIDTH - NAME_WIDTH - VALUE_WIDTH;
  const rows = bars.map(({ name, color, value, written }, at) => {
    const y = at * BAR_HEIGHT + 4;
    const width = max > 0 && Number.isFinite(value) ? fixed(Math.max(0, value / max) * room) : "0";
    return [
      `<text x="${NAME_WIDTH - 10}" y="${y + 10}" dy="0.32em" text-anchor="end">${escapeHtml(shortened(name))}<title>${escapeHtml(name)}</title></text>`,
      `<rect x="${NAME_WIDTH}" y="${y}" width="${width}" height="20" rx="2" style="fill:var(--c${color})"/>`,
      `<text x="${NAME_WIDTH + Number(width) + 8}" y="${y + 10}" dy="0.32em" class="value">${escapeHtml(written)}</text>`,
    ].join("");
  });
  return figure(
    title,
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(title)}">${rows.join("")}</svg>`,
  );
}

/** As long as there is room for. */
function shortened(name: string): string {
  return name.length > NAME_CHARACTERS_MAX ? `${name.slice(0, NAME_CHARACTERS_MAX - 1)}…` : name;
}

function figure(title: string, inside: string): string {
  return `<figure><figcaption>${escapeHtml(title)}</figcaption>${inside}</figure>`;
}

function isKnown([x, y]: readonly [number, number]): boolean {
  return Number.isFinite(x) && Number.isFinite(y);
}

function fixed(value: number): string {
  return value.toFixed(1);
}

interface Scale {
  readonly ticks: readonly number[];
  at(value: number): number;
}

function scaleOf(axis: Axis, values: readonly number[], start: number, end: number): Scale {
  const known = axis.isLog === true ? values.filter((value) => value > 0) : values;
  const least = axis.from ?? (axis.isLog === true ? smallest(known, 1) : Math.min(0, smallest(known, 0)));
  const most = Math.max(axis.to ?? largest(known, least + 1), least * (1 + 1e-9));
  if (axis.isLog === true) {
    const from = Math.log(least);
    const span = Math.max(1e-9, Math.log(most) - from);
    const at = (value: number): number => start + ((Math.log(Math.max(value, least)) - from) / span) * (end - start);
    return { ticks: logTicks(least, most), at };
  }
  const step = niceStep((most - least) / 5);
  const top = axis.to ?? Math.max(least + step, Math.ceil(most / step - 1e-9) * step);
  const ticks = Array.from({ length: Math.floor((top - least) / step + 1e-9) + 1 }, (_, at) => least + at * step);
  return { ticks, at: (value) => start + ((value - least) / (top - least)) * (end - start) };
}

// Spread arguments have a limit that many points would pass.
function smallest(values: readonly number[], otherwise: number): number {
  return values.length === 0 ? otherwise : values.reduce((a, b) => Math.min(a, b));
}

function largest(values: readonly number[], otherwise: number): number {
  return values.length === 0 ? otherwise : values.reduce((a, b) => Math.max(a, b));
}

/** 1, 2 or 5 times a power of ten. */
function niceStep(about: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(about, 1e-12)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= about * (1 - 1e-9))!;
}

/** Where a few would do for decades, they are too few for less than one. */
function logTicks(from: number, to: number): number[] {
  const few = ticksBy([1, 2, 5], from, to);
  return few.length >= 3 ? few : ticksBy([1, 1.5, 2, 3, 4, 5, 6, 7, 8], from, to);
}

function ticksBy(factors: readonly number[], from: number, to: number): number[] {
  const ticks: number[] = [];
  for (let power = 10 ** Math.floor(Math.log10(from)); power <= to; power *= 10) {
    for (const factor of factors) if (power * factor >= from && power * factor <= to) ticks.push(power * factor);
  }
  return ticks;
}
