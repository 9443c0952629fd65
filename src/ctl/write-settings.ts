/** What commands that change policies may be told, and numbers that may be left out. */
import { type Field } from "../base/field.ts";
import { flag, text } from "../base/settings.ts";
import { ctlSettings } from "./settings.ts";

/** A number that may be left out: "" then; see numberOf. */
export function optionalNumber(options: {
  readonly doc: string;
  readonly whole?: boolean;
  readonly emptyMeans?: string;
}): Field<string> {
  const { doc, whole = false, emptyMeans = "" } = options;
  return text({
    default: "",
    placeholder: whole ? "N" : "NUMBER",
    pattern: whole ? /^\d{1,15}$/ : /^\d{1,15}(\.\d{1,9})?$/,
    expected: whole ? "a whole number from 0" : "a number from 0, such as 0.5",
    emptyMeans,
    doc,
  });
}

/** What optionalNumber read; undefined where nothing was given, so that JSON leaves it out. */
export function numberOf(given: string): number | undefined {
  return given === "" ? undefined : Number(given);
}

export const writeFields = {
  ...ctlSettings.fields,
  dryRun: flag({
    default: false,
    doc: "Have it checked, with its warnings, and change nothing.",
  }),
};

/** For changes of one policy. */
export const singleWriteFields = {
  ...writeFields,
  ifRevision: optionalNumber({
    whole: true,
    emptyMeans: "whatever is there",
    doc: "Only if the policy still has this revision; 0: only if there is none. Else nothing is changed, with exit code 4.",
  }),
};

export interface WriteConfig {
  readonly dryRun: boolean;
  readonly ifRevision?: string;
}

/** The fields of a request that say how it is to be done. */
export function howOf({ dryRun, ifRevision = "" }: WriteConfig): object {
  return { ...(dryRun ? { dryRun } : {}), ...(ifRevision === "" ? {} : { ifRevision }) };
}
