/**
 * The policy store as its clients see it: a register for each key with compare-and-set by revision. Revisions are of the
 * whole store, so of one key all that is known is that each write has a higher one than the write before.
 */
import type { Model } from "./wgl.ts";

/** A write of null deletes. `ifRevision`: 0 only if there is none. */
export type StoreOp =
  | { readonly type: "read"; readonly key: string }
  | { readonly type: "write"; readonly key: string; readonly value: string | null; readonly ifRevision?: number };

/**
 * `revision`: of the item that was read or written (of a deletion the store's), 0 of one that is not there. A refusal
 * tells the revision that the item has.
 */
export type StoreResult =
  | { readonly ok: true; readonly value: string | null; readonly revision: number }
  | { readonly ok: false; readonly revision: number };

interface Register {
  readonly value: string | null;
  /** Undefined after a write whose outcome is unknown, until anybody sees it; 0 of one that is not there. */
  readonly revision: number | undefined;
  /** All later revisions are higher. */
  readonly above: number;
}

const NONE: readonly Register[] = [];

export const policyModel: Model<Register, StoreOp, StoreResult> = {
  initial: { value: null, revision: 0, above: 0 },
  step: (state, op, result) => (op.type === "read" ? readOf(state, result) : writeOf(state, op, result)),
  keyOf: ({ value, revision, above }) => JSON.stringify([value, revision ?? null, above]),
  partition: ({ key }) => key,
};

/** The state if its revision is this one. */
function seen(state: Register, revision: number): readonly Register[] {
  if (state.revision !== undefined) return state.revision === revision ? [state] : NONE;
  return revision > state.above ? [{ ...state, revision, above: revision }] : NONE;
}

function readOf(state: Register, result: StoreResult | undefined): readonly Register[] {
  if (result === undefined) return [state];
  return result.ok && result.value === state.value ? seen(state, result.revision) : NONE;
}

function writeOf(
  state: Register,
  { value, ifRevision }: StoreOp & { type: "write" },
  result: StoreResult | undefined,
): readonly Register[] {
  const before = ifRevision === undefined ? [state] : seen(state, ifRevision);
  const isNothing = value === null && state.value === null;
  if (result === undefined) return [state, ...(isNothing ? NONE : before.map((each) => written(each, value)))];
  if (!result.ok) {
    // Deleting what is not there, or the item has another revision than was expected.
    if (isNothing) return seen(state, result.revision);
    return ifRevision === undefined || ifRevision === result.revision ? NONE : seen(state, result.revision);
  }
  if (isNothing) return NONE;
  return before.flatMap((each) => {
    const isSame = value === each.value;
    if (isSame && (each.revision === undefined || each.revision === result.revision)) {
      return [
        ...seen(each, result.revision),
        ...(result.revision > each.above ? [written(each, value, result.revision)] : []),
      ];
    }
    return result.revision > each.above ? [written(each, value, result.revision)] : NONE;
  });
}

function written(state: Register, value: string | null, revision?: number): Register {
  if (value === null) return { value, revision: 0, above: revision ?? state.above };
  return { value, revision, above: revision ?? state.above };
}
