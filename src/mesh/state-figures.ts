/** Figures and texts of states on their way out and in: what can't be is unknown, and what is unknown stays absent. */

const TEXT_LENGTH_MAX = 256;

/** Leaves out what is undefined: an optional field that is set to undefined would be encoded as zero. */
export function known<T extends Record<string, number | undefined>>(values: T): { [K in keyof T]?: number } {
  const result: { [K in keyof T]?: number } = {};
  for (const key in values) {
    const value = values[key];
    if (value !== undefined && Number.isFinite(value)) result[key] = value;
  }
  return result;
}

export function whole(value: number): number {
  return Number.isFinite(value) && value > 0 ? Math.round(value) : 0;
}

export function wholeOrUnknown(value: number | undefined): number | undefined {
  return value === undefined ? undefined : whole(value);
}

export function finite(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

export function amount(value: unknown): number | undefined {
  const number = finite(value);
  return number === undefined || number < 0 ? undefined : number;
}

export function fraction(value: unknown): number | undefined {
  const number = amount(value);
  return number === undefined ? undefined : Math.min(1, number);
}

export function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, TEXT_LENGTH_MAX) : "";
}
