/** Opens a library as the static executable does, and calls a function of it: `glibc-child.ts OURS LIBRARY FUNCTION`. */
import { dlopen } from "bun:ffi";
import { loadFault } from "../../src/gpu/glibc.ts";

const [own = "", path = "", name = ""] = process.argv.slice(2);
const fault = loadFault(path, own);
if (fault === "") {
  const call = dlopen(path, { [name]: { args: [], returns: "i32" } }).symbols[name] as () => number;
  console.log(call());
} else {
  console.log(fault);
}
