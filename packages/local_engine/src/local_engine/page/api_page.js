import { explainAccess, isSigned, readApi, showUser } from "./session.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

function followScheme() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

// The one server is this one, and the user above the requests stands for the dialog for tokens.
const simplify = ({ React }) => ({
  wrapComponents: {
    ServersContainer: () => () => null,
    operations: (Original) => (props) => React.createElement(
      "section", { className: "requests" }, React.createElement("h2", null, "Requests"), React.createElement(Original, props),
    ),
    DeepLink: () => ({ text }) => React.createElement("span", null, text),
  },
});

const withoutDialog = {
  wrapComponents: { authorizeBtn: () => () => null, authorizeOperationBtn: () => () => null },
};

// The page cannot sign: what it would send, and the command that it would show for it, get 403.
const sendsNothingUnsigned = (described) => ({ React }) => ({
  wrapComponents: {
    execute: (Original) => (props) => isSigned(described, described.paths[props.path][props.method])
      ? React.createElement("p", null, "This request must be signed.")
      : React.createElement(Original, props),
  },
});

// The gateway wants one of a route's scopes.
function nameScopes(described) {
  for (const operation of Object.values(described.paths).flatMap((item) => Object.values(item))) {
    const scopes = (operation.security ?? []).flatMap((requirement) => Object.values(requirement).flat());
    if (scopes.length) operation.description = `${operation.description ?? ""}\n\nScope: ${scopes.map((scope) => `\`${scope}\``).join(" or ")}`;
  }
}

// Swagger UI leaves these without a name, out of the keyboard's reach, or at a wrong level of headings.
function mend(page) {
  const each = (selector, change) => page.querySelectorAll(selector).forEach(change);
  each(".copy-to-clipboard button", (button) => button.setAttribute("aria-label", "Copy"));
  each(".model-box-control", (button) => button.textContent || button.setAttribute("aria-label", "Show or hide the properties"));
  each(".body-param__text", (text) => text.setAttribute("aria-label", "Request body"));
  each("[role=region]", (region) => region.setAttribute("aria-label", region.id.replaceAll("_", " ")));
  each("pre.microlight", (text) => text.setAttribute("tabindex", "0"));
  const isGrouped = page.querySelector(".opblock-tag:not(#operations-tag-default)");
  for (const level of [4, 5]) each(`h${level}`, (heading) => heading.setAttribute("aria-level", isGrouped ? level : level - 1));
}

async function show() {
  const api = await readApi();
  nameScopes(api.described);
  document.title = `${api.described.info.title} – API page`;
  const ui = SwaggerUIBundle({
    dom_id: "#page",
    spec: api.described,
    deepLinking: true,
    tryItOutEnabled: true,
    syntaxHighlight: { theme: "tomorrow-night" },
    validatorUrl: null,
    plugins: [simplify, sendsNothingUnsigned(api.described), ...Object.keys(api.local).length ? [withoutDialog] : []],
    // An answer comes from the API, not from the browser's cache.
    requestInterceptor: (request) => Object.assign(request, { cache: "no-store" }),
  });
  const page = document.querySelector("#page");
  new MutationObserver(() => mend(page)).observe(page, { childList: true, subtree: true });
  const place = document.querySelector("#user");
  if (explainAccess(place, api)) {
    let shown = null;
    showUser(place, api, (token, user) => {
      // What another user was shown leaves the page with that user.
      if (shown !== null && shown !== user.sub) {
        for (const [path, item] of Object.entries(api.described.paths)) for (const method of Object.keys(item)) ui.specActions.clearResponse(path, method);
      }
      shown = user.sub;
      for (const [name, schema] of Object.entries(api.local)) {
        ui.authActions.authorizeOauth2({ auth: { name, schema, scopes: user.scopes }, token: { access_token: token, token_type: "Bearer" } });
      }
    });
  }
}

dark.addEventListener("change", followScheme);
followScheme();
show();
