/** How each backend is opened. Imported where it is wanted: a probe has but one in memory. */
import type { Openers } from "./probe.ts";

export const OPENERS: Openers = {};
