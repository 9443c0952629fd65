/** What events of the journal are about: the part of their types before the dot. */
export const EVENT_SUBJECTS = ["gpu", "model", "node", "policy", "routing", "runtime"] as const;

/** "policy.changed". */
export type EventType = `${(typeof EVENT_SUBJECTS)[number]}.${string}`;
