/** Rows that were taken away, until every worker routes by a snapshot without them. */
export class LeavingRows {
  #rows: { readonly row: number; readonly version: number }[] = [];

  /** From snapshot `version` on it is in none. */
  add(row: number, version: number): void {
    this.#rows.push({ row, version });
  }

  /** Every worker routes by `version` or later; answers the rows that are free of them now. */
  routed(version: number): readonly number[] {
    const free = this.#rows.filter(({ version: left }) => left <= version);
    this.#rows = this.#rows.filter(({ version: left }) => left > version);
    return free.map(({ row }) => row);
  }
}
