import { projectPages } from "./header.js";
import { explainAccess, isSigned, make, readApi, showUser } from "./session.js";

const METHODS = ["get", "post", "put", "patch", "delete", "head", "options"];

function listRoutes(described) {
  return Object.entries(described.paths).flatMap(([path, item]) => METHODS.filter((method) => method in item).map(
    (method) => ({ method, path, operation: item[method] }),
  ));
}

function describeAccess(operation, schemes) {
  const requirements = (operation.security ?? []).filter((requirement) => Object.keys(requirement).some((name) => name in schemes));
  const scopes = requirements.flatMap((requirement) => Object.values(requirement).flat());
  if (scopes.length) return `Scope ${scopes.join(" or ")}`;
  const others = requirements.flatMap(Object.keys).filter((name) => schemes[name].type === "apiKey");
  if (others.length) return others.map((name) => schemes[name].description ?? "An API key is needed").join(", ");
  return requirements.length ? "Any valid token" : "Open: needs no token";
}

function describeRoute({ method, path, operation }, schemes) {
  const group = (operation.tags ?? ["default"])[0];
  const link = operation.operationId ? `/_local/docs#/${encodeURIComponent(group)}/${encodeURIComponent(operation.operationId)}` : "/_local/docs";
  return make(
    "li", {},
    make("span", { class: `method ${method}` }, method.toUpperCase()),
    make("a", { href: link }, make("code", {}, ...path.split(/(?=\/)/).flatMap((segment) => [make("wbr"), segment]))),
    make("span", {}, operation.summary ?? operation.operationId ?? "", make("span", { class: "scopes faint" }, describeAccess(operation, schemes))),
  );
}

// The first route that needs neither a body nor a path variable.
function describeCommand(routes, token, url) {
  const route = routes.find(({ method, path }) => method === "get" && !path.includes("{")) ?? routes[0];
  const method = route.method === "get" ? "" : `-X ${route.method.toUpperCase()} `;
  return `curl ${method}-H 'Authorization: Bearer ${token}' ${url}${route.path}`;
}

function copyOnClick(id, text) {
  document.querySelector(id).onclick = async () => {
    await navigator.clipboard.writeText(text);
    document.querySelector("#copied").textContent = "Copied.";
  };
}

function describeAlarms(alarms) {
  if (!alarms.length) return "Graphs, live. The template has no alarms.";
  const on = alarms.filter((alarm) => alarm.state === "ALARM").length;
  const several = alarms.length === 1 ? "1 alarm" : `${alarms.length} alarms`;
  return `Graphs and ${several}, live. ${on === 0 ? "All is quiet." : on === 1 ? "1 alarm is on." : `${on} alarms are on.`}`;
}

async function show() {
  const api = await readApi();
  const { described } = api;
  const routes = listRoutes(described);
  document.title = `${described.info.title} – local engine`;
  document.querySelector("#title").textContent = described.info.title;
  document.querySelector("#url").textContent = described.servers[0].url;
  const schemes = described.components?.securitySchemes ?? {};
  const none = make("li", {}, "The API has only a route for every path and method, $default.");
  document.querySelector("#routes").replaceChildren(...routes.length ? routes.map((route) => describeRoute(route, schemes)) : [none]);
  const place = document.querySelector("#user");
  if (explainAccess(place, api)) {
    showUser(place, api, (token) => {
      const unsigned = routes.filter(({ operation }) => !isSigned(described, operation));
      const command = describeCommand(unsigned.length ? unsigned : routes, token, described.servers[0].url);
      document.querySelector("#access").hidden = false;
      document.querySelector("#command").textContent = command.replace(token, `${token.slice(0, 12)}…`);
      document.querySelector("#token").textContent = token;
      document.querySelector("#copied").textContent = "";
      copyOnClick("#copy-command", command);
      copyOnClick("#copy-token", token);
    });
  }
  for (const [path, title] of await projectPages) {
    document.querySelector(".cards").append(make("li", { class: "panel" }, make("a", { href: path }, title), " A page of this project."));
  }
  const answer = await fetch("/_local/alarms.json", { cache: "no-store" });
  document.querySelector("#alarms").textContent = describeAlarms((await answer.json()).alarms);
}

show();
