/** All parts of the self-test, in the order in which they are tried. */
import { LANGUAGE_PARTS } from "./language.ts";
import { NAME_PARTS } from "./names.ts";
import { NETWORK_PARTS } from "./network.ts";
import type { Part } from "./part.ts";
import { PROCESS_PARTS } from "./processes.ts";
import { SECURED_PARTS } from "./secured.ts";
import { STORAGE_PARTS } from "./storage.ts";
import { THREAD_PARTS } from "./threads.ts";

export const PARTS: readonly Part[] = [
  ...LANGUAGE_PARTS,
  ...NETWORK_PARTS,
  ...SECURED_PARTS,
  ...NAME_PARTS,
  ...STORAGE_PARTS,
  ...THREAD_PARTS,
  ...PROCESS_PARTS,
];
