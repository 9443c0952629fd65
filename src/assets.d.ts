/** Files that are embedded: the import is a path. */
declare module "*.so" {
  const path: string;
  export = path;
}
