/** Where a program lies that is named as shells name it: a path, or a name to be looked for in PATH. */
import { accessSync, constants, statSync } from "node:fs";
import { resolve } from "node:path";

export type Program = { readonly path: string } | { readonly fault: string };

export function findProgram(name: string, env: Readonly<Record<string, string>>, directory: string): Program {
  const folders = (env["PATH"] ?? "").split(":").map((folder) => (folder === "" ? "." : folder));
  const isPath = name.includes("/");
  let fault = isPath
    ? `there is no ${resolve(directory, name)}`
    : `no "${name}" in any folder of PATH (${env["PATH"] ?? "not set"})`;
  for (const path of isPath ? [resolve(directory, name)] : folders.map((folder) => resolve(directory, folder, name))) {
    try {
      if (!statSync(path).isFile()) {
        fault = `${path} is no file`;
        continue;
      }
      accessSync(path, constants.X_OK);
      return { path };
    } catch (error) {
      if ((error as { code?: unknown }).code === "EACCES") fault = `${path} may not be run by this user`;
    }
  }
  return { fault };
}
