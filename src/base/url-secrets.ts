/**
 * Passwords in URLs, on their way to people: `http://NAME:PASSWORD@host/` as `http://NAME:***@host/`. What stands alone in
 * front of the `@` is mostly a token, and hidden too. Text around it stays; text that is no URL is looked at the same way,
 * since one with a slip in it is shown just where it is refused: also one that begins with the name, without `http://`.
 */

const HIDDEN = "***";
/** A password may hold whatever was not escaped in it, so it goes on to the last `@` of the word; a port is none. */
const WITH_PASSWORD = /((?:\/\/|(?<=:)\/|(?<![^\s"'=,])(?!https?:))[^\s/:@?#"'=,]*):(?!\d{1,5}[/?#])\S*@/g;
const ALONE = /\/\/[^\s/:@?#"']+@/g;

export function withoutUrlSecrets(text: string): string {
  if (!text.includes("@")) return text;
  return text.replace(WITH_PASSWORD, `$1:${HIDDEN}@`).replace(ALONE, `//${HIDDEN}@`);
}

/** A URL as far as it tells where it leads: its search may hold a key. A relative one stays so. */
export function placeOf(url: string): string {
  if (URL.canParse(url)) {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname}`;
  }
  const shown = withoutUrlSecrets(url);
  const end = shown.search(/[?#]/);
  return end < 0 ? shown : shown.slice(0, end);
}
