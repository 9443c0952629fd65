/** How a choice of the past is told in words: by whom it was made, and what is not known of it any more. */
import { type Decision, PLACES_MAX } from "./decisions.ts";
import { heldText } from "./late-state.ts";

/** Why a row that is not the cheapest may be taken. */
const OTHERWISE =
  "a way to balance other than the score, a breaker, a busy connection, or what had been tried before decided, or the loads changed meanwhile";

/** `reason` is why the score would have chosen as it was chosen; "": it would not have. */
export function pastText({ node, prefill, held, isRetry, isCut }: Decision, reason: string): string {
  const chosen = reason === "" ? `${node} was taken: ${OTHERWISE}` : reason;
  const pair = `a pair was taken: ${prefill} for the prompt, ${node} for what follows; targets that do all of it are shown`;
  const why = held === null ? chosen : heldText(held, node);
  return [
    prefill === "" ? why : pair,
    ...(isRetry ? ["it was tried again here, after others had failed"] : []),
    ...(isCut ? [`of its many places only the first ${PLACES_MAX} were kept`] : []),
  ].join("; ");
}
