// The header of the local pages, with links to all of them; a page needs an empty <header class="site">.

import { make } from "/_local/session.js";

/** A promise of the path and the title of each page of the project. */
export const projectPages = listProjectPages();

async function listProjectPages() {
  const answer = await fetch("/_local/pages.json", { cache: "no-store" });
  const { pages } = await answer.json();
  return pages.map((name) => [`/_local/${name}`, name[0].toUpperCase() + name.slice(1)]);
}

function describeLink([path, title]) {
  return make("a", { href: path, ...(path === location.pathname ? { "aria-current": "page" } : {}) }, title);
}

const navigation = make(
  "nav", { "aria-label": "Pages" },
  ...[["/_local/", "Start"], ["/_local/docs", "API"], ["/_local/dashboard", "Dashboard"]].map(describeLink),
);
document.querySelector("header.site").append(make("strong", {}, "Local engine"), navigation);
navigation.append(...(await projectPages).map(describeLink));
