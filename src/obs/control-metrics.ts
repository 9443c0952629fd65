/** The metrics of the control plane: whether policies can be changed, and who keeps them, as this node knows it. */
import type { Exposition } from "./exposition.ts";
import { CONTROL_METRICS } from "./metric-names.ts";

/** What they read of the store's status. */
export interface ControlFigures {
  readonly writable: boolean;
  /** "" while none is known. */
  readonly leader: string;
  readonly term: number;
  readonly logBytes: number;
  readonly members: readonly { readonly role: string }[];
}

const ROLES = ["leader", "follower", "learner", "unknown"];

/** `read` knows nothing before the node has a place in the control plane; `node` is its name there. */
export function addControlMetrics(
  to: Exposition,
  node: string,
  read: () => Promise<ControlFigures> | undefined = () => undefined,
): void {
  const now = to.ahead(read);
  const one = (value: (of: ControlFigures) => number) => (): number | undefined => {
    const figures = now();
    return figures === undefined ? undefined : value(figures);
  };
  to.addOne(
    CONTROL_METRICS.writable,
    one(({ writable }) => Number(writable)),
  );
  to.addOne(
    CONTROL_METRICS.leader,
    one(({ leader }) => Number(leader !== "")),
  );
  to.addOne(
    CONTROL_METRICS.leading,
    one(({ leader }) => Number(leader !== "" && leader === node)),
  );
  to.addOne(
    CONTROL_METRICS.term,
    one(({ term }) => term),
  );
  to.addOne(
    CONTROL_METRICS.logBytes,
    one(({ logBytes }) => logBytes),
  );
  to.add(CONTROL_METRICS.members, () => {
    const members = now()?.members;
    if (members === undefined) return [];
    return ROLES.map((role) => [{ role }, members.filter((member) => member.role === role).length] as const);
  });
}
