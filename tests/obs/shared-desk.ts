/** What a router may tell of its part in deciding for the mesh. */
import type { SharedDeskFigures } from "../../src/obs/late-metrics.ts";

export const SHARED: SharedDeskFigures = {
  routers: 2,
  asked: 3,
  guests: 4,
  boundThere: 5,
  boundHere: 6,
  declined: 7,
  broken: 8,
  malformed: 9,
};
