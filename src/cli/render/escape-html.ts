import { visible } from "./text-width.ts";

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text for element content and quoted attributes; invisible characters are written out. */
export function escapeHtml(text: string): string {
  return visible(text).replace(/[&<>"']/g, (sign) => entities[sign] ?? sign);
}

/** JSON text for a script element: no `<` can end the element or open a comment. */
export function escapeScriptJson(json: string): string {
  return json.replace(
    /[<>&\u2028\u2029]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
