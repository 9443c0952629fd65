/**
 * Passwords in URLs, on their way to people: `http://NAME:PASSWORD@host/` as `http://NAME:***@host/`. What stands alone in
 * front of the `@` is mostly a token, and hidden too. Text around it stays; text that is no URL is looked at the same way,
 * since one with a slip in it is shown just where it is refused: also one that begins with the name, without `http://`.
 */

const HIDDEN = "***";
/**
 * What stands before a password, in the part of a word up to its last `@`: a password may hold whatever was not escaped in
 * it. A port is none.
 */
const NAME = /(?:\/\/|(?<=:)\/|(?<![^"'=,])(?!https?:))[^/:@?#"'=,]*:(?!\d{1,5}[/?#])/;
const ALONE = /\/\/[^/:@?#"']+@/g;

export function withoutUrlSecrets(text: string): string {
  return text.includes("@") ? text.split(/(\s+)/).map(withoutSecrets).join("") : text;
}

function withoutSecrets(word: string): string {
  const end = word.lastIndexOf("@");
  const name = NAME.exec(word.slice(0, Math.max(0, end)));
  const hidden = name === null ? word : `${word.slice(0, name.index + name[0].length)}${HIDDEN}${word.slice(end)}`;
  return hidden.replace(ALONE, `//${HIDDEN}@`);
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
