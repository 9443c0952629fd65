/** What the build writes into the executable. Run from the sources, the identifiers do not exist. */

declare const INFERMESH_VERSION: string | undefined;
declare const INFERMESH_COMMIT: string | undefined;
declare const INFERMESH_BYTECODE: string | undefined;

/** The version of package.json, or `0.0.0-dev` when run from the sources. */
export const version = typeof INFERMESH_VERSION === "undefined" ? "0.0.0-dev" : INFERMESH_VERSION;

/** The short commit, with `-dirty` after it if the sources were changed; `unknown` outside a build of a checkout. */
export const commit = typeof INFERMESH_COMMIT === "undefined" ? "unknown" : INFERMESH_COMMIT;

/** Of which functions the executable has bytecode; "" when run from the sources. */
export const bytecode = typeof INFERMESH_BYTECODE === "undefined" ? "" : INFERMESH_BYTECODE;
