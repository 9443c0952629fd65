/** Settings that are sections themselves, as items of lists: `workload: [{rate: 3}, {rate: 5}]`. In files only. */
import { type CommonOptions, type Field, type Making, make, refuse } from "./field.ts";
import { parseSection, writeSection } from "./settings-reading.ts";
import type { Infer, Section } from "./settings.ts";

/** An item with the keys of a section, each with its default. `what` is said where it is none: `a group of nodes`. */
export function record<S extends Section>(of: S, what: string, options: CommonOptions = {}): Field<Infer<S>> {
  const making: Making<Infer<S>> = {
    kind: "record",
    placeholder: "ITEM",
    expected: what,
    write: (value) => writeSection(of, value),
    read(raw, at) {
      if (at.fromText || typeof raw !== "object" || raw === null || Array.isArray(raw)) return refuse(raw, at, what);
      const { value, faults } = parseSection(of, raw, at.path);
      for (const fault of faults ?? []) at.faults.push({ ...fault, source: at.source });
      return value;
    },
  };
  return make(making, undefined, options);
}
