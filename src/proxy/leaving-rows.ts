/** Rows that lead nowhere any more, until every worker routes without them. */
export class LeavingRows {
  #rows: { readonly row: number; readonly version: number }[] = [];

  /** It is in no snapshot from `version` on. */
  add(row: number, version: number): void {
    this.#rows.push({ row, version });
  }

  /** Those that are given up when every worker routes by `version` or later. */
  take(version: number): number[] {
    const taken = this.#rows.filter((one) => one.version <= version);
    this.#rows = this.#rows.filter((one) => one.version > version);
    return taken.map(({ row }) => row);
  }
}
