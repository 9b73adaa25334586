// Who sends the requests of a page: a user and scopes, and the token that the local issuer gives them.

const KEY = "local-engine.user";
const USERS = ["demo", "ann", "ben", "local-machine"];
const SIGNED = "Requests are signed (Signature Version 4)"; // as api_document.py describes the scheme
const EARLY = 60; // seconds before a token's expiry at which it is replaced

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export async function readApi() {
  const answer = await fetch("/_local/openapi.json", { cache: "no-store" });
  const described = await answer.json();
  const schemes = Object.entries(described.components?.securitySchemes ?? {});
  const local = schemes.filter(([, scheme]) => scheme.type === "oauth2");
  const signed = await fetch("/_local/signed-call", { method: "POST" });
  return {
    described,
    signedCall: (await signed.json()).command,
    local: Object.fromEntries(local),
    scopes: [...new Set(local.flatMap(([, scheme]) => Object.keys(scheme.flows.clientCredentials.scopes)))],
    others: schemes.filter(([, scheme]) => scheme.type === "apiKey").map(([, scheme]) => scheme.description ?? "An API key is needed"),
    issuers: schemes.filter(([, scheme]) => scheme.type === "openIdConnect").map(([, scheme]) => scheme.openIdConnectUrl),
  };
}

/** Whether an operation takes requests that are signed with IAM credentials. */
export function isSigned(described, operation) {
  const names = (operation.security ?? []).flatMap(Object.keys);
  return names.some((name) => described.components.securitySchemes[name]?.description === SIGNED);
}

function readUser(scopes) {
  const saved = JSON.parse(localStorage.getItem(KEY) ?? "null");
  const user = saved ?? { sub: USERS[0], denied: [] };
  return { sub: user.sub, scopes: scopes.filter((scope) => !user.denied.includes(scope)) };
}

async function requestToken(user) {
  const answer = await fetch("/_local/token", { method: "POST", body: JSON.stringify(user) });
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.error);
  return document;
}

/** Show who you are, with a form to become another user; onToken gets each new token, its user and its scopes. */
export function showUser(place, api, onToken) {
  let timer = null;
  const said = make("p", { role: "status" });
  const fields = api.scopes.map((scope) => make("input", { type: "checkbox", name: "scope", value: scope }));
  const sub = make("input", { name: "sub", required: "", maxlength: "128", list: "users", autocomplete: "off", spellcheck: "false" });
  const form = make(
    "form", {},
    make("label", {}, "User", sub),
    make("datalist", { id: "users" }, ...USERS.map((name) => make("option", { value: name }))),
    make("fieldset", {}, make("legend", {}, "Scopes"), ...fields.map((field) => make("label", {}, field, field.value))),
    make("button", { class: "primary" }, "Switch user"),
  );
  place.append(said, make("details", {}, make("summary", {}, "Be another user"), form));

  async function become(user) {
    clearTimeout(timer);
    try {
      const given = await requestToken(user);
      localStorage.setItem(KEY, JSON.stringify({ sub: user.sub, denied: api.scopes.filter((scope) => !user.scopes.includes(scope)) }));
      const scopes = user.scopes.length ? `the scopes ${user.scopes.join(", ")}` : "no scope";
      said.className = "";
      said.replaceChildren("You are ", make("strong", {}, user.sub), ` with ${scopes}.`);
      onToken(given.access_token, user);
      timer = setTimeout(() => become(user), (given.expires_in - EARLY) * 1000);
    } catch (error) {
      said.className = "problem";
      said.textContent = error instanceof TypeError ? "The local engine does not answer. Start it and load this page again." : error.message;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    become({ sub: sub.value.trim(), scopes: fields.filter((field) => field.checked).map((field) => field.value) });
  });
  const user = readUser(api.scopes);
  sub.value = user.sub;
  for (const field of fields) field.checked = user.scopes.includes(field.value);
  become(user);
}

/** Say how to get access if the local issuer's tokens do not give it; returns whether they do. */
export function explainAccess(place, api) {
  if (api.signedCall) place.append(make("p", {}, "In a terminal, curl signs a request:"), make("pre", {}, api.signedCall));
  if (Object.keys(api.local).length) return true;
  let access = "This API needs no token.";
  if (api.signedCall) access = `${SIGNED}, so this page has no token.`;
  if (api.others.length) access = `${api.others.join(", ")}, so this page has no token.`;
  if (api.issuers.length) access = `This API accepts the tokens of another issuer: get one there (${api.issuers.join(", ")}).`;
  place.append(make("p", {}, access));
  return false;
}
